"""Compress a network automatically: plan, decompose, recover, and plan more gently while too much is lost."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.network.data import Data
from workbench.network.network import Network, expect_network
from workbench.plan.budget import Pin, budget_plan
from workbench.plan.compressed import CompressedNetwork
from workbench.plan.evbmf import evbmf_plan
from workbench.plan.importance import Importance
from workbench.plan.plan import Plan, PlanError
from workbench.plan.spectra import Spectra, analyze
from workbench.progress import Progress, part, reporter
from workbench.recover.calibrate import calibrate
from workbench.recover.checkpoint import Epoch
from workbench.recover.decompose import decompose
from workbench.recover.finetune import finetune
from workbench.runs.run import Run, StageName, scored_stage, source_of
from workbench.runs.store import RunStore, StoreError
from workbench.tables import times

MAX_DROP = 0.01  # share of top-1 that may be lost
MAX_ATTEMPTS = 3  # plans that are tried
FIRST_MACS_RATIO = 2.0  # budget that is tried where the plan at hand saves nothing
MIN_MACS_RATIO = 1.05  # budget below which no gentler plan is tried
CALIBRATION_IMAGES = 200  # images to calibrate with: more are slower and hardly better
FINE_TUNING: Mapping[str, Any] = {"epochs": 10, "learning_rate": 1e-3, "schedule": "cosine"}  # settings of fine-tuning


def compress(
    network: Network,
    data: Data,
    *,
    max_drop: float = MAX_DROP,
    plan: Plan | None = None,
    settings: Mapping[str, Any] | None = None,
    spectra: Spectra | None = None,
    importance: Importance | None = None,
    store: RunStore | None = None,
    checkpoint: str | Path | None = None,
    on_stage: Callable[[Run], object] | None = None,
    on_epoch: Callable[[Epoch], object] | None = None,
    progress: Progress | bool | None = None,
) -> Run:
    """Compress a network and recover it; if too much is lost, try again by gentler budgets.

    Each try decomposes, calibrates on images without labels, and fine-tunes where labels are at hand and more than half
    of `max_drop` is lost. It ends with the first try that loses at most `max_drop`, or with the last of three. What is
    lost is judged by the validation images; without labels by the agreement with the original; never by the test
    images: where they are all there is, the first try is the result.

    Parameters
    ----------
    max_drop : share of top-1 that may be lost: 0.01 is one point.
    plan : what to try first; None for EVBMF's. Choices by hand in it are kept in all tries.
    settings : settings that made `plan`, stored with its run; JSON values.
    importance : for the gentler budgets; None to measure errors in the weights.
    store : where each try is stored, stage by stage.
    checkpoint, on_epoch : of fine-tuning.
    on_stage : called with the run after each stage of each try.
    progress : called all along; raising `Cancelled` ends everything, and the stages so far are in the store.

    Raises
    ------
    PlanError : if a plan does not fit the network.
    """
    expect_network(network)
    report = reporter(progress)
    spectra = spectra or analyze(network, progress=part(report, 0.0, 0.05))
    used: dict[str, Any] = dict(settings or {"planner": "evbmf", "layers": "default", "strength": 1.0})
    tried = plan or evbmf_plan(spectra)
    why = ""
    if tried.saves_nothing:
        tried, used = _gentler(spectra, FIRST_MACS_RATIO, tried, importance)
        why = f"The plan saved nothing: this one is for MACs {times(tried.macs_ratio)} fewer"
    original = scored_stage(network, data, StageName.ORIGINAL, note=network.source, progress=part(report, 0.05, 0.1))
    labelled = all(len(split) and split.labelled for split in (data.train, data.validation))

    def reach(run: Run, made: CompressedNetwork, name: StageName, note: str) -> Run:
        """Score a stage, store it, also if it is cancelled then, and report it."""
        run = stored(run.with_stage(scored_stage(made, data, name, note=note), made), store)
        if on_stage:
            on_stage(run)
        return run

    for number in range(MAX_ATTEMPTS):
        begin = 0.1 + 0.9 * number / MAX_ATTEMPTS
        share = part(report, begin, begin + 0.9 / MAX_ATTEMPTS, f"try {number + 1}")
        made = decompose(network, tried, progress=part(share, 0.0, 0.1, "decomposing"))
        run = Run.of(made, data.name, (original,), settings={**used, "source": source_of(network)})
        about = f"{tried.describe()}; {why}" if why else tried.describe()
        run = reach(run, made, StageName.DECOMPOSED, about)
        share(0.15, "decomposed: scored")
        if len(data.train) or len(data.validation):
            images = data.unlabelled.sample(CALIBRATION_IMAGES)
            made = calibrate(made, images, progress=part(share, 0.15, 0.35, "calibrating"))
            about += f"; calibrated on {len(images)} {images.name} images without labels"
            run = reach(run, made, StageName.CALIBRATED, about)
            share(0.4, "calibrated: scored")
        lost = run.lost()
        if labelled and lost is not None and lost > max_drop / 2:
            tuning = {**FINE_TUNING, "progress": part(share, 0.4, 0.95, "fine-tuning")}
            made = finetune(made, data, teacher=network, checkpoint=checkpoint, on_epoch=on_epoch, **tuning)
            about += f"; {len(made.history)} epochs of fine-tuning with labels and the original's answers"
            run = reach(run, made, StageName.FINE_TUNED, about)
            lost = run.lost()
        ratio = 1 + (tried.macs_ratio - 1) / 2
        if lost is None or lost <= max_drop or ratio < MIN_MACS_RATIO:
            break
        tried, used = _gentler(spectra, ratio, tried, importance)
        why = f"{100 * lost:.1f} points were lost before: this plan is for MACs {times(tried.macs_ratio)} fewer"
    report(1.0, "")
    return run


def stored(run: Run, store: RunStore | None) -> Run:
    """Return the run as it is in the store, which it is added to or updated in; a failure is in its `error`."""
    if store is None:
        return run
    try:
        return store.update(run) if run.number else store.add(run)
    except StoreError as error:
        return replace(run, error=f"the run is not stored: {error}")


def _gentler(
    spectra: Spectra, macs_ratio: float, plan: Plan, importance: Importance | None
) -> tuple[Plan, dict[str, Any]]:
    """Return a plan for a budget that keeps the choices by hand if it can, and its settings."""
    pinned: dict[str, Pin] = {
        part.name: "keep" if part.rank_out is None else (part.rank_in, part.rank_out) for part in plan.by_hand
    }
    settings: dict[str, Any] = {"planner": "budget", "layers": "all", "macs_ratio": macs_ratio}
    settings |= {"weights_ratio": 1.0, "rank_multiple": 1}
    try:
        found = budget_plan(spectra, macs_ratio, importance=importance, pinned=pinned)
    except PlanError:  # what is kept by hand is in the way
        return budget_plan(spectra, macs_ratio, importance=importance), settings
    for chosen in plan.by_hand:
        found = found.with_layer(chosen)
    return found, settings
