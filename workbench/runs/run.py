"""One compression that was tried, and several of them: as a table, side by side, and the ones worth looking at."""

import csv
import io
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from workbench.network.data import Accuracy
from workbench.plan.plan import LayerPlan, Plan
from workbench.tables import count, html_table, text_table

SCORES = ("top1", "top5", "n")
PACKAGES = ("torch", "torchvision", "numpy", "scipy")


@dataclass(frozen=True)
class Stage:
    """Accuracy of a run at one point: "original", "decomposed", "calibrated", "fine-tuned" or another name.

    Attributes
    ----------
    name : of the stage.
    split : of the data that it was scored on; runs are chosen by "validation", never by "test".
    accuracy : what came out.
    """

    name: str
    split: str
    accuracy: Accuracy


@dataclass(frozen=True, repr=False)
class Run:
    """One compression: a plan, what it costs, and how accurate the network was at each stage.

    Attributes
    ----------
    network, data : their names.
    plan : what was done to each layer.
    stages : in the order in which they were reached.
    measured : latencies and the like, by name; JSON values.
    settings : of recovery (a recipe, say); JSON values.
    seed : of everything random in it.
    versions : of Python, PyTorch and the packages that matter.
    note : in one's own words.
    number : in its store, from 1; 0 for a run that is not stored.
    created : UTC, as ISO 8601.
    weights_file, weights_hash : name in the store's folder and sha256; empty for a run without weights.
    """

    network: str
    data: str
    plan: Plan
    stages: tuple[Stage, ...] = ()
    measured: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    number: int = 0
    created: str = ""
    weights_file: str = ""
    weights_hash: str = ""

    def accuracy(self, split: str = "validation") -> Accuracy | None:
        """The newest accuracy on a split; None if it was never scored on it."""
        return next((s.accuracy for s in reversed(self.stages) if s.split == split), None)

    @property
    def costs(self) -> dict[str, float]:
        """Weights and MACs of the compressed network, and how many times fewer that is."""
        plan = self.plan
        ratios = {"macs_ratio": plan.macs_ratio, "weights_ratio": plan.weights_ratio}
        return {"macs": plan.macs, "weights": plan.weights, **ratios}

    def __str__(self) -> str:
        scores = "; ".join(f"{s.name} ({s.split}) {s.accuracy}" for s in self.stages)
        name = f"run {self.number}" if self.number else "run"
        costs = f"MACs x{self.plan.macs_ratio:.2f}, weights x{self.plan.weights_ratio:.2f} fewer"
        return f"{name}: {self.network} on {self.data}, {self.plan.describe()}, {costs}; {scores or 'not scored'}"

    __repr__ = __str__


class Runs(tuple[Run, ...]):
    """Several runs; prints as a table."""

    __slots__ = ()
    _headers = (
        *("run", "network", "data", "policy", "MACs", "ratio", "weights", "ratio"),
        *("stages: top-1 % (95 % interval)", "created"),
    )
    _left = (1, 2, 3, 8, 9)

    def _rows(self) -> list[list[str]]:
        rows = []
        for run in self:
            costs = [count(run.plan.macs), f"x{run.plan.macs_ratio:.2f}"]
            costs += [count(run.plan.weights), f"x{run.plan.weights_ratio:.2f}"]
            about = [str(run.number or "-"), run.network, run.data, run.plan.describe()]
            rows.append([*about, *costs, _scores(run.stages), run.created[:16]])
        return rows

    def __str__(self) -> str:
        return text_table(self._headers, self._rows(), left=self._left)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self._headers, self._rows(), left=self._left)

    def to_csv(self) -> str:
        """One line a run; a column for each cost, and for each stage's top-1, top-5 and number of images."""
        names = list(dict.fromkeys((s.name, s.split) for run in self for s in run.stages))
        head = ["run", "created", "network", "data", "policy", "macs", "weights", "macs_ratio", "weights_ratio"]
        head += [f"{name} {split} {what}" for name, split in names for what in SCORES]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*head, "seed", "settings", "measured", "note"])
        for run in self:
            found = {(s.name, s.split): s.accuracy for s in run.stages}
            scores = [getattr(found[name], what) if name in found else "" for name in names for what in SCORES]
            about = [run.number, run.created, run.network, run.data, run.plan.describe(), *run.costs.values()]
            more = [run.seed, json.dumps(dict(run.settings)), json.dumps(dict(run.measured)), run.note]
            writer.writerow([*about, *scores, *more])
        return text.getvalue()


def pareto(runs: Iterable[Run], *, cost: Literal["macs", "weights"] = "macs", split: str = "validation") -> Runs:
    """Runs that no other beats: none costs as little and is as accurate, and better in one of the two.

    Only runs of the same network and data compete. Runs that were never scored on `split` are left out; of equal ones
    the first stays.

    Returns
    -------
    Runs by network, data and growing cost.
    """
    scored = [(run, found) for run in runs if (found := run.accuracy(split)) is not None]
    scored.sort(key=lambda pair: (pair[0].network, pair[0].data, getattr(pair[0].plan, cost), -pair[1].top1))
    front: list[Run] = []
    best: dict[tuple[str, str], float] = {}
    for run, score in scored:
        key = (run.network, run.data)
        if score.top1 > best.get(key, -1.0):
            best[key] = score.top1
            front.append(run)
    return Runs(front)


class Comparison:
    """Runs side by side: a column each; costs, accuracies, and the layers that are not the same in all of them."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self.runs = Runs(runs)

    @property
    def _headers(self) -> list[str]:
        return ["", *(f"run {run.number}" if run.number else run.plan.describe() for run in self.runs)]

    @property
    def rows(self) -> list[list[str]]:
        """Name and one value for each run."""
        runs = self.runs
        rows = [["network", *(run.network for run in runs)], ["data", *(run.data for run in runs)]]
        rows.append(["policy", *(run.plan.describe() for run in runs)])
        rows.append(["MACs", *(f"{count(r.plan.macs)} (x{r.plan.macs_ratio:.2f})" for r in runs)])
        rows.append(["weights", *(f"{count(r.plan.weights)} (x{r.plan.weights_ratio:.2f})" for r in runs)])
        for name, split in dict.fromkeys((s.name, s.split) for run in runs for s in run.stages):
            found = [next((s for s in r.stages if (s.name, s.split) == (name, split)), None) for r in runs]
            scores = [s.accuracy if s else None for s in found]
            rows.append([f"{name}, {split}, top-1", *map(_top1, scores)])
            if any(score.top5 < 100 for score in scores if score):
                rows.append([f"{name}, {split}, top-5", *map(_top5, scores)])
        for key in dict.fromkeys(key for run in runs for key in run.settings):
            values = [str(run.settings.get(key, "-")) for run in runs]
            if len(set(values)) > 1:
                rows.append([key, *values])
        for name in dict.fromkeys(part.name for run in runs for part in run.plan):
            values = [next((_decision(p) for p in run.plan if p.name == name), "-") for run in runs]
            if len(set(values)) > 1:
                rows.append([name, *values])
        return rows

    def __str__(self) -> str:
        return text_table(self._headers, self.rows)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self._headers, self.rows)


def versions() -> dict[str, str]:
    """Of Python and the packages that results may depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _scores(stages: Iterable[Stage]) -> str:
    """All stages' top-1, with the number of images said once for each split."""
    groups: dict[tuple[str, int], list[str]] = {}
    for stage in stages:
        score = stage.accuracy
        low, high = score.interval
        words = f"{stage.name} {score.top1:.2f} ({low:.1f} to {high:.1f})"
        groups.setdefault((stage.split, score.n), []).append(words)
    return "; ".join(f"{', '.join(words)} of {n} {split} images" for (split, n), words in groups.items())


def _top1(score: Accuracy | None) -> str:
    return "-" if score is None else _percent(score.top1, score.interval, score.n)


def _top5(score: Accuracy | None) -> str:
    return "-" if score is None else _percent(score.top5, score.top5_interval, score.n)


def _percent(value: float, interval: tuple[float, float], n: int) -> str:
    return f"{value:.2f} % ({interval[0]:.1f} to {interval[1]:.1f}) of {n}"


def _decision(part: LayerPlan) -> str:
    ranks = ", ".join(str(r) for r in (part.rank_in, part.rank_out) if r is not None)
    return f"{part.decision} {ranks}".strip()
