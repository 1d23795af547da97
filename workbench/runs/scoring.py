"""Score a network at a stage, and say what may be said of what a run saved and lost."""

import torch

from workbench.network.data import Data
from workbench.network.network import Network
from workbench.network.outputs import are_classes
from workbench.network.scores import Metric, Score, accuracy, agreement, score
from workbench.network.verdict import MAX_DROP_POINTS, Z_95, Finding, Verdict, images_needed
from workbench.plan.plan import Plan
from workbench.progress import Progress, part, reporter
from workbench.runs.run import Run, Stage, StageName

AGREEMENT_IMAGES = 1000
"""Images without labels on which agreement with the original is measured, at most."""


def scored_stage(
    network: Network,
    data: Data | None,
    name: StageName,
    *,
    metric: Metric | None = None,
    note: str = "",
    progress: Progress | bool | None = None,
) -> Stage:
    """Score a network on the images to choose by, see :func:`choosing_scores`, and on the test images to report."""
    report = reporter(progress)
    if data is None:
        return Stage(name, {}, note)
    scores = choosing_scores(network, data, metric=metric, progress=part(report, 0.0, 0.5))
    if len(data.test) and data.test.labelled:
        scores["test"] = score(network, data.test, metric=metric, progress=part(report, 0.5, 1.0))
    report(1.0, "")
    return Stage(name, scores, note)


def choosing_scores(
    network: Network, data: Data, *, metric: Metric | None = None, progress: Progress | bool | None = None
) -> dict[str, Score]:
    """Score a network on the images to choose by, never on the test images.

    "validation" is the metric or the accuracy on the validation images; without labels it is the agreement with the
    original on them, or on training images where there are no others. "unlabelled" is the agreement on training images
    without labels that are held out (:attr:`~workbench.network.data.Data.held_out`), if they are more than those for
    validation. Without a metric there is no score where the outputs are no classes.
    """
    report, train, validation = reporter(progress), data.train, data.validation
    held_out = data.held_out
    split = validation if len(validation) else held_out if len(held_out) else train
    if not len(split):
        return {}
    if metric is not None:
        return {"validation": score(network, split, metric=metric)}
    with torch.inference_mode():
        if not are_classes(network.run(network.inputs(split.images[torch.zeros(1, dtype=torch.long)]))):
            return {}
    pairs = {"validation": split.sample(AGREEMENT_IMAGES)}
    if len(held_out):
        pairs["unlabelled" if len(train) and len(validation) else "validation"] = held_out
    scores: dict[str, Score] = {}
    if len(validation) and validation.labelled:
        del pairs["validation"]
        scores["validation"] = accuracy(network, validation, progress=part(report, 0.0, 0.5))
    for name, images in pairs.items():
        if network.original is None:
            scores[name] = Score(1.0, 1.0, len(images), "agreement")
        else:
            scores[name] = agreement(network, images, progress=part(report, 0.5, 1.0))
    return scores


def points_lost(run: Run, max_drop: float = MAX_DROP_POINTS) -> float | None:
    """Return the points that were lost on the images that judge a run; None if nothing judges it."""
    verdict = run.verdict(max_drop=max_drop)
    lost = run.lost() if verdict is None else verdict.lost
    return None if lost is None else 100 * lost


def accuracy_lost(run: Run, max_drop: float = MAX_DROP_POINTS) -> tuple[float, float] | None:
    """Return the points of accuracy that the last stage is expected to have lost, and the upper end of their interval.

    Where labels judge a run these are what was lost; without, they follow from the original's own probabilities, see
    :class:`~workbench.network.scores.Score`; their interval is Wald's, which has no width if no answer changed. None if
    nothing judges the run.
    """
    verdict, lost = run.verdict(max_drop=max_drop), points_lost(run, max_drop)
    if lost is None or verdict is None:
        return None if lost is None else (lost, lost)
    score = run.score(verdict.split)
    losses = None if score is None else score.losses
    if losses is None:
        return lost, 100 * verdict.high
    error = Z_95 * float(losses.std()) / len(losses) ** 0.5
    return 100 * float(losses.mean()), 100 * (float(losses.mean()) + error)


def judgement(run: Run, max_drop: float = MAX_DROP_POINTS) -> str:
    """Return what may be said of the loss of a run: its verdict, or why there is none."""
    verdict, score, lost = run.verdict(max_drop=max_drop), run.score(), run.lost()
    if verdict is not None:
        needed = images_needed(max_drop)
        few = verdict.n < needed and not verdict.tolerable
        loss = f"a loss of {max_drop:g} point{'' if max_drop == 1 else 's'}"
        return f"{verdict}; {needed} images or more can exclude {loss}" if few else str(verdict)
    if score is not None and lost is not None:
        what = f"{score.kind} {lost:.4g} lower" if lost > 0 else f"{score.kind} {-lost:.4g} higher"
        return f"{what} on {score.n} images, of which chance may be a part"
    return "not judged: there are no images to judge it by, or the outputs are no classes"


def summary(run: Run) -> str:
    """Return what a run saved and lost, without a full stop.

    The test images judge it if there are any, because nothing was chosen by them; else those that it was chosen by.
    """
    return f"{saving_text(run.plan)}, {_quality(run.verdict('test') or run.verdict())}"


def saving_text(plan: Plan) -> str:
    """Return how much less work and how much smaller a planned network is, in words."""
    pairs = (plan.macs_ratio, "less work", "more work"), (plan.weights_ratio, "smaller", "larger")
    return ", ".join(f"{float(f'{max(r, 1 / r):.2g}'):g} times {less if r >= 1 else more}" for r, less, more in pairs)


def _quality(verdict: Verdict | None) -> str:
    if verdict is None:
        return "but its answers were not compared on any images: bring some in Choose, and compress again"
    where, accurate = f"on {verdict.n} images", verdict.kind == "accuracy"
    if verdict.finding is Finding.NO_LOSS:
        return f"as accurate as before {where}" if accurate else f"with the same answers as before {where}"
    doubt = ", too few to tell" if verdict.finding is Finding.TOO_FEW else ""
    lost = 100 * verdict.lost
    if not accurate:
        return f"{lost:.1f} % of the answers changed {where}{doubt}"
    return f"{abs(lost):.1f} points {'more' if lost < 0 else 'less'} accurate {where}{doubt}"
