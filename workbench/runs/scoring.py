"""Score a network at a stage, and describe the saving and the loss of a run in words."""

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
"""Largest number of images on which agreement with the original is measured."""


def scored_stage(
    network: Network,
    data: Data | None,
    name: StageName,
    *,
    metric: Metric | None = None,
    note: str = "",
    progress: Progress | bool | None = None,
) -> Stage:
    """Score a network for choosing between runs, see :func:`selection_scores`, and on labelled test images."""
    report = reporter(progress)
    if data is None:
        return Stage(name, {}, note)
    scores = selection_scores(network, data, metric=metric, progress=part(report, 0.0, 0.5))
    if len(data.test) and data.test.labelled:
        scores["test"] = score(network, data.test, metric=metric, progress=part(report, 0.5, 1.0))
    report(1.0, "")
    return Stage(name, scores, note)


def selection_scores(
    network: Network, data: Data, *, metric: Metric | None = None, progress: Progress | bool | None = None
) -> dict[str, Score]:
    """Return the scores by which runs are chosen, by name of the split; test images are never used.

    "validation" is the metric or the accuracy on the validation images; without labels it is the agreement with the
    original on them, or on training images if there are no others. "unlabelled" is the agreement on unlabelled training
    images that are held out (:attr:`~workbench.network.data.Data.held_out`), if there are more of them than validation
    images. Without a metric there is no score if the outputs are no classes.
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
    agreement_images = {"validation": split.sample(AGREEMENT_IMAGES)}
    if len(held_out):
        agreement_images["unlabelled" if len(train) and len(validation) else "validation"] = held_out
    scores: dict[str, Score] = {}
    if len(validation) and validation.labelled:
        del agreement_images["validation"]
        scores["validation"] = accuracy(network, validation, progress=part(report, 0.0, 0.5))
    for name, images in agreement_images.items():
        if network.original is None:
            scores[name] = Score(1.0, 1.0, len(images), "agreement")
        else:
            scores[name] = agreement(network, images, progress=part(report, 0.5, 1.0))
    return scores


def points_lost(run: Run, max_drop: float = MAX_DROP_POINTS) -> float | None:
    """Return the loss of a run's verdict in points, or else that on the validation images; None if unknown."""
    verdict = run.verdict(max_drop=max_drop)
    loss = run.lost() if verdict is None else verdict.lost
    return None if loss is None else 100 * loss


def accuracy_lost(run: Run, max_drop: float = MAX_DROP_POINTS) -> tuple[float, float] | None:
    """Return the loss of accuracy of a run in points, and the upper end of its 95 % interval; None if unknown.

    With labels it is the loss of the verdict. Without, it is estimated from the original's probabilities, see
    :class:`~workbench.network.scores.Score`, with Wald's interval, which has no width if no answer changed.
    """
    verdict, points = run.verdict(max_drop=max_drop), points_lost(run, max_drop)
    if points is None or verdict is None:
        return None if points is None else (points, points)
    score = run.score(verdict.split)
    losses = None if score is None else score.losses
    if losses is None:
        return points, 100 * verdict.high
    half_width = Z_95 * float(losses.std()) / len(losses) ** 0.5
    return 100 * float(losses.mean()), 100 * (float(losses.mean()) + half_width)


def judgement(run: Run, max_drop: float = MAX_DROP_POINTS) -> str:
    """Return the verdict on a run in words, the change of its metric, or why it has neither."""
    verdict, score, loss = run.verdict(max_drop=max_drop), run.score(), run.lost()
    if verdict is not None:
        needed = images_needed(max_drop)
        too_few = verdict.n < needed and not verdict.tolerable
        points = f"{max_drop:g} point{'' if max_drop == 1 else 's'}"
        return f"{verdict}; {needed} images or more can exclude a loss of {points}" if too_few else str(verdict)
    if score is not None and loss is not None:
        change = f"{loss:.4g} lower" if loss > 0 else f"{-loss:.4g} higher"
        return f"{score.kind} {change} on {score.n} images, of which chance may be a part"
    return "not judged: there are no images to judge it by, or the outputs are no classes"


def summary(run: Run) -> str:
    """Return a run's saving and loss in words, without a full stop.

    The loss is that on the test images, which no choice depends on, or else that of the run's verdict.
    """
    return f"{saving_text(run.plan)}, {_loss_text(run.verdict('test') or run.verdict())}"


def saving_text(plan: Plan) -> str:
    """Return text like "2.5 times less work, 3 times smaller"."""
    pairs = (plan.macs_ratio, "less work", "more work"), (plan.weights_ratio, "smaller", "larger")
    return ", ".join(f"{float(f'{max(r, 1 / r):.2g}'):g} times {less if r >= 1 else more}" for r, less, more in pairs)


def _loss_text(verdict: Verdict | None) -> str:
    if verdict is None:
        return "but its answers were not compared on any images: bring some in Choose, and compress again"
    images, has_labels = f"on {verdict.n} images", verdict.kind == "accuracy"
    if verdict.finding is Finding.NO_LOSS:
        return f"as accurate as before {images}" if has_labels else f"with the same answers as before {images}"
    doubt = ", too few to tell" if verdict.finding is Finding.TOO_FEW else ""
    loss = 100 * verdict.lost
    if not has_labels:
        return f"{loss:.1f} % of the answers changed {images}{doubt}"
    return f"{abs(loss):.1f} points {'more' if loss < 0 else 'less'} accurate {images}{doubt}"
