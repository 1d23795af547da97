"""Accuracy and agreement of a network against the rank of one layer, measured on a sample of images."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.network.data import Split
from workbench.network.inputs import Images, split_of
from workbench.network.network import Network, expect_network
from workbench.network.outputs import hits
from workbench.network.scores import Score, outputs_of
from workbench.plan.evbmf import evbmf_plan
from workbench.plan.plan import PlanError
from workbench.plan.spectra import Spectra
from workbench.progress import Cancelled, Progress, reporter
from workbench.recover.decompose import decompose

RANK_SHARES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


@dataclass(frozen=True)
class CurvePoint:
    """Scores of a network with one layer decomposed."""

    share: float  # of the layer's channels
    rank_in: int | None  # None for Tucker-1
    rank_out: int
    macs_ratio: float  # MACs of the layer, original / decomposed
    agreement: Score  # with the original's answers
    accuracy: Score | None  # None if an image has no label


def rank_curve(
    network: Network,
    images: Split | Images,
    layer: str,
    spectra: Spectra,
    *,
    shares: Sequence[float] = RANK_SHARES,
    sample: int = 256,
    progress: Progress | bool | None = None,
) -> list[CurvePoint]:
    """Measure accuracy, and agreement with the original, against the ranks of one layer; all others are kept.

    Parameters
    ----------
    images : images to measure on (not the test split, if ranks are chosen by the curve).
    shares : ranks as shares of the layer's channels, above 0 to 1, the same for both ranks.
    sample : largest number of images, evenly spread over the split, because folders are sorted by class.
    progress : called before each point; if it raises `Cancelled`, the points so far are returned.

    Raises
    ------
    KeyError : if there is no such layer.
    PlanError : if the layer cannot be factorised, with the reason, or a share is above 1.
    ValueError : if there are no images.
    """
    expect_network(network)
    split = split_of(network, images)
    base = evbmf_plan(spectra, layers=[])
    target = base[layer].layer
    if target.method == "keep":
        raise PlanError(f"layer {layer} cannot be factorised: {target.reason}")
    if not len(split) or sample < 1:
        raise ValueError(f"the {split.name} split has no images to look at")
    report = reporter(progress)
    count = min(sample, len(split))
    indices = torch.arange(count) * len(split) // count
    drawn = Split(split.images[indices], split.labels[indices], split.name)
    points: list[CurvePoint] = []
    with suppress(Cancelled):
        answers = _outputs(network, drawn).argmax(dim=1)
        for i, share in enumerate(shares):
            report(i / len(shares), layer)
            rank_in, rank_out = (max(1, round(share * rank)) for rank in target.max_ranks)
            plan = base.with_ranks(layer, rank_in=rank_in if target.method == "tucker2" else None, rank_out=rank_out)
            outputs = _outputs(decompose(network, plan), drawn)
            accuracy = Score.of(hits(outputs, drawn.labels), "accuracy") if drawn.labelled else None
            agreement, part = Score.of(hits(outputs, answers), "agreement"), plan[layer]
            points.append(CurvePoint(share, part.rank_in, rank_out, part.macs_ratio, agreement, accuracy))
        report(1.0, "")
    return points


def _outputs(network: Network, split: Split) -> Tensor:
    return torch.cat([outputs.cpu() for outputs, _ in outputs_of(network, split)])
