"""Runs: a compression with its plan, costs and scores at each stage, tables of several runs, and the Pareto front."""

import json
import platform
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib.metadata import version
from math import isfinite
from typing import Any, TypeVar

from workbench.network.network import Network
from workbench.network.scores import Score
from workbench.network.verdict import MAX_DROP_POINTS, Verdict
from workbench.plan.compressed import CompressedNetwork
from workbench.plan.plan import Plan
from workbench.tables import Table, count, csv_text

PACKAGES = ("torch", "torchvision", "numpy", "scipy")
"""Packages whose versions are stored with a run."""
T = TypeVar("T")


class StageName(StrEnum):
    """The stages of a compression."""

    ORIGINAL = "original"
    DECOMPOSED = "decomposed"
    CALIBRATED = "calibrated"
    DISTILLED = "distilled"
    FINE_TUNED = "fine-tuned"
    FROM_SCRATCH = "from scratch"


@dataclass(frozen=True)
class Stage:
    """Scores of a network at one stage by the name of the split, and a note on how the stage was made.

    Runs are chosen by "validation", never by "test".
    """

    name: StageName
    scores: Mapping[str, Score] = field(default_factory=dict)
    note: str = ""

    @property
    def score(self) -> Score | None:
        """The score on the validation images, else the first one; None if there is none."""
        return self.scores.get("validation") or next(iter(self.scores.values()), None)


@dataclass(frozen=True, repr=False)
class Run(Table):
    """One compression: a plan, its costs, and the scores of the network at each stage.

    Attributes
    ----------
    stages : in the order in which they were reached, the original first if it was scored.
    network : the compressed network; None for a run of the store until it is loaded, and for one that failed.
    settings : of planning and recovery; JSON values.
    measured : measurements by name, like "latency" and "energy"; JSON values.
    versions : of Python, PyTorch and other packages.
    number : in its store, from 1; 0 for a run that is not stored.
    created : UTC, as ISO 8601.
    weights_file, weights_hash : name in the store's folder and sha256; empty for a run without weights.
    tries : a line for each plan that the search tried, and for why a search with a time limit ended; may be empty.
    error : one sentence if the run failed or could not be stored, else "".
    """

    plan: Plan
    stages: tuple[Stage, ...] = ()
    network: CompressedNetwork | None = field(default=None, compare=False)
    network_name: str = ""
    data_name: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    number: int = 0
    created: str = ""
    weights_file: str = ""
    weights_hash: str = ""
    tries: tuple[str, ...] = ()
    error: str = ""

    headers = ("run", "")
    left = (0, 1)

    @classmethod
    def of(cls, network: CompressedNetwork, data_name: str, stages: Iterable[Stage], **fields: Any) -> "Run":
        """Return the run of a compressed network."""
        names: dict[str, Any] = {"network_name": network.original.name, "data_name": data_name}
        return cls(network.plan, tuple(stages), network, **names, **{"versions": versions(), **fields})

    def with_stage(self, stage: Stage, network: CompressedNetwork | None = None) -> "Run":
        """Return the run with a new or replaced stage, and the network at that stage if it is given."""
        others = tuple(s for s in self.stages if s.name != stage.name)
        return replace(self, stages=(*others, stage), network=network or self.network, note=stage.note or self.note)

    def stage(self, name: str) -> Stage | None:
        """Return the stage with this name; None if it was not reached."""
        return next((stage for stage in self.stages if stage.name == name), None)

    @property
    def fitted(self) -> bool:
        """Whether the layers were fitted to the running statistics of the batch norms, by calibrating or distilling."""
        return any(self.stage(name) for name in (StageName.CALIBRATED, StageName.DISTILLED))

    @property
    def _compressed_stages(self) -> list[Stage]:
        """Stages of the compressed network, newest first; the baseline from scratch is another network."""
        return [s for s in reversed(self.stages) if s.name not in (StageName.ORIGINAL, StageName.FROM_SCRATCH)]

    @property
    def last(self) -> Stage | None:
        """The newest stage of the compressed network."""
        return next(iter(self._compressed_stages), None)

    def score(self, split: str = "validation") -> Score | None:
        """Return the newest score of the compressed network on a split; None if there is none."""
        return next((s.scores[split] for s in self._compressed_stages if split in s.scores), None)

    def lost(self, split: str = "validation") -> float | None:
        """Return top-1 of the original minus that of the compressed network on a split; None if one is unknown."""
        before, after = self._score_pair(split)
        return before.top1 - after.top1 if before is not None and after is not None else None

    def verdict(self, split: str | None = None, *, max_drop: float = MAX_DROP_POINTS) -> Verdict | None:
        """Judge the loss against the original on a split.

        Parameters
        ----------
        split : None for the split whose interval of the loss is narrowest, with or without labels, but never "test".
        max_drop : loss in points that is tolerated.

        Returns
        -------
        Verdict; None without scores of both networks, or for a metric, which has no interval.
        """
        original = self.stage(StageName.ORIGINAL)
        names = [name for name in original.scores if name != "test"] if split is None and original else [split or ""]
        verdicts = []
        for name in names:
            before, after = self._score_pair(name)
            if before is not None and after is not None and (before.kind, before.n) == (after.kind, after.n):
                verdict = after.verdict(before, max_drop=max_drop)
                verdicts += [replace(verdict, split=name)] if verdict is not None else []
        return min(verdicts, key=lambda verdict: verdict.width, default=None)

    def measurements(
        self, name: str, unit: str, after: str = "compressed"
    ) -> list[tuple[Mapping[str, Any], float, float]]:
        """Return (entry, original's value, value after) of each stored measurement with two positive values."""
        entries = self.measured.get(name)  # a store's file may hold anything
        measurements = []
        for entry in entries if isinstance(entries, list | tuple) else [entries]:
            if isinstance(entry, Mapping):
                pair: list[Any] = [entry.get(f"dense_{unit}"), entry.get(f"{after}_{unit}")]
                if all(type(value) in (int, float) and isfinite(value) and value > 0 for value in pair):
                    measurements.append((entry, float(pair[0]), float(pair[1])))
        return measurements

    def _score_pair(self, split: str) -> tuple[Score | None, Score | None]:
        """Return the scores of the original and of the compressed network on a split."""
        original = self.stage(StageName.ORIGINAL)
        return original.scores.get(split) if original else None, self.score(split)

    @property
    def label(self) -> str:
        """Like "run 2"; "unstored run 1" for the number -1, which the dashboard gives a run that it could not store."""
        if self.number < 0:
            return f"unstored run {-self.number}"
        return f"run {self.number}" if self.number else "run"

    caption = label

    @property
    def rows(self) -> list[list[str]]:
        """Plan, costs and scores."""
        rows = [["network", self.network_name], ["data", self.data_name], ["plan", self.plan.describe()]]
        rows.append(["MACs", f"{count(self.plan.macs)} (x{self.plan.macs_ratio:.2f} fewer)"])
        rows.append(["weights", f"{count(self.plan.weights)} (x{self.plan.weights_ratio:.2f} fewer)"])
        rows += [[f"{s.name}, {split}", str(score)] for s in self.stages for split, score in s.scores.items()]
        rows += [line.split(": ", 1) if ": " in line else ["", line] for line in self.tries]
        return [*rows, *([["error", self.error]] if self.error else [])]


class Runs(Table, tuple[Run, ...]):
    """Several runs; prints as a table."""

    headers = (
        *("run", "network", "data", "policy", "MACs", "ratio", "weights", "ratio"),
        *("stages: top-1 % (95 % interval), or a metric", "created"),
    )
    left = (1, 2, 3, 8, 9)

    @property
    def rows(self) -> list[list[str]]:
        """One row for each run."""
        return [
            [
                *(str(run.number or "-"), run.network_name, run.data_name, run.plan.describe()),
                *(count(run.plan.macs), f"x{run.plan.macs_ratio:.2f}"),
                *(count(run.plan.weights), f"x{run.plan.weights_ratio:.2f}"),
                *(run.error or "; ".join(map(_score_text, run.stages)), run.created[:16]),
            ]
            for run in self
        ]

    def to_csv(self) -> str:
        """Return CSV with one row for each run; a column for each cost, and four for each stage and split."""
        names = list(dict.fromkeys((s.name, split) for run in self for s in run.stages for split in s.scores))
        headers = ["run", "created", "network", "data", "policy", "macs", "weights", "macs_ratio", "weights_ratio"]
        headers += [f"{name} {split} {value}" for name, split in names for value in ("kind", "top1", "top5", "n")]
        rows = []
        for run in self:
            plan = run.plan
            row: list[Any] = [run.number, run.created, run.network_name, run.data_name, plan.describe()]
            row += [plan.macs, plan.weights, plan.macs_ratio, plan.weights_ratio]
            for name, split in names:
                stage = run.stage(name)
                score = stage.scores.get(split) if stage else None
                row += [score.kind, score.top1, score.top5, score.n] if score else [""] * 4
            rows.append([*row, run.seed, json.dumps(dict(run.settings)), json.dumps(dict(run.measured)), run.note])
        return csv_text([*headers, "seed", "settings", "measured", "note"], rows)


def pareto_front(points: Iterable[T], cost: Callable[[T], float], score: Callable[[T], float | None]) -> list[T]:
    """Return the points that no other dominates, sorted by cost.

    A point dominates another if it costs no more and scores no less, and is better in one of the two. Points without a
    score are left out; of equal points the first stays.
    """
    scored = [(point, cost(point), value) for point in points if (value := score(point)) is not None]
    front: list[T] = []
    best = float("-inf")
    for point, _, value in sorted(scored, key=lambda entry: (entry[1], -entry[2])):
        if value > best:
            best = value
            front.append(point)
    return front


def pareto(runs: Iterable[Run]) -> Runs:
    """Return the Pareto fronts of MACs and top-1, one for each network, data set and kind of score."""

    def top1(run: Run) -> float | None:
        score = run.score()
        return score.top1 if score else None

    groups: dict[tuple[str, str, str], list[Run]] = defaultdict(list)
    for run in runs:
        score = run.score()
        groups[run.network_name, run.data_name, score.kind if score else ""].append(run)
    return Runs(
        run for _, group in sorted(groups.items()) for run in pareto_front(group, lambda run: run.plan.macs, top1)
    )


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages in `PACKAGES`."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}


def source_of(network: Network) -> str:
    """Return an identifier of a network's weights: the checksum of their file, or else their source."""
    return network.sha256 or network.source


def _score_text(stage: Stage) -> str:
    score = stage.score
    if score is None:
        return str(stage.name)
    name = str(stage.name) if score.kind == "accuracy" else f"{stage.name} {score.kind}"
    if not score.is_share:
        return f"{name} {score.value} of {score.n} images"
    low, high = score.interval
    return f"{name} {score.shown:.2f} ({100 * low:.1f} to {100 * high:.1f}) of {score.n} images"
