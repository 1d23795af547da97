"""Compress to several budgets, and store each run."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from workbench.app.errors import sentence
from workbench.app.steps.plan.settings import PlanSettings
from workbench.app.steps.recover.snapshot import Snapshot
from workbench.app.steps.recover.training import TrainingSettings
from workbench.network.data import Data
from workbench.plan.compressed import CompressedNetwork
from workbench.plan.importance import Importance
from workbench.plan.plan import Plan, PlanError
from workbench.progress import Progress
from workbench.recover.calibrate import calibrate
from workbench.runs.compress import CALIBRATION_IMAGES
from workbench.runs.run import Run, StageName, source_of
from workbench.runs.sweep import sweep


def sweep_budgets(
    now: Snapshot,
    ratios: Sequence[float],
    planner: PlanSettings,
    importance: Importance | None,
    recovery: str,
    training: TrainingSettings,
    report: Progress,
) -> Iterator[Run]:
    """Yield a stored run for each budget; after the last one, ValueError if a budget or a run failed."""
    assert now.plan.spectra is not None
    data, problem = now.opened.data, ""
    if not len(data.validation) or not data.validation.labelled:
        raise ValueError(f"{data.name} has no labelled validation images to compare runs by: choose other data")
    made: list[tuple[PlanSettings, Plan]] = []
    for ratio in ratios:
        budget = planner.changed(planner="budget", layers="all", macs_ratio=ratio, weights_ratio=1.0)
        try:
            made.append((budget, budget.plan(now.plan.spectra, importance)))
        except PlanError as error:
            problem = sentence(error)
    if not made:
        raise ValueError(f"none of these budgets can be met: {problem}")
    tuned: dict[str, Any] = {}
    if recovery == "fine-tune":
        tuned = {"epochs": training.epochs, "learning_rate": training.learning_rate, "schedule": training.schedule}
        tuned["teacher"] = now.opened.network
    steps = {} if recovery == "none" else {StageName.CALIBRATED: fit}
    plans = [plan for _, plan in made]
    for run in sweep(now.opened.network, plans, data, steps=steps, progress=report, **tuned):
        if run.error:
            problem = run.error
            continue
        budget = next(budget for budget, plan in made if plan is run.plan)
        used = {**budget.used(), "source": source_of(now.opened.network), "recovery": recovery}
        yield now.store.keep(replace(run, settings=used, note=f"{run.plan.describe()}; a sweep"))
    if problem:
        raise ValueError(problem)


def fit(compressed: CompressedNetwork, data: Data) -> CompressedNetwork:
    """Calibrate a compressed network on images of the data."""
    return calibrate(compressed, data.unlabelled.sample(CALIBRATION_IMAGES))
