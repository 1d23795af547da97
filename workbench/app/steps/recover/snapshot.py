"""Copy of the page's state that an action works on (compress, fine-tune, sweep); settings of training."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from workbench.app.errors import sentence
from workbench.app.steps.choose.opening import Opened
from workbench.app.steps.plan.settings import PlanSettings
from workbench.app.stored_runs import StoredRuns
from workbench.network.data import Data, Split
from workbench.plan.compressed import CompressedNetwork
from workbench.plan.importance import Importance
from workbench.plan.plan import Plan, PlanError
from workbench.progress import Progress
from workbench.recover.calibrate import CALIBRATION_IMAGES, calibrate
from workbench.runs.run import Run, Stage, StageName, source_of
from workbench.runs.scoring import scored_stage
from workbench.runs.sweep import sweep

# Text of an option on the page -> value in TrainingSettings
LEARN_FROM = {
    "the labels": "labels",
    "labels and the original's answers": "both",
    "the original's answers alone": "original",
}
SCHEDULES = {"the paper's: a tenth every 5 epochs": "step", "cosine: smoothly to zero": "cosine"}
MAX_EPOCHS = 500
COMPRESS_MINUTES, MAX_COMPRESS_MINUTES = 5.0, 600.0
"""Minutes that *Compress for me* takes, and the most that the page accepts."""
RATES = (1e-7, 0.5)  # smallest and largest learning rate that the page accepts
SWEEP_TRAINING = {"epochs": 5, "learning_rate": 1e-3, "schedule": "cosine"}
"""Settings of fine-tuning in a sweep."""


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of fine-tuning, or of distillation where no labels are used."""

    epochs: int = 10
    learning_rate: float = 1e-3
    schedule: str = "step"
    learn_from: str = "labels"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "TrainingSettings":
        """Return settings from stored values; raise ValueError if one is unknown or out of range."""
        found = cls(**{field.name: values[field.name] for field in fields(cls)})
        sane = found.schedule in SCHEDULES.values() and found.learn_from in LEARN_FROM.values()
        if not sane or not 1 <= found.epochs <= MAX_EPOCHS or not RATES[0] <= found.learning_rate <= RATES[1]:
            raise ValueError("settings of training make no sense")
        return found

    def __str__(self) -> str:
        words = {"labels": "", "both": " and the original's answers", "original": " on the original's answers alone"}
        return f"learning rate {self.learning_rate:g}{words[self.learn_from]}"


@dataclass(frozen=True)
class Snapshot:
    """Copy of the page's state, taken when the user starts an action, so that later changes do not affect it."""

    opened: Opened
    store: StoredRuns
    plan: Plan
    made_by: PlanSettings  # settings that `plan` was made with
    planner: PlanSettings  # settings that the page shows now, used by a sweep
    importance: Importance | None
    run: Run | None
    checkpoint: Path | None

    @property
    def data(self) -> Data | None:
        """The data, unless the network cannot be scored on them."""
        return None if self.opened.misfit else self.opened.data

    def worked_on(self, verb: str) -> tuple[Run, CompressedNetwork]:
        """Return the current run and its network; raise ValueError, naming the action (`verb`), if there is none."""
        if self.run is None or self.run.network is None:
            raise ValueError(f"compress the network first: there is nothing to {verb} yet")
        return self.run, self.run.network

    def stage(self, network: CompressedNetwork, name: StageName, note: str) -> Stage:
        """Return a stage with the scores of a network."""
        return scored_stage(network, self.data, name, note=note)

    def new_run(self, network: CompressedNetwork, note: str) -> Run:
        """Store a new run of a network that was just decomposed, and return it."""
        stages = (self.opened.original, self.stage(network, StageName.DECOMPOSED, note))
        settings = {**self.made_by.used(), "source": source_of(self.opened.network)}
        return self.store.keep(Run.of(network, self.opened.data.name, stages, settings=settings, note=note))

    def sweep(self, ratios: Sequence[float], recovery: str, report: Progress) -> Iterator[Run]:
        """Yield a stored run for each budget of MACs; raise ValueError after the last one if any budget or run failed.

        With ``$WORKBENCH_DASK_SCHEDULER`` set, they are made on that Dask cluster.
        `recovery` is "none", "calibrate", or "fine-tune" (which calibrates first).
        """
        assert self.plan.spectra is not None
        network, data, problem = self.opened.network, self.opened.data, ""
        if not len(data.validation) and not len(data.train):
            raise ValueError(
                f"{data.name} has no images for training or validation to compare runs by: choose other data"
            )
        made: list[tuple[PlanSettings, Plan]] = []
        for ratio in ratios:
            budget = self.planner.changed(planner="budget", layers="all", macs_ratio=ratio, weights_ratio=1.0)
            try:
                made.append((budget, budget.plan(self.plan.spectra, self.importance)))
            except PlanError as error:
                problem = sentence(error)
        if not made:
            raise ValueError(f"none of these budgets can be met: {problem}")
        steps = {} if recovery == "none" else {StageName.CALIBRATED: fit}
        tuned: dict[str, Any] = {**SWEEP_TRAINING, "teacher": network} if recovery == "fine-tune" else {}
        tuned["executor"] = os.environ.get("WORKBENCH_DASK_SCHEDULER") or None
        for run in sweep(network, [plan for _, plan in made], data, steps=steps, progress=report, **tuned):
            if run.error:
                problem = run.error
                continue
            budget = next(budget for budget, plan in made if plan is run.plan)
            used = {**budget.used(), "source": source_of(network), "recovery": recovery}
            yield self.store.keep(replace(run, settings=used, note=f"{run.plan.describe()}; a sweep"))
        if problem:
            raise ValueError(problem)


def fit(compressed: CompressedNetwork, data: Data) -> CompressedNetwork:
    """Calibrate a compressed network on images of the data."""
    return calibrate(compressed, data.unlabelled.sample(CALIBRATION_IMAGES))


def without_images(data: Data) -> Data:
    """Return empty splits under the name of the data, for a network that cannot be scored on them."""
    empty = Split.unlabelled(torch.zeros(0, *data.train.images.shape[1:]))
    return Data(empty, empty, empty, name=data.name)
