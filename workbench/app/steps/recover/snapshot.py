"""Copy of the page's state for an action, with the parts that actions share: score stages, store runs, sweep."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.app.errors import sentence
from workbench.app.steps.choose.model import Opened
from workbench.app.steps.plan.settings import PlanSettings
from workbench.app.stored_runs import StoredRuns
from workbench.network.data import Data, empty_split
from workbench.plan.compressed import CompressedNetwork
from workbench.plan.importance import Importance
from workbench.plan.plan import Plan, PlanError
from workbench.progress import Progress
from workbench.recover.calibrate import CALIBRATION_IMAGES, calibrate
from workbench.runs.run import Run, Stage, StageName, source_of
from workbench.runs.scoring import scored_stage
from workbench.runs.sweep import sweep

SWEEP_TRAINING = {"epochs": 5, "learning_rate": 1e-3, "schedule": "cosine"}
"""Settings of fine-tuning in a sweep."""


@dataclass(frozen=True)
class Snapshot:
    """Copy of the page's state, taken when the user starts an action, so that later changes do not affect it."""

    opened: Opened
    store: StoredRuns
    plan: Plan
    plan_settings: PlanSettings  # settings that `plan` was made with
    settings: PlanSettings  # settings on the page, used by a sweep
    importance: Importance | None
    run: Run | None
    checkpoint: Path | None

    def current_run(self, verb: str) -> tuple[Run, CompressedNetwork]:
        """Return the current run and its network; raise ValueError, naming the action (`verb`), if there is none."""
        if self.run is None or self.run.network is None:
            raise ValueError(f"compress the network first: there is nothing to {verb} yet")
        return self.run, self.run.network

    def stage(self, network: CompressedNetwork, name: StageName, note: str) -> Stage:
        """Return a stage with the scores of a network."""
        return scored_stage(network, self.opened.scored_data, name, note=note)

    def new_run(self, network: CompressedNetwork, note: str) -> Run:
        """Store a new run of a network that was just decomposed, and return it."""
        stages = (self.opened.original, self.stage(network, StageName.DECOMPOSED, note))
        settings = {**self.plan_settings.used(), "source": source_of(self.opened.network)}
        return self.store.save(Run.of(network, self.opened.data.name, stages, settings=settings, note=note))

    def sweep(self, ratios: Sequence[float], recovery: str, report: Progress) -> Iterator[Run]:
        """Yield a stored run for each budget of MACs; raise ValueError after the last one if any budget or run failed.

        With ``$WORKBENCH_DASK_SCHEDULER`` set, that Dask cluster computes the runs.
        `recovery` is "none", "calibrate", or "fine-tune" (which calibrates first).
        """
        assert self.plan.spectra is not None
        network, data, problem = self.opened.network, self.opened.data, ""
        if self.opened.misfit:
            raise ValueError(self.opened.misfit)
        if not len(data.validation) and not len(data.train):
            raise ValueError(
                f"{data.name} has no images for training or validation to compare runs by: choose other data"
            )
        plans: list[tuple[PlanSettings, Plan]] = []
        for ratio in ratios:
            budget = self.settings.changed(planner="budget", layers="all", macs_ratio=ratio, weights_ratio=1.0)
            try:
                plans.append((budget, budget.plan(self.plan.spectra, self.importance)))
            except PlanError as error:
                problem = sentence(error)
        if not plans:
            raise ValueError(f"none of these budgets can be met: {problem}")
        steps = {} if recovery == "none" else {StageName.CALIBRATED: calibrate_on}
        options: dict[str, Any] = {**SWEEP_TRAINING, "teacher": network} if recovery == "fine-tune" else {}
        options["executor"] = os.environ.get("WORKBENCH_DASK_SCHEDULER") or None
        for run in sweep(network, [plan for _, plan in plans], data, steps=steps, progress=report, **options):
            if run.error:
                problem = run.error
                continue
            budget = next(budget for budget, plan in plans if plan is run.plan)
            settings = {**run.settings, **budget.used(), "source": source_of(network), "recovery": recovery}
            yield self.store.save(replace(run, settings=settings, note=f"{run.plan.describe()}; a sweep"))
        if problem:
            raise ValueError(problem)


def calibrate_on(compressed: CompressedNetwork, data: Data) -> CompressedNetwork:
    """Calibrate a compressed network on images of the data."""
    return calibrate(compressed, data.unlabelled.sample(CALIBRATION_IMAGES))


def without_images(data: Data) -> Data:
    """Return empty splits under the name of the data, for a network that cannot be scored on them."""
    empty = empty_split("images", *data.train.images.shape[1:])
    return Data(empty, empty, empty, name=data.name)
