"""Compress a network automatically: plan, decompose, recover; search for the ratio of MACs that loses little enough."""

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
from workbench.runs.attempt import Attempts, stored
from workbench.runs.run import Run
from workbench.runs.scoring import accuracy_lost, judgement
from workbench.runs.search import BEGIN_SHARE, Clock, OutOfTimeError, Try, best_of, lines, next_ratio
from workbench.runs.store import RunStore
from workbench.tables import times

MAX_TRIES, MAX_TRIES_IN_MINUTES = 3, 12
"""Largest number of plans that are tried, without a limit of time and with one."""
FORECAST_IMAGES = 48
"""Largest number of images that forecasts are made on."""
FIRST_MACS_RATIO = 2.0
"""Original / compressed MACs of the first plan if the given one saves nothing."""
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

    The first plan is for the largest ratio of MACs at which no more than `max_drop` points of accuracy are expected to
    be lost, see :meth:`~workbench.plan.plan.Plan.forecast`; later ones go by that forecast too, corrected by what the
    try before lost. Each try decomposes, calibrates on images without labels, and fine-tunes where labels are at hand
    and more than half of `max_drop` is lost. A try is good if the whole 95 % interval of its loss is at most `max_drop`
    points; if there are too few images to show this for any plan, if it loses at most `max_drop` on them. The search
    ends with the first good try, after three tries, or if the next ratio is too small to be worth a try. With `minutes`
    it goes on: larger ratios follow a good try, and the good one that saves most is the result, of those whose interval
    shows it if there are any, unless only images that were learned from can judge it (fewer than 60 and none for
    validation): it changes few of their answers at any ratio. The run's note says what was found, and its `tries` what
    was tried and taken back.

    The loss is of accuracy on validation images with labels, or what is expected of images without labels, whichever
    has the narrower interval, see :meth:`~workbench.runs.run.Run.verdict`. Without labels an answer that changed loses
    as much as the original itself holds it less probable than its own: many answers change between classes that are
    nearly as probable, and few of these are mistakes. It is never measured on the test images: if there are no others,
    the first try is the result.

    Parameters
    ----------
    data : a Data; else images, all to train on, or the path of a folder of them, whose splits are used.
    max_drop : points of top-1 accuracy that may be lost, in hundredths of the images; of a metric, hundredths of its
        unit.
    minutes : to spend in all; None for no limit. The first try is always finished; another is begun if it takes no
        longer than what is left. Fine-tuning takes at most half of what is left, with as few epochs as that needs.
    metric : a function (network, split) -> number to measure the loss by instead; more is better. It has no interval,
        so its value alone decides, and the run's note says so.
    plan : the first plan to try; None for that of the forecast, or EVBMF's where nothing can be forecast: without
        images for training or validation, with a metric, or where the outputs are no classes. Layers that were set by
        hand in it stay so in later tries, unless the budget cannot be met with them.
    settings : settings that made `plan`, stored with its run; JSON values.
    importance : of the layers, if it is known; else it is measured on 48 images if `plan` is None.
    store : where each try is stored, stage by stage.
    checkpoint, on_epoch : passed to :func:`~workbench.recover.finetune.finetune`. The file belongs to the search: it is
        deleted after each training, and before one if it is the checkpoint of another.
    on_stage : called with the run after each stage of each try, and with the result if something was taken back.
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
    spectra = spectra or analyze(network, progress=part(clock, 0.0, BEGIN_SHARE / 4))
    usable = metric is None and bool(len(data.train) or len(data.validation))
    if usable and plan is None and importance is None:
        images, share = data.unlabelled.sample(FORECAST_IMAGES), part(clock, BEGIN_SHARE / 4, BEGIN_SHARE / 2)
        importance = measure_importance(network, spectra, images, progress=share)
    candidates = Candidates(spectra, importance, max_drop if usable else None)
    tried, used, why = candidates.first(plan, settings)
    attempts = Attempts(network, data, clock, max_drop, metric, store, checkpoint, on_stage, on_epoch)
    # images that were learned from would judge any ratio to be good
    larger = minutes is not None and bool(len(data.held_out) or (len(data.train) and len(data.validation)))
    tries: list[Try] = []
    out_of_reach: list[Try] = []  # ratios for which there is no plan
    plans: list[Plan] = []
    longest, unfinished = 0.0, ""
    while True:
        began = clock.elapsed
        plans.append(tried)
        last = len(plans) == (MAX_TRIES if minutes is None else MAX_TRIES_IN_MINUTES)
        clock.stops = any(one.good for one in tries)
        try:
            run, taken_back = attempts.make(tried, used, why, clock.of_try(len(plans), last))
        except OutOfTimeError:
            unfinished = f"MACs {times(tried.macs_ratio)} fewer, not finished within {minutes:g} minutes"
            break
        longest = max(longest, clock.elapsed - began)
        tries.append(_judged(run, max_drop, taken_back))
        if best_of(tries) == len(tries) - 1:
            kept = run
        following, ended = None, "enough plans were tried" if last else "there was no time for another try"
        while following is None and not last and longest < clock.left:
            lost = accuracy_lost(run, max_drop)
            expected = None if lost is None or out_of_reach else candidates.expected_ratio(tried, lost[0])
            ratio = next_ratio([*tries, *out_of_reach], larger=larger and lost is not None, expected=expected)
            if ratio is None:
                unjudged = tries[-1].good and not larger
                ended = (
                    "only images that were learned from could judge more" if unjudged else "no other was worth a try"
                )
                break
            try:
                following = candidates.budget(ratio, tried)
            except PlanError:
                out_of_reach.append(Try(ratio, False))
        ended = "there was no other plan to try" if following is not None else ended
        if following is None or any(following[0].same_decisions(plan) for plan in plans):
            break
        tried, used = following
        why = f"the plan before: {judgement(run, max_drop)}; this plan is for MACs {times(tried.macs_ratio)} fewer"
    taken = lines(tries, unfinished, "" if minutes is None else ended)
    if taken:
        kept = stored(replace(kept, tries=taken), store, weights=False)
        if on_stage:
            on_stage(kept)
    report(1.0, "")
    return kept


def _judged(run: Run, max_drop: float, taken_back: str) -> Try:
    """Return whether little enough is lost; where too few images could show it of any plan, their loss decides."""
    verdict, lost = run.verdict(max_drop=max_drop), accuracy_lost(run, max_drop)
    unknowable = verdict is None or verdict.n < images_needed(max_drop)
    good = lost is None or lost[0 if unknowable else 1] <= max_drop
    loss = judgement(run, max_drop) if verdict is None else str(verdict)
    if verdict is not None and verdict.kind == "agreement" and lost is not None:
        loss += f", {lost[0]:.1f} points of accuracy by the original's probabilities"
    shown = not unknowable and lost is not None and lost[1] <= max_drop
    return Try(run.plan.macs_ratio, good, shown, loss, taken_back)


@dataclass(frozen=True)
class Candidates:
    """The plans to try for a network.

    Parameters
    ----------
    importance : of the layers; None to measure errors in the weights.
    max_drop : points of accuracy that may be lost; None if nothing can be forecast of the loss.
    """

    spectra: Spectra
    importance: Importance | None
    max_drop: float | None

    def first(self, plan: Plan | None, settings: Mapping[str, Any] | None) -> tuple[Plan, dict[str, Any], str]:
        """Return the first plan, the settings that made it, and why it is not the given one in words, or ""."""
        ratio = self.expected_ratio() if plan is None else None
        given = plan or evbmf_plan(self.spectra)
        if ratio is not None and self.importance is not None:
            found, used = self.budget(ratio, given)
            return found, used, f"MACs {times(found.macs_ratio)} fewer: {self.importance.forecast(found.ranks)}"
        if given.saves_nothing:
            found, used = self.budget(FIRST_MACS_RATIO, given)
            return found, used, f"The plan saved nothing: this one is for MACs {times(found.macs_ratio)} fewer"
        default = {"planner": "evbmf", "layers": "default", "strength": 1.0} if plan is None else {}
        return given, dict(settings or default), ""

    def expected_ratio(self, tried: Plan | None = None, lost: float = 0.0) -> float | None:
        """Return the largest ratio of MACs that is expected to lose little enough; None if nothing can be forecast.

        After a plan was `tried` and `lost` that many points, forecasts are corrected by the factor found there.
        """
        if self.importance is None or self.max_drop is None:
            return None
        correction = 1.0
        if tried is not None:
            expected = 100 * (self.importance.forecast(tried.ranks).accuracy_lost or 0.0)
            correction = min(max(expected / max(lost, 1e-9), 1 / MAX_CORRECTION), MAX_CORRECTION)
        return largest_ratio(self.spectra, self.importance, correction * self.max_drop / 100)

    def budget(self, macs_ratio: float, plan: Plan) -> tuple[Plan, dict[str, Any]]:
        """Return a plan for a budget of MACs and its settings; layers set by hand in `plan` stay so if that can be met.

        Raises PlanError if there is no plan for the budget.
        """
        by_hand = {part.name: part for part in plan.by_hand}
        try:
            found = budget_plan(self.spectra, macs_ratio, importance=self.importance, pinned=by_hand)
        except PlanError:  # the budget cannot be met with the layers set by hand
            found = budget_plan(self.spectra, macs_ratio, importance=self.importance)
        settings = {"planner": "budget", "layers": "all", "macs_ratio": macs_ratio}
        return found, {**settings, "weights_ratio": 1.0, "rank_multiple": 1}
