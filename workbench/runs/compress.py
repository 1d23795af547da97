"""Compress a network automatically: plan, decompose, recover; search for the largest ratio at a tolerated loss."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.network.data import Data
from workbench.network.inputs import Images, data_of
from workbench.network.network import Network, expect_network
from workbench.network.scores import Metric
from workbench.network.verdict import MAX_DROP_POINTS, images_needed
from workbench.plan.budget import budget_plan
from workbench.plan.evbmf import evbmf_plan
from workbench.plan.forecast import largest_ratio
from workbench.plan.importance import Importance
from workbench.plan.importance import importance as measure_importance
from workbench.plan.plan import Plan, PlanError
from workbench.plan.spectra import Spectra, analyze
from workbench.progress import Progress, part, reporter
from workbench.recover.checkpoint import Epoch
from workbench.runs.attempt import Attempts, store_run
from workbench.runs.run import Run
from workbench.runs.scoring import accuracy_lost, judgement
from workbench.runs.search import PREPARATION_SHARE, Clock, OutOfTimeError, Try, best_index, next_ratio, try_lines
from workbench.runs.store import RunStore
from workbench.tables import times

MAX_TRIES, MAX_TRIES_IN_MINUTES = 3, 12
"""Largest number of plans that are tried, without a time limit and with one."""
FORECAST_IMAGES = 48
"""Largest number of images that forecasts are made on."""
FIRST_MACS_RATIO = 2.0
"""Original / compressed MACs of the first plan if the given plan saves nothing."""
MAX_CORRECTION = 4.0
"""Largest factor by which the forecast loss is corrected after a try."""


def compress(
    network: Network,
    data: Data | Images,
    *,
    max_drop: float = MAX_DROP_POINTS,
    minutes: float | None = None,
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

    The first plan has the largest ratio of MACs whose forecast loss is at most `max_drop` points of accuracy, see
    :meth:`~workbench.plan.plan.Plan.forecast`; later ones follow the same forecast, corrected by the loss of the try
    before. Each try decomposes, calibrates on images without labels, and fine-tunes if there are labels and more than
    half of `max_drop` is lost. A try is good if the whole 95 % interval of its loss is at most `max_drop` points; if
    there are too few images for that, the loss itself decides. The search ends with the first good try, after three
    tries, or if the next ratio is too small to be worth a try. With `minutes` it goes on: larger ratios follow a good
    try, and the result is the good try that saves most, preferably one that is good by its interval. No larger ratio
    follows if only training images can judge it (fewer than 60 in all, none for validation), since few of their
    answers change at any ratio. The run's note has the judgement, and its `tries` have a line for each try.

    The loss is measured on validation images with labels, or estimated from images without labels, whichever has the
    narrower interval, see :meth:`~workbench.runs.run.Run.verdict`. Without labels a changed answer loses the difference
    of the original's probabilities for its own answer and the changed one: many answers change between classes that
    are nearly as probable, and few of these are mistakes. Test images never judge a try: if there are no others, the
    first try is the result.

    Parameters
    ----------
    data : a Data; else images, all to train on, or the path of a folder of them, whose splits are used.
    max_drop : points of top-1 accuracy that may be lost, in hundredths of the images; of a metric, hundredths of its
        unit.
    minutes : time limit; None for none. The first try is always finished; another starts if the longest one so far
        fits into the remaining time. Fine-tuning takes at most half of that, with fewer epochs if needed.
    metric : a function (network, split) -> number to measure the loss by instead; more is better. It has no interval,
        so its value alone decides, and the run's note says so.
    plan : the first plan to try; None for that of the forecast, or EVBMF's where there is no forecast: without images
        for training or validation, with a metric, or where the outputs are no classes. Layers that it sets by hand are
        the same in later tries, unless the budget cannot be met with them.
    settings : settings that made `plan`, stored with its run; JSON values.
    importance : of the layers; None to measure it on 48 images if `plan` is None.
    store : where each try is stored, stage by stage.
    checkpoint, on_epoch : passed to :func:`~workbench.recover.finetune.finetune`. The file belongs to the search: it is
        deleted after each training, and before one if it is the checkpoint of another.
    on_stage : called with the run after each stage of each try, and with the result if it has `tries`.
    progress : called during all work; if it raises `Cancelled`, the work ends, and the store has the stages so far.

    Raises
    ------
    PlanError : if a plan does not fit the network.
    ValueError : if `max_drop` or `minutes` is no number above 0.
    """
    expect_network(network)
    data = data_of(network, data)
    images_needed(max_drop)  # raises ValueError if `max_drop` is invalid
    if minutes is not None and not 0 < minutes < float("inf"):
        raise ValueError(f"minutes must be a number above 0, not {minutes}")
    report = reporter(progress)
    clock = Clock(report, minutes)
    spectra = spectra or analyze(network, progress=part(clock, 0.0, PREPARATION_SHARE / 4))
    has_forecast = metric is None and bool(len(data.train) or len(data.validation))
    if has_forecast and plan is None and importance is None:
        measuring = part(clock, PREPARATION_SHARE / 4, PREPARATION_SHARE / 2)
        importance = measure_importance(network, spectra, data.unlabelled.sample(FORECAST_IMAGES), progress=measuring)
    candidates = Candidates(spectra, importance, max_drop if has_forecast else None)
    plan, settings, reason = candidates.first(plan, settings)
    attempts = Attempts(network, data, clock, max_drop, metric, store, checkpoint, on_stage, on_epoch)
    # training images would judge any ratio to be good
    allow_larger = minutes is not None and bool(len(data.held_out) or (len(data.train) and len(data.validation)))
    tries: list[Try] = []
    infeasible: list[Try] = []  # ratios for which there is no plan
    plans: list[Plan] = []
    longest_try_s, unfinished = 0.0, ""
    while True:
        start_s = clock.elapsed
        plans.append(plan)
        is_last = len(plans) == (MAX_TRIES if minutes is None else MAX_TRIES_IN_MINUTES)
        clock.is_strict = any(t.good for t in tries)
        try:
            run, tuning_note = attempts.compress(plan, settings, reason, clock.try_progress(len(plans), is_last))
        except OutOfTimeError:
            unfinished = f"MACs {times(plan.macs_ratio)} fewer, not finished within {minutes:g} minutes"
            break
        longest_try_s = max(longest_try_s, clock.elapsed - start_s)
        tries.append(_judge(run, max_drop, tuning_note))
        if best_index(tries) == len(tries) - 1:
            best_run = run
        following, end_reason = None, "enough plans were tried" if is_last else "there was no time for another try"
        while following is None and not is_last and longest_try_s < clock.remaining:
            points = accuracy_lost(run, max_drop)
            expected = None if points is None or infeasible else candidates.expected_ratio(plan, points[0])
            larger = allow_larger and points is not None
            ratio = next_ratio([*tries, *infeasible], allow_larger=larger, expected=expected)
            if ratio is None:
                unjudged = tries[-1].good and not allow_larger
                end_reason = "only training images could judge more" if unjudged else "no other was worth a try"
                break
            try:
                following = candidates.for_budget(ratio, plan)
            except PlanError:
                infeasible.append(Try(ratio, False))
        end_reason = "there was no other plan to try" if following is not None else end_reason
        if following is None or any(following[0].same_decisions(tried) for tried in plans):
            break
        plan, settings = following
        reason = f"the plan before: {judgement(run, max_drop)}; this plan is for MACs {times(plan.macs_ratio)} fewer"
    lines = try_lines(tries, unfinished, "" if minutes is None else end_reason)
    if lines:
        best_run = store_run(replace(best_run, tries=lines), store, weights=False)
        if on_stage:
            on_stage(best_run)
    report(1.0, "")
    return best_run


def _judge(run: Run, max_drop: float, tuning_note: str) -> Try:
    """Judge the loss of a run: by its whole interval, or by its value if there are too few images to judge any plan."""
    verdict, points = run.verdict(max_drop=max_drop), accuracy_lost(run, max_drop)
    too_few = verdict is None or verdict.n < images_needed(max_drop)
    good = points is None or points[0 if too_few else 1] <= max_drop
    loss = judgement(run, max_drop) if verdict is None else str(verdict)
    if verdict is not None and verdict.kind == "agreement" and points is not None:
        loss += f", {points[0]:.1f} points of accuracy by the original's probabilities"
    certain = not too_few and points is not None and points[1] <= max_drop
    return Try(run.plan.macs_ratio, good, certain, loss, tuning_note)


@dataclass(frozen=True)
class Candidates:
    """Makes the plans to try for a network.

    Parameters
    ----------
    importance : of the layers; None to plan by errors of the weights.
    max_drop : points of accuracy that may be lost; None if the loss cannot be forecast.
    """

    spectra: Spectra
    importance: Importance | None
    max_drop: float | None

    def first(self, plan: Plan | None, settings: Mapping[str, Any] | None) -> tuple[Plan, dict[str, Any], str]:
        """Return the first plan, the settings that made it, and why it replaces the given one, or ""."""
        ratio = self.expected_ratio() if plan is None else None
        default = plan or evbmf_plan(self.spectra)
        if ratio is not None and self.importance is not None:
            first, used = self.for_budget(ratio, default)
            return first, used, f"MACs {times(first.macs_ratio)} fewer: {self.importance.forecast(first.ranks)}"
        if default.saves_nothing:
            first, used = self.for_budget(FIRST_MACS_RATIO, default)
            return first, used, f"The plan saved nothing: this one is for MACs {times(first.macs_ratio)} fewer"
        default_settings = {"planner": "evbmf", "layers": "default", "strength": 1.0} if plan is None else {}
        return default, dict(settings or default_settings), ""

    def expected_ratio(self, plan: Plan | None = None, points: float = 0.0) -> float | None:
        """Return the largest ratio of MACs whose forecast loss is tolerated; None if there is no forecast.

        If a tried `plan` is given, forecasts are corrected by the quotient of its lost `points` and their forecast.
        """
        if self.importance is None or self.max_drop is None:
            return None
        correction = 1.0
        if plan is not None:
            expected = 100 * (self.importance.forecast(plan.ranks).accuracy_lost or 0.0)
            correction = min(max(expected / max(points, 1e-9), 1 / MAX_CORRECTION), MAX_CORRECTION)
        return largest_ratio(self.spectra, self.importance, correction * self.max_drop / 100)

    def for_budget(self, macs_ratio: float, plan: Plan) -> tuple[Plan, dict[str, Any]]:
        """Return a plan for a budget of MACs and its settings; it takes over the layers that `plan` sets by hand.

        If the budget cannot be met with them, it does not. Raises PlanError if there is no plan for the budget.
        """
        by_hand = {layer.name: layer for layer in plan.by_hand}
        try:
            result = budget_plan(self.spectra, macs_ratio, importance=self.importance, pinned=by_hand)
        except PlanError:  # the budget cannot be met with the layers set by hand
            result = budget_plan(self.spectra, macs_ratio, importance=self.importance)
        settings = {"planner": "budget", "layers": "all", "macs_ratio": macs_ratio}
        return result, {**settings, "weights_ratio": 1.0, "rank_multiple": 1}
