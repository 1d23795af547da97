"""How a network's answers fall with the rank of one layer: a curve measured on a sample of images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from workbench.network.data import Accuracy, Split, evaluating, expect_split, fitting_batch
from workbench.network.network import Network, expect_network
from workbench.plan.plan import LayerPlan, Plan, PlanError
from workbench.plan.spectra import Spectra
from workbench.recover.decompose import decompose

SHARES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


@dataclass(frozen=True)
class CurvePoint:
    """A network with one layer reduced.

    Attributes
    ----------
    share : of the layer's channels that was asked for.
    rank_in, rank_out : the ranks that makes; rank_in is None for Tucker-1.
    macs_ratio : MACs of the layer, original / reduced (below 1 where the factors cost more).
    agreement : per cent of the images whose first answer is the original's; needs no labels.
    top1 : per cent of the images that are right, by their labels.
    n : how many images that was measured on.
    """

    share: float
    rank_in: int | None
    rank_out: int
    macs_ratio: float
    agreement: float
    top1: float
    n: int

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of `top1`."""
        return Accuracy(self.top1, 100.0, self.n).interval


def sensitivity(
    network: Network,
    split: Split,
    layer: str,
    spectra: Spectra,
    *,
    shares: Sequence[float] = SHARES,
    sample: int = 256,
    progress: Callable[[float, str], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[CurvePoint]:
    """Accuracy, and agreement with the original, against the ranks of one layer that alone is decomposed.

    Parameters
    ----------
    network : is not changed.
    split : images to look at (not the test split, if the curve is to choose by); `sample` of them, evenly spread,
        because folders are sorted by class.
    layer : its name.
    spectra : of the network.
    shares : of the layer's channels, above 0 to 1; both ranks take the same share.
    progress : called with (share done, layer name) before each point.
    cancelled : asked before each point; if it says True, the points so far are the result.

    Returns
    -------
    One point for each share, in the order given.

    Raises
    ------
    KeyError : if there is no such layer.
    PlanError : if the layer cannot be factorised, with the reason.
    ValueError : if a share is not above 0 and at most 1, or there are no images.
    """
    expect_network(network)
    expect_split(split, "the sample")
    found = next((known for known in spectra.layers if known.name == layer), None)
    if found is None:
        raise KeyError(f"{layer!r} is no layer of {spectra.network}")
    if found.method == "keep":
        raise PlanError(f"layer {layer} cannot be factorised: {found.reason}")
    if not len(split) or sample < 1:
        raise ValueError(f"the {split.name} split has no images to look at")
    wrong = [share for share in shares if not 0 < share <= 1]
    if wrong:
        raise ValueError(f"shares of the channels are above 0 and at most 1, not {wrong[0]}")
    count = min(sample, len(split))
    index = torch.arange(count) * len(split) // count
    some = Split(split.images[index], split.labels[index], split.name)
    kept = [LayerPlan(known, "keep", reason="kept: not looked at", error=0.0) for known in spectra.layers]
    whole = Plan(spectra.network, spectra.input_shape, tuple(kept), spectra.other, f"{layer} alone", spectra)
    original = _answers(network, some)
    points = []
    for i, share in enumerate(shares):
        if progress:
            progress(i / len(shares), layer)
        if cancelled():
            break
        rank_in, rank_out = (max(1, round(share * most)) for most in found.max_ranks)
        two_sided = found.method == "tucker2"
        plan = whole.with_ranks(layer, rank_in=rank_in if two_sided else None, rank_out=rank_out)
        answers = _answers(decompose(replace(network, plan=None), plan), some)
        points.append(
            CurvePoint(
                share,
                plan[layer].rank_in,
                rank_out,
                plan[layer].macs_ratio,
                100 * float((answers == original).float().mean()),
                100 * float((answers == some.labels).float().mean()),
                len(some),
            )
        )
    if progress:
        progress(1.0, "")
    return points


def _answers(network: Network, split: Split) -> torch.Tensor:
    """(n,) the class that the network says."""
    with evaluating(network.model), torch.inference_mode():
        size = fitting_batch(network.input_shape)
        return torch.cat([network.model(network.inputs(x)).argmax(1).cpu() for x, _ in split.batches(size)])
