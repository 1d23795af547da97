"""Compress a network automatically: plan, decompose, recover; repeat with smaller ratios while too much is lost."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from workbench.network.data import Data
from workbench.network.inputs import Images, data_of
from workbench.network.network import Network, expect_network
from workbench.network.scores import Metric
from workbench.network.verdict import MAX_DROP_POINTS, images_needed
from workbench.plan.budget import Pin, budget_plan
from workbench.plan.compressed import CompressedNetwork
from workbench.plan.evbmf import evbmf_plan
from workbench.plan.importance import Importance
from workbench.plan.plan import Plan, PlanError
from workbench.plan.spectra import Spectra, analyze
from workbench.progress import Progress, part, reporter
from workbench.recover.calibrate import CALIBRATION_IMAGES, calibrate
from workbench.recover.checkpoint import Epoch
from workbench.recover.decompose import decompose
from workbench.recover.finetune import finetune
from workbench.runs.run import Run, Stage, StageName, source_of
from workbench.runs.scoring import judgement, points_lost, scored_stage
from workbench.runs.store import RunStore, StoreError
from workbench.tables import times

MAX_ATTEMPTS = 3
"""Largest number of plans that are tried."""
FIRST_MACS_RATIO = 2.0
"""Original / compressed MACs of the first try if the given plan saves nothing."""
MIN_MACS_RATIO = 1.05
"""Smallest original / compressed MACs that is tried."""
FINE_TUNING: Mapping[str, Any] = {"epochs": 10, "learning_rate": 1e-3, "schedule": "cosine"}
"""Settings of fine-tuning."""


def compress(
    network: Network,
    data: Data | Images,
    *,
    max_drop: float = MAX_DROP_POINTS,
    metric: Metric | None = None,
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
    """Compress a network and recover its accuracy; if too much is lost, try again with smaller ratios of MACs.

    Each try decomposes, calibrates on images without labels, and fine-tunes where labels are at hand and more than half
    of `max_drop` is lost. The search ends with the first try whose whole 95 % interval of the loss is at most
    `max_drop` points. If there are too few images to show this for any plan, it ends with the first try that loses at
    most `max_drop` on them. It also ends after three tries, or if the next ratio is too small to be worth a try. The
    run's note says what was found.

    The loss is measured by accuracy on validation images with labels, or by the share of changed answers on images
    without labels, whichever has the narrower interval, see :meth:`~workbench.runs.run.Run.verdict`. It is never
    measured on the test images: if there are no others, the first try is the result.

    Parameters
    ----------
    data : a Data; else images, all to train on, or the path of a folder of them, whose splits are used.
    max_drop : points of top-1 that may be lost; of a metric, hundredths of its unit.
    metric : a function (network, split) -> number to measure the loss by instead; more is better. It has no interval,
        so its value alone decides, and the run's note says so.
    plan : the first plan to try; None for EVBMF's. Layers that were set by hand in it stay so in later
        tries, unless the budget cannot be met with them.
    settings : settings that made `plan`, stored with its run; JSON values.
    importance : of the layers, for the plans after the first; None to measure errors in the weights.
    store : where each try is stored, stage by stage.
    checkpoint, on_epoch : passed to :func:`~workbench.recover.finetune.finetune`.
    on_stage : called with the run after each stage of each try.
    progress : called during all work; if it raises `Cancelled`, the work ends, and the store has the stages so far.

    Raises
    ------
    PlanError : if a plan does not fit the network.
    ValueError : if `max_drop` is no number above 0.
    """
    expect_network(network)
    data = data_of(network, data)
    needed = images_needed(max_drop)
    report = reporter(progress)
    spectra = spectra or analyze(network, progress=part(report, 0.0, 0.05))
    used: dict[str, Any] = dict(settings or {"planner": "evbmf", "layers": "default", "strength": 1.0})
    tried = plan or evbmf_plan(spectra)
    why = ""
    if tried.saves_nothing:
        tried, used = _gentler(spectra, FIRST_MACS_RATIO, tried, importance)
        why = f"The plan saved nothing: this one is for MACs {times(tried.macs_ratio)} fewer"
    scored: Callable[..., Stage] = partial(scored_stage, metric=metric)
    original = scored(network, data, StageName.ORIGINAL, note=network.source, progress=part(report, 0.05, 0.1))
    labelled = all(len(split) and split.labelled for split in (data.train, data.validation))
    reach = partial(_reach, partial(scored, data=data), max_drop, store, on_stage)
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
        lost = points_lost(run, max_drop)
        if labelled and lost is not None and lost > max_drop / 2:
            tuning = {**FINE_TUNING, "metric": metric, "progress": part(share, 0.4, 0.95, "fine-tuning")}
            made = finetune(made, data, teacher=network, checkpoint=checkpoint, on_epoch=on_epoch, **tuning)
            about += f"; {len(made.history)} epochs of fine-tuning with labels and the original's answers"
            run = reach(run, made, StageName.FINE_TUNED, about)
            lost = points_lost(run, max_drop)
        verdict = run.verdict(max_drop=max_drop)
        shown = verdict is not None and verdict.tolerable
        unknowable = verdict is None or verdict.n < needed  # too few images for any plan
        ratio = 1 + (tried.macs_ratio - 1) / 2
        if shown or (unknowable and (lost is None or lost <= max_drop)) or ratio < MIN_MACS_RATIO:
            break
        tried, used = _gentler(spectra, ratio, tried, importance)
        why = f"the plan before: {judgement(run, max_drop)}; this plan is for MACs {times(tried.macs_ratio)} fewer"
    report(1.0, "")
    return run


def _reach(
    scored: Callable[..., Stage],
    max_drop: float,
    store: RunStore | None,
    on_stage: Callable[[Run], object] | None,
    run: Run,
    made: CompressedNetwork,
    name: StageName,
    note: str,
) -> Run:
    """Return the run with a new stage: score it, judge the loss, store the run, then call `on_stage`."""
    run = run.with_stage(scored(made, name=name, note=note), made)
    run = stored(replace(run, note=f"{note}; {judgement(run, max_drop)}"), store)
    if on_stage:
        on_stage(run)
    return run


def stored(run: Run, store: RunStore | None) -> Run:
    """Add a run to the store, or update it there, and return it; if that fails, its `error` says why."""
    if store is None:
        return run
    try:
        return store.update(run) if run.number else store.add(run)
    except StoreError as error:
        return replace(run, error=f"the run is not stored: {error}")


def _gentler(
    spectra: Spectra, macs_ratio: float, plan: Plan, importance: Importance | None
) -> tuple[Plan, dict[str, Any]]:
    """Return a plan for a budget of MACs and its settings; layers set by hand stay so if the budget can be met."""
    pinned: dict[str, Pin] = {
        part.name: "keep" if part.rank_out is None else (part.rank_in, part.rank_out) for part in plan.by_hand
    }
    settings: dict[str, Any] = {"planner": "budget", "layers": "all", "macs_ratio": macs_ratio}
    settings |= {"weights_ratio": 1.0, "rank_multiple": 1}
    try:
        found = budget_plan(spectra, macs_ratio, importance=importance, pinned=pinned)
    except PlanError:  # the budget cannot be met with the layers set by hand
        return budget_plan(spectra, macs_ratio, importance=importance), settings
    for chosen in plan.by_hand:
        found = found.with_layer(chosen)
    return found, settings
