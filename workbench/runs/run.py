"""A run: one compression with its plan, costs and scores at each stage; and tables of several runs."""

import json
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib.metadata import version
from itertools import groupby
from typing import Any, TypeVar

from workbench.network.data import Data, Split
from workbench.network.network import Network
from workbench.network.scores import Score, accuracy, score
from workbench.plan.compressed import CompressedNetwork
from workbench.plan.plan import Plan
from workbench.progress import Progress, part, reporter
from workbench.tables import Table, count, csv_text

AGREEMENT_IMAGES = 1000  # images without labels on which agreement with the original is measured
PACKAGES = ("torch", "torchvision", "numpy", "scipy")  # packages whose versions are kept with a run
T = TypeVar("T")


class StageName(StrEnum):
    """The stages that a network goes through."""

    ORIGINAL = "original"
    DECOMPOSED = "decomposed"
    CALIBRATED = "calibrated"
    DISTILLED = "distilled"
    FINE_TUNED = "fine-tuned"
    FROM_SCRATCH = "from scratch"


@dataclass(frozen=True)
class Stage:
    """Scores of a network at one stage, by the name of the split, and in words how the stage came about.

    Runs are chosen by "validation", never by "test".
    """

    name: StageName
    scores: Mapping[str, Score] = field(default_factory=dict)
    note: str = ""

    @property
    def score(self) -> Score | None:
        """The score to show: on the validation images, or the only one there is; None without one."""
        return self.scores.get("validation") or next(iter(self.scores.values()), None)


def scored_stage(
    network: Network, data: Data | None, name: StageName, *, note: str = "", progress: Progress | bool | None = None
) -> Stage:
    """Score a network on the images to choose by and on those to report.

    On a validation split with labels that is the accuracy. Without one it is the agreement with the original on the
    validation images, or on those for training, so that nothing is ever chosen by the test images.
    """
    report = reporter(progress)
    if data is None:
        return Stage(name, {}, note)
    scores: dict[str, Score] = {}
    split = data.validation if len(data.validation) else data.train
    if len(data.validation) and data.validation.labelled:
        scores["validation"] = accuracy(network, data.validation, progress=part(report, 0.0, 0.5))
    elif len(split):
        scores["validation"] = _agreement(network, split.sample(AGREEMENT_IMAGES), part(report, 0.0, 0.5))
    if len(data.test) and data.test.labelled:
        scores["test"] = accuracy(network, data.test, progress=part(report, 0.5, 1.0))
    report(1.0, "")
    return Stage(name, scores, note)


def _agreement(network: Network, split: Split, report: Progress) -> Score:
    """Return the agreement with the original; 1 for the original itself."""
    if network.original is None:
        return Score(1.0, 1.0, len(split), "agreement")
    return score(network, Split.unlabelled(split.images, split.name), progress=report)


@dataclass(frozen=True, repr=False)
class Run(Table):
    """One compression: a plan, what it costs, and the scores of the network at each stage in the order of the stages.

    `network` is None for a run of the store until it is loaded, and for one that failed. `settings` (of planning and
    recovery) and `measured` (latencies and the like) are JSON values.
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
    number: int = 0  # in its store, from 1; 0 for a run that is not stored
    created: str = ""  # UTC, as ISO 8601
    weights_file: str = ""  # in the store's folder; empty for a run without weights
    weights_hash: str = ""  # sha256
    error: str = ""  # one sentence if the run failed or could not be stored

    headers = ("run", "")
    left = (0, 1)

    @classmethod
    def of(cls, network: CompressedNetwork, data_name: str, stages: Iterable[Stage], **more: Any) -> "Run":
        """Return the run of a compressed network."""
        names: dict[str, Any] = {"network_name": network.original.name, "data_name": data_name}
        return cls(network.plan, tuple(stages), network, **names, **{"versions": versions(), **more})

    def with_stage(self, stage: Stage, network: CompressedNetwork | None = None) -> "Run":
        """Return the run with a further stage, and the network at that stage if it is given."""
        kept = tuple(s for s in self.stages if s.name != stage.name)
        return replace(self, stages=(*kept, stage), network=network or self.network, note=stage.note or self.note)

    def stage(self, name: str) -> Stage | None:
        """Return the stage of that name; None if it was not reached."""
        return next((stage for stage in self.stages if stage.name == name), None)

    @property
    def _own(self) -> list[Stage]:
        """Stages of the compressed network, newest first; the baseline from scratch is another network."""
        return [s for s in reversed(self.stages) if s.name not in (StageName.ORIGINAL, StageName.FROM_SCRATCH)]

    @property
    def last(self) -> Stage | None:
        """The newest stage of the compressed network."""
        return next(iter(self._own), None)

    def score(self, split: str = "validation") -> Score | None:
        """Return the newest score of the compressed network on a split; None if there is none."""
        return next((s.scores[split] for s in self._own if split in s.scores), None)

    def lost(self, split: str = "validation") -> float | None:
        """Return the share of top-1 lost against the original on a split; below 0 for a gain, None if unknown."""
        original, after = self.stage(StageName.ORIGINAL), self.score(split)
        before = original.scores.get(split) if original else None
        return before.top1 - after.top1 if before is not None and after is not None else None

    @property
    def label(self) -> str:
        """Like "run 2"."""
        return f"run {self.number}" if self.number else "run"

    caption = label

    @property
    def rows(self) -> list[list[str]]:
        """Plan, costs and scores."""
        found = [["network", self.network_name], ["data", self.data_name], ["plan", self.plan.describe()]]
        found.append(["MACs", f"{count(self.plan.macs)} (x{self.plan.macs_ratio:.2f} fewer)"])
        found.append(["weights", f"{count(self.plan.weights)} (x{self.plan.weights_ratio:.2f} fewer)"])
        found += [[f"{s.name}, {split}", str(score)] for s in self.stages for split, score in s.scores.items()]
        return [*found, *([["error", self.error]] if self.error else [])]


class Runs(Table, tuple[Run, ...]):
    """Several runs; prints as a table."""

    headers = (
        *("run", "network", "data", "policy", "MACs", "ratio", "weights", "ratio"),
        *("stages: top-1 % (95 % interval)", "created"),
    )
    left = (1, 2, 3, 8, 9)

    @property
    def rows(self) -> list[list[str]]:
        """One line a run."""
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
        """Return CSV with one line a run; a column for each cost and each stage's top-1, top-5 and number of images."""
        names = list(dict.fromkeys((s.name, split) for run in self for s in run.stages for split in s.scores))
        head = ["run", "created", "network", "data", "policy", "macs", "weights", "macs_ratio", "weights_ratio"]
        head += [f"{name} {split} {what}" for name, split in names for what in ("top1", "top5", "n")]
        lines = []
        for run in self:
            plan = run.plan
            line: list[Any] = [run.number, run.created, run.network_name, run.data_name, plan.describe()]
            line += [plan.macs, plan.weights, plan.macs_ratio, plan.weights_ratio]
            for name, split in names:
                stage = run.stage(name)
                score = stage.scores.get(split) if stage else None
                line += [score.top1, score.top5, score.n] if score else ["", "", ""]
            lines.append([*line, run.seed, json.dumps(dict(run.settings)), json.dumps(dict(run.measured)), run.note])
        return csv_text([*head, "seed", "settings", "measured", "note"], lines)


def pareto_front(points: Iterable[T], cost: Callable[[T], float], score: Callable[[T], float | None]) -> list[T]:
    """Return the points that no other beats: none costs as little and scores as much, and is better in one of the two.

    Points without a score are left out, of equal ones the first stays; the result is in the order of growing cost.
    """
    scored = [(point, cost(point), found) for point in points if (found := score(point)) is not None]
    front: list[T] = []
    best = float("-inf")
    for point, _, value in sorted(scored, key=lambda entry: (entry[1], -entry[2])):
        if value > best:
            best = value
            front.append(point)
    return front


def pareto(runs: Iterable[Run]) -> Runs:
    """Return the runs that no other of the same network and data beats, by network, data and growing MACs."""

    def of(run: Run) -> tuple[str, str]:
        return run.network_name, run.data_name

    def top1(run: Run) -> float | None:
        return found.top1 if (found := run.score()) else None

    groups = [list(group) for _, group in groupby(sorted(runs, key=of), of)]
    return Runs(run for group in groups for run in pareto_front(group, lambda run: run.plan.macs, top1))


def versions() -> dict[str, str]:
    """Return the versions of Python and the packages that results may depend on."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}


def source_of(network: Network) -> str:
    """Return what tells the weights of a network from others: the checksum of their file, or where they came from."""
    return network.sha256 or network.source


def _score_text(stage: Stage) -> str:
    if stage.score is None:
        return str(stage.name)
    low, high = stage.score.interval
    interval = f"({100 * low:.1f} to {100 * high:.1f})"
    return f"{stage.name} {100 * stage.score.top1:.2f} {interval} of {stage.score.n} images"
