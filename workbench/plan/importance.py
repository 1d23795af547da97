r"""Measure how much a network's outputs suffer from the error of each layer, on unlabelled images.

For a layer K on patches x with covariance P, reduced factors W change its output by :math:`E\|(K - W)x\|^2`. The
tables hold that as a share of :math:`E\|Kx\|^2`, at every pair of ranks. How much a layer's share matters to the
network is one number, its importance: the Kullback-Leibler divergence of the class probabilities when this layer alone
is reduced to a middle rank, divided by its share there (to second order a divergence is proportional to the square
of a small change, and so to the share).
"""

import copy
from dataclasses import dataclass, field
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import interp1d
from torch import Tensor, nn

from workbench.kernels.complexity import factorised_cost
from workbench.kernels.regression import Normal, Whitened, explained, reduced_rank, scale, tucker2_regression
from workbench.network.activations import PairedActivations
from workbench.network.inputs import Images, inputs_of
from workbench.network.layers import Layer, kernel_of
from workbench.network.moments import Moments, patches, pick_places
from workbench.network.network import Network, expect_network
from workbench.network.outputs import divergence, size_of
from workbench.plan.spectra import Spectra
from workbench.progress import Progress, reporter

Vector = NDArray[np.float64]

MAX_COVARIANCE_INPUTS = 5200
"""Inputs of a layer up to which its patch covariance is formed; larger layers are judged by their weights."""

MAX_POSITIONS = 200
"""Positions of one image's map that are looked at."""

VARIANCE_FLOOR, UNSEEN_VARIANCE = 1e-4, 0.03
"""Added to the variance of every input, as shares of their mean, the second where positions are few beside inputs:
directions that the images do not show count too."""

GRID_STEPS = 10
"""Number of input ranks at which a layer's table is computed; between them it is interpolated."""

PROBE_MACS_SHARE = 0.4
"""Share of a layer's MACs at which its importance is measured."""


@dataclass(frozen=True)
class Importance:
    """How a network's outputs react to each layer's ranks.

    Attributes
    ----------
    images : how many unlabelled inputs were looked at.
    lost : by layer, (out + 1, in + 1) share of the output's squared norm that is lost at (rank_out, rank_in).
    lost_one_sided : by layer, (out + 1,) the same for Tucker-1.
    weight : by layer, its importance: divergence in nats for each unit of share lost.
    """

    network: str
    images: int
    lost: dict[str, Vector] = field(repr=False)
    lost_one_sided: dict[str, Vector] = field(repr=False)
    weight: dict[str, float]


def importance(
    network: Network, spectra: Spectra, images: Images, *, progress: Progress | bool | None = None
) -> Importance:
    """Measure what each layer's ranks cost in the network's outputs, for :func:`~workbench.plan.budget.budget_plan`.

    Parameters
    ----------
    spectra : of the same network.
    images : as the data hold them; labels are not looked at. 32 to 64 are enough.
    progress : called before each layer; raising `Cancelled` ends the measurement.

    Raises
    ------
    ValueError : if there are no images, or of another shape.
    """
    expect_network(network)
    report, batches = reporter(progress), inputs_of(network, images)
    measured = Importance(network.name, sum(map(size_of, batches)), {}, {}, {})
    layers = [layer for layer in spectra.layers if layer.name in spectra]
    with torch.no_grad():
        activations = PairedActivations(network.model, network.model, batches)
        for i, layer in enumerate(sorted(layers, key=lambda layer: activations.place(layer.name))):
            name = layer.name
            report(i / len(layers), name)
            module = network.model.get_submodule(name)
            covariance = _covariance(activations, layer, module)
            if covariance is None:
                continue
            measured.lost_one_sided[name], table, probe, share = _tables(layer, covariance, kernel_of(module, layer))
            if table is not None:
                measured.lost[name] = table
            changed = copy.deepcopy(module)
            parameter = changed.get_parameter("weight")
            parameter.copy_(probe.reshape(parameter.shape))
            lost = sum(float(divergence(*pair)) for pair in activations.changed(name, changed)) / measured.images
            measured.weight[name] = lost / max(share, 1e-9)
    report(1.0, "")
    return measured


def _covariance(activations: PairedActivations, layer: Layer, module: nn.Module) -> Tensor | None:
    """Return (n, n) second moments of the layer's input patches; None where they are too large or undefined."""
    n = layer.shape.in_channels * prod(layer.shape.kernel_size)
    ordinary = layer.shape.groups == 1 and not layer.shape.transposed
    if n > MAX_COVARIANCE_INPUTS or not ordinary:
        return None
    moments = Moments(n, 0, centred=module.bias is not None)
    for given, wanted in activations.pairs(layer.name):
        places = pick_places(prod(wanted.shape[2:]), MAX_POSITIONS)
        x = patches(module, given, places)
        moments.add(0, x, x.new_zeros(len(x), 0))
    covariance = moments.normal().inputs
    seen = float(moments.count[0])
    covariance.diagonal().add_((VARIANCE_FLOOR + UNSEEN_VARIANCE * n / (n + seen)) * scale(covariance))
    return covariance


def _tables(layer: Layer, covariance: Tensor, kernel: Tensor) -> tuple[Vector, Vector | None, Tensor, float]:
    """Return shares lost by Tucker-1 and Tucker-2, a kernel (out, n) of middle ranks, and the share it loses."""
    out_channels, in_channels = layer.kernel_shape[:2]
    dense = kernel.flatten(1).double().cpu()
    problem = Normal(covariance, dense @ covariance, float(((dense @ covariance) * dense).sum()))
    one_sided = _lost(problem, out_channels)
    rank_in, rank_out = probe_ranks(layer)
    if rank_in is None:
        core, outer = reduced_rank(problem, rank_out)
        return one_sided, None, outer @ core, float(one_sided[rank_out])
    white = Whitened(problem, layer.kernel_shape)
    basis = white.basis()
    grid = sorted({max(1, round(in_channels * (i + 1) / GRID_STEPS)) for i in range(GRID_STEPS)})
    columns = [np.ones(out_channels + 1), *(_lost(white.behind(basis[:, :r].mT), out_channels) for r in grid)]
    between = interp1d([0, *grid], np.stack(columns, axis=1), axis=1)
    shape = layer.kernel_shape
    inner, cube, outer = tucker2_regression(problem, shape, rank_in=rank_in, rank_out=rank_out, max_sweeps=1)
    probe = torch.einsum("ta,ab...,bs->ts...", outer, cube, inner).flatten(1)
    return one_sided, between(np.arange(in_channels + 1)), probe, max(0.0, problem.loss(probe) / problem.power)


def _lost(problem: Normal, out_channels: int) -> Vector:
    """Return (out_channels + 1,) shares of the power that the best weights of each rank miss."""
    shares = 1 - (explained(problem) / problem.power).clamp(max=1).numpy() if problem.power > 0 else np.zeros(1)
    return np.concatenate([shares, np.full(out_channels + 1 - len(shares), shares[-1])])


def probe_ranks(layer: Layer) -> tuple[int | None, int]:
    """Return (rank_in, rank_out), equal shares of the channels, for about `PROBE_MACS_SHARE` of the layer's MACs."""
    most_in, most_out = layer.max_ranks
    for share in np.linspace(0.95, 0.05, 19):
        rank_in, rank_out = max(1, round(share * most_in)), max(1, round(share * most_out))
        found = None if layer.method == "tucker1" else rank_in, rank_out
        if factorised_cost(layer.shape, rank_in=found[0], rank_out=rank_out).macs <= PROBE_MACS_SHARE * layer.cost.macs:
            break
    return found
