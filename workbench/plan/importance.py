r"""What a network's outputs lose when a layer is reduced: measured once on unlabelled images, then arithmetic.

For a layer K on patches x with covariance P, reduced factors W change its output by :math:`E\|(K - W)x\|^2`. The
tables hold that as a share of :math:`E\|Kx\|^2`, at every pair of ranks. How much a layer's share matters to the
network is one number, the `damage`: the Kullback-Leibler divergence of the class probabilities when this layer alone
is reduced to a middling rank, divided by its share there (to second order a divergence is proportional to the square
of a small change, and so to the share).
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import interp1d
from torch import Tensor, nn

from workbench.kernels.complexity import tucker1_cost, tucker2_cost
from workbench.kernels.regression import Normal, Whitened, explained, reduced_rank, scale, tucker2_regression
from workbench.network.activations import Walk
from workbench.network.data import evaluating
from workbench.network.inputs import Inputs, inputs_of
from workbench.network.layers import Layer, kernel_of
from workbench.network.moments import Moments, patches, pick_places
from workbench.network.network import Network, expect_network
from workbench.plan.spectra import Spectra

Vector = NDArray[np.float64]

LARGEST = 5200
"""Most inputs of a layer whose patch covariance is formed; larger ones are judged by their weights."""

POSITIONS = 200
"""Most positions of one image's map that are looked at."""

NOISE, UNSEEN = 1e-4, 0.03
"""Added to the variance of every input, as shares of their mean, the second where positions are few beside inputs:
directions that the images do not show count too."""

STEPS = 10
"""Input ranks at which a layer's table is computed; between them it is interpolated."""

MIDDLING = 0.4
"""Share of a layer's MACs at which its damage is measured."""


@dataclass(frozen=True)
class Sensitivities:
    """How a network's outputs react to each layer's ranks.

    Attributes
    ----------
    network : its name.
    images : how many unlabelled inputs were looked at.
    lost : by layer, (out + 1, in + 1) share of the output's squared norm that is lost at (rank_out, rank_in).
    lost_one_sided : by layer, (out + 1,) the same for Tucker-1.
    damage : by layer, divergence in nats for each unit of share lost.
    """

    network: str
    images: int
    lost: dict[str, Vector] = field(repr=False)
    lost_one_sided: dict[str, Vector] = field(repr=False)
    damage: dict[str, float]


def sensitivities(
    network: Network,
    images: Inputs,
    spectra: Spectra,
    *,
    progress: Callable[[float, str], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Sensitivities:
    """Measure what each layer's ranks cost in the network's outputs.

    Parameters
    ----------
    network : is not changed.
    images : a Split, whose labels are never looked at, or batches of inputs; 32 to 64 are enough.
    spectra : of the same network; says which layers there are.
    progress : called with (share done, layer name) before each layer.
    cancelled : asked before each layer; if it says True, the layers that are left are judged by their weights.

    Raises
    ------
    ValueError : if there are no images, or of another shape.
    """
    expect_network(network)
    batches = inputs_of(network, images)
    lost: dict[str, Vector] = {}
    one_sided: dict[str, Vector] = {}
    damage: dict[str, float] = {}
    layers = [layer for layer in spectra.layers if layer.name in spectra]
    with evaluating(network.model), torch.no_grad():
        walk = Walk(network.model, network.model, batches)
        for i, layer in enumerate(sorted(layers, key=lambda layer: walk.place(layer.name))):
            if progress:
                progress(i / len(layers), layer.name)
            if cancelled():
                break
            module = network.model.get_submodule(layer.name)
            covariance = _covariance(walk, layer, module)
            if covariance is None:
                continue
            one_sided[layer.name], table, probe, share = _tables(layer, covariance, kernel_of(module, layer))
            if table is not None:
                lost[layer.name] = table
            changed = copy.deepcopy(module)
            weight = changed.get_parameter("weight")
            weight.copy_(probe.reshape(weight.shape))
            damage[layer.name] = _divergence(walk, layer.name, changed) / max(share, 1e-9)
    if progress:
        progress(1.0, "")
    return Sensitivities(network.name, sum(len(b) for b in batches), lost, one_sided, damage)


def _divergence(walk: Walk, name: str, changed: nn.Module) -> float:
    """Mean Kullback-Leibler divergence of the answers' probabilities when one layer is exchanged."""
    total, n = 0.0, 0
    for answers, others in walk.changed(name, changed):
        log_p, log_q = (a.double().log_softmax(1) for a in (answers, others))
        total += float((log_p.exp() * (log_p - log_q)).sum())
        n += len(answers)
    return total / max(1, n)


def _covariance(walk: Walk, layer: Layer, module: nn.Module) -> Tensor | None:
    """(n, n) second moments of the layer's input patches; None where that would be too large, or makes no sense."""
    n = layer.shape.in_channels * prod(layer.shape.kernel_size)
    ordinary = layer.shape.groups == 1 and not layer.shape.transposed
    if n > LARGEST or not ordinary:
        for _ in walk.pairs(layer.name):
            pass
        return None
    moments = Moments(n, 0, centred=module.bias is not None)
    for given, wanted in walk.pairs(layer.name):
        places = pick_places(prod(wanted.shape[2:]), POSITIONS)
        x = patches(module, given, places)
        moments.add(0, x, x.new_zeros(len(x), 0))
    covariance = moments.normal().inputs
    seen = float(moments.count[0])
    covariance.diagonal().add_((NOISE + UNSEEN * n / (n + seen)) * scale(covariance))
    return covariance


def _tables(layer: Layer, covariance: Tensor, kernel: Tensor) -> tuple[Vector, Vector | None, Tensor, float]:
    """Shares lost by Tucker-1 and Tucker-2, a kernel (out, n) of middling ranks, and the share that it loses."""
    out_channels, in_channels = layer.kernel_shape[:2]
    dense = kernel.flatten(1).double().cpu()
    problem = Normal(covariance, dense @ covariance, float(((dense @ covariance) * dense).sum()))
    one_sided = _lost(problem, out_channels)
    rank_in, rank_out = middling_ranks(layer)
    if rank_in is None:
        core, outer = reduced_rank(problem, rank_out)
        return one_sided, None, outer @ core, float(one_sided[rank_out])
    white = Whitened.of(problem, layer.kernel_shape)
    basis = white.basis()
    grid = sorted({max(1, round(in_channels * (i + 1) / STEPS)) for i in range(STEPS)})
    columns = [np.ones(out_channels + 1), *(_lost(white.behind(basis[:, :r].mT), out_channels) for r in grid)]
    between = interp1d([0, *grid], np.stack(columns, axis=1), axis=1)
    inner, cube, outer = tucker2_regression(
        problem, layer.kernel_shape, rank_in=rank_in, rank_out=rank_out, max_sweeps=1
    )
    probe = torch.einsum("ta,ab...,bs->ts...", outer, cube, inner).flatten(1)
    return one_sided, between(np.arange(in_channels + 1)), probe, max(0.0, problem.loss(probe) / problem.power)


def _lost(problem: Normal, out_channels: int) -> Vector:
    """(out_channels + 1,) share of the power that the best weights of each rank miss."""
    shares = 1 - (explained(problem) / problem.power).clamp(max=1).numpy() if problem.power > 0 else np.zeros(1)
    return np.concatenate([shares, np.full(out_channels + 1 - len(shares), shares[-1])])


def middling_ranks(layer: Layer) -> tuple[int | None, int]:
    """(rank_in, rank_out), equal shares of the channels, at which a layer has about `MIDDLING` of its MACs."""
    most_in, most_out = layer.max_ranks
    for share in np.linspace(0.95, 0.05, 19):
        rank_in, rank_out = max(1, round(share * most_in)), max(1, round(share * most_out))
        if layer.method == "tucker1":
            found: tuple[int | None, int] = (None, rank_out)
            cost = tucker1_cost(layer.shape, rank_out=rank_out)
        else:
            found = (rank_in, rank_out)
            cost = tucker2_cost(layer.shape, rank_in=rank_in, rank_out=rank_out)
        if cost.macs <= MIDDLING * layer.cost.macs:
            break
    return found
