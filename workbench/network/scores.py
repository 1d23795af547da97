"""Score a network: accuracy by labels, agreement with the original, or a user's metric."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.network.data import UNLABELLED, Data, Split, fitting_batch
from workbench.network.inputs import Images, inputs_of, split_of
from workbench.network.network import Network, expect_network
from workbench.network.outputs import are_classes, hits, probability_lost, same_answers
from workbench.network.verdict import (
    MAX_DROP_POINTS,
    Verdict,
    judge,
    judge_agreement,
    judge_pairs,
    unpaired_interval,
    wilson,
)
from workbench.progress import Progress, reporter
from workbench.tables import Table

Metric = Callable[[Network, Any], float]
"""A user's score, (network, split) -> a finite number, higher is better; its `__name__` is shown."""


@dataclass(frozen=True, repr=False)
class Score(Table):
    """Share of `n` images whose label is the first answer (`top1`) or in the first five (`top5`); or a user's metric.

    Attributes
    ----------
    top1, top5 : shares, 0 to 1; both are the value of a metric.
    n : number of images.
    kind : "accuracy" (against labels), "agreement" (against the original network's answers), or the name of a metric.
    hits : (n,) whether the first answer to each image is right; None if unknown.
    losses : of agreement, (n,) the expected loss of accuracy by each changed answer: the difference of the original's
        probabilities of the two classes; None if unknown.
    """

    top1: float
    top5: float
    n: int
    kind: str = "accuracy"
    hits: NDArray[np.bool_] | None = field(default=None, compare=False)
    losses: NDArray[np.float64] | None = field(default=None, compare=False)

    headers = ("score", "value", "95 % interval", "images")

    @classmethod
    def of(cls, hits: Tensor, kind: str) -> "Score":
        """Return the score of (n, 2): whether the first answer is right, and whether one of the first five is."""
        top1, top5 = hits.double().mean(0).tolist()
        return cls(top1, top5, len(hits), kind, hits[:, 0].bool().numpy())

    @property
    def is_share(self) -> bool:
        """Whether the score is a share of images, and so has an interval; False for a metric."""
        return self.kind in ("accuracy", "agreement")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % confidence interval of `top1`, as shares; NaN for a metric."""
        return wilson(self.top1, self.n) if self.is_share else (math.nan, math.nan)

    @property
    def top5_interval(self) -> tuple[float, float]:
        """Wilson's 95 % confidence interval of `top5`, as shares; NaN for a metric."""
        return wilson(self.top5, self.n) if self.is_share else (math.nan, math.nan)

    @property
    def shown(self) -> float:
        """Top-1 in percent, or the value of a metric."""
        return 100 * self.top1 if self.is_share else self.top1

    @property
    def value(self) -> str:
        """Top-1 or the value of a metric as text: "95.31 %" or "0.7342"."""
        return f"{self.shown:.2f} %" if self.is_share else f"{self.top1:.4g}"

    @property
    def rows(self) -> list[list[str]]:
        """Top-1 and top-5 in percent, or the metric."""
        if not self.is_share:
            return [[self.kind, self.value, "", str(self.n)]]
        return [
            [f"{name} {self.kind}", f"{share:.2%}", f"{low:.1%} to {high:.1%}", str(self.n)]
            for name, share, (low, high) in self._shares
        ]

    @property
    def _shares(self) -> list[tuple[str, float, tuple[float, float]]]:
        return [("top-1", self.top1, self.interval), ("top-5", self.top5, self.top5_interval)]

    def __str__(self) -> str:
        if not self.is_share:
            return f"{self.kind} {self.value} of {self.n} images"
        shares = (f"{name} {100 * v:.2f} % ({100 * a:.1f} to {100 * b:.1f})" for name, v, (a, b) in self._shares)
        kind = "" if self.kind == "accuracy" else f"{self.kind} "
        return f"{kind}{', '.join(shares)} of {self.n} images"

    def without_hits(self) -> "Score":
        """Return the score without its per-image results, as it is written to files."""
        return Score(self.top1, self.top5, self.n, self.kind)

    def verdict(self, original: "Score", *, max_drop: float = MAX_DROP_POINTS) -> Verdict | None:
        """Judge the loss against the original's score of the same images; None for a metric, which has no interval.

        Accuracies are compared image by image where both have `hits`, else by the wider interval of unpaired scores.
        Agreement is judged by the share of changed answers.

        Parameters
        ----------
        max_drop : tolerated loss in points.

        Raises
        ------
        ValueError : if the two scores are of different kinds or numbers of images.
        """
        if (self.kind, self.n) != (original.kind, original.n):
            before, after = (f"{score.kind} of {score.n} images" for score in (original, self))
            raise ValueError(f"{before} cannot be compared with {after}: score both networks on the same images")
        if self.kind == "agreement":
            return judge_agreement(self.top1, self.n, max_drop=max_drop)
        if not self.is_share:
            return None
        if self.hits is not None and original.hits is not None:
            return judge_pairs(original.hits, self.hits, max_drop=max_drop)
        interval = unpaired_interval(original.top1, original.n, self.top1, self.n)
        return judge(original.top1 - self.top1, interval, self.n, max_drop=max_drop)


def accuracy(network: Network, images: Split | Images, *, progress: Progress | bool | None = None) -> Score:
    """Score a network by the labels of images.

    Raises ValueError if there are no images, or an image has no label or one that the network does not have;
    `Cancelled` if `progress`, which is called before each batch, raises it.
    """
    expect_network(network)
    split = split_of(network, images)
    if not len(split) or not split.labelled:
        defect = "images without a label: answers cannot be compared" if len(split) else "no images to score"
        raise ValueError(f"the {split.name} split has {defect}")
    results = [hits(outputs, labels) for outputs, labels in outputs_of(network, split, progress=progress)]
    return Score.of(torch.cat(results), "accuracy")


@torch.inference_mode()
def outputs_of(
    network: Network, split: Split, *, progress: Progress | bool | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the outputs (n, classes) and labels of each batch; raise ValueError as `check_labels`."""
    report, done = reporter(progress), 0
    for images, labels in split.batches(fitting_batch(network.input_shape)):
        report(done / len(split), f"scoring {done} of {len(split)} images")
        done += len(labels)
        outputs = network.run(network.inputs(images))
        check_labels(outputs, labels, split.name)
        yield outputs, labels


def score(
    network: Network,
    data: Split | Data | Images,
    *,
    metric: Metric | None = None,
    progress: Progress | bool | None = None,
) -> Score:
    """Return the accuracy of a network where the images have labels, else its agreement with the original.

    Parameters
    ----------
    data : a Split, or images without labels; of a Data, the test split is scored.
    metric : a function (network, split) -> number, higher is better, to score by instead; its name becomes `kind`.

    Raises
    ------
    ValueError : if there are no images, neither labels nor an original network, or the metric is not finite.
    """
    expect_network(network)
    images = data.test if isinstance(data, Data) else data
    split = images if network.structured else split_of(network, images)
    if metric is not None:
        return _metric_score(network, split, metric)
    if isinstance(split, Split) and split.labelled:
        return accuracy(network, split, progress=progress)
    return agreement(network, split, progress=progress)


def agreement(network: Network, images: Images, *, progress: Progress | bool | None = None) -> Score:
    """Score a compressed network by the share of images that the original answers in the same way; labels are ignored.

    For dense classes the score is the share of pixels, and `hits` is None.

    Raises
    ------
    ValueError : if there are no images, no original network, or the outputs are not classes.
    """
    expect_network(network)
    batches, original = inputs_of(network, images), network.original
    if original is None:
        reason = f"these images have no labels, and {network.name} was not compressed"
        raise ValueError(f"{reason}: there is nothing to compare with")
    report = reporter(progress)
    agreeing, losses, is_dense = [], [], False
    with torch.inference_mode():
        for i, batch in enumerate(batches):
            report(i / len(batches), "comparing answers")
            reference, outputs = original.run(batch), network.run(batch)
            if not are_classes(reference):
                raise ValueError(f"{network.name} gives no classes to agree on: give a metric, or compare the outputs")
            agreeing.append(same_answers(reference, outputs))
            losses.append(probability_lost(reference, outputs))
            is_dense = reference.ndim > 2
    result = replace(Score.of(torch.cat(agreeing), "agreement"), losses=torch.cat(losses).numpy())
    return result.without_hits() if is_dense else result


def _metric_score(network: Network, split: Any, metric: Metric) -> Score:
    name = str(getattr(metric, "__name__", type(metric).__name__)).strip("<>")
    if name in ("accuracy", "agreement"):
        raise ValueError(f"a metric has a name of its own, not {name!r}: rename the function")
    value = float(metric(network, split))
    if not math.isfinite(value):
        raise ValueError(f"the metric {name} of {network.name} is {value}: it returns a finite number")
    return Score(value, value, len(split), name)


def check_labels(outputs: Any, labels: Tensor, split_name: str) -> None:
    """Raise ValueError if the outputs are not (n, classes), or a label is not one of the classes."""
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        actual = f"the shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
        raise ValueError(f"a classifier returns (n, classes); this network returned {actual}")
    largest = int(labels.max()) if len(labels) else UNLABELLED
    if largest >= outputs.shape[1]:
        last = outputs.shape[1] - 1
        raise ValueError(f"the {split_name} split has class {largest}, but the network has outputs 0 to {last} only")


def answers(network: Network, images: Split | Images) -> Tensor:
    """Return the most probable class of each image, (n,); raise ValueError if the outputs are not classes."""
    classes = []
    with torch.inference_mode():
        for batch in inputs_of(network, images):
            outputs = network.run(batch)
            check_labels(outputs, torch.empty(0), "")
            classes.append(outputs.argmax(1).cpu())
    return torch.cat(classes)
