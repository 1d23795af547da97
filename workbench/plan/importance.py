r"""Measure how much a network's outputs suffer from each layer's error at any ranks, on unlabelled images.

Calibration fits a decomposed layer to its outputs again, so the error that counts is the residual of the best factors
on the layer's activations, not the error of its weights. A lower output rank loses the weakest principal components
:math:`u_i` of the layer's output y; a lower input rank loses the directions :math:`b_j` of its input x, whitened by the
covariance of the channels, that the kernel uses least:

.. math:: e = \sum_{i > R_4} u_i u_i^T (y - \bar y) + K \sum_{j > R_3} a_j b_j^T (x - \bar x) .

With the gradient g of a function of the outputs at y, and h = K^T g at x, the function changes by

.. math:: \sum_{i > R_4} \langle u_i^T g, u_i^T (y - \bar y) \rangle
    + \sum_{j > R_3} \langle a_j^T h, b_j^T (x - \bar x) \rangle

to first order, with products summed over positions: one backward pass gives the effect of all ranks of all layers.

For a classifier the function is each image's margin between its first and its second class: an answer changes if the
margin falls below zero. For other outputs it is a random normal functional, whose mean squared change is the squared
change of the outputs as a share of their power. (The divergence of class probabilities is no alternative: for confident
answers it hardly depends on small changes.) Residuals of different layers count as independent: squares add up.

References: Zhang, Zou, He, Sun, TPAMI 2016 (principal components of responses); Martens, *New insights and perspectives
on the natural gradient method*, JMLR 2020 (Gauss-Newton matrices).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.kernels.evbmf import Vector
from workbench.kernels.hosvd import gram
from workbench.kernels.unfolding import IN_MODE, OUT_MODE
from workbench.network.activations import layer_calls
from workbench.network.inputs import Images, InputBatches, inputs_of
from workbench.network.layers import Layer, kernel_of
from workbench.network.moments import pick_places
from workbench.network.network import Network, copy_model, expect_network
from workbench.network.outputs import are_classes, probabilities, random_functional, size_of
from workbench.network.verdict import wilson
from workbench.plan.spectra import Spectra
from workbench.progress import Progress, part, reporter

BATCH_SIZE = 8
"""Largest number of images whose activations and gradients are in memory at a time."""
MAX_POSITIONS = 200
"""Largest number of positions of one image's map that are summed into covariances."""
NOISE_DRAWS = 128
"""Number of random changes of each image's outputs that a forecast averages over."""
LEADING_CLASSES = 20
"""Number of classes that a forecast looks at: an answer can change to these only."""
VARIANCE_FACTOR = 2.0
"""Assumed uncertainty of a forecast's squared changes, as a factor."""
UNSEEN_VARIANCE = 0.03
"""Share of the inputs' mean variance to add in all directions, if positions are few compared with inputs."""
MIN_VARIANCE_SHARE = 1e-8
"""Smallest variance of a direction of the inputs, as a share of the largest variance; lower ones are raised to it."""


@dataclass(frozen=True)
class Importance:
    """How a network's outputs react to each layer's ranks.

    Attributes
    ----------
    images : number of inputs that were measured.
    lost : layer -> (out + 1, columns) expected squared change of the outputs at (rank_out, rank_in) if only this layer
        is reduced and fitted, as a share of the outputs' power (for classes: of the squared margins). There are in + 2
        columns, or 2 equal ones for a layer without Tucker-2; the last column is Tucker-1.
    leading : (n, classes) largest outputs of the original for each image, in descending order, from which a forecast
        counts changed answers; None if the outputs are no classes.
    margins : layer -> changes of each image's margin, (n, out + 1) and (n, columns).
    """

    network: str
    images: int
    lost: dict[str, Vector] = field(repr=False)
    leading: Tensor | None = field(default=None, repr=False)
    margins: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)

    def forecast(self, ranks: Mapping[str, tuple[int | None, int]]) -> "Forecast":
        """Return the forecast for layers at these (rank_in, rank_out); rank_in is None for Tucker-1."""
        indices = {name: (o, -1 if i is None else i) for name, (i, o) in ranks.items() if name in self.lost}
        lost = float(sum(self.lost[name][index] for name, index in indices.items()))
        leading = self.leading
        if leading is None:
            return Forecast(lost, self.images)
        variances = torch.zeros(self.images, dtype=torch.float64)
        for name, (rank_out, rank_in) in indices.items():
            out, in_ = self.margins[name]
            variances += (out[:, rank_out] + in_[:, rank_in]).square()
        power = margin(leading).square().mean()
        variances *= power / (variances + power)  # the part of a signal's power that least squares leaves
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(NOISE_DRAWS, *leading.shape, generator=generator, dtype=torch.float64)

        def draw_answers(factor: float) -> Tensor:
            return (leading + (factor * variances / 2).sqrt()[:, None] * noise).argmax(2)

        answers, *bounds = map(draw_answers, (1.0, VARIANCE_FACTOR, 1 / VARIANCE_FACTOR))
        agreement, low, high = (float((draws == 0).double().mean()) for draws in (answers, *bounds))
        p = probabilities(leading, all_classes=False).expand(NOISE_DRAWS, -1, -1)
        accuracy_lost = float((p[:, :, 0] - p.gather(2, answers[:, :, None])[:, :, 0]).mean())
        interval = wilson(low, self.images)[0], wilson(high, self.images)[1]
        return Forecast(lost, self.images, agreement, *interval, accuracy_lost)


@dataclass(frozen=True)
class Forecast:
    """Expected effect of a plan on a network's outputs after calibration.

    Attributes
    ----------
    lost : expected squared change of the outputs, as in :class:`Importance`.
    images : number of images of the measurement.
    agreement : expected share of images whose answer stays; None if the outputs are no classes.
    low, high : interval of `agreement`, over images like these and squared changes wrong by `VARIANCE_FACTOR`.
    accuracy_lost : expected loss of top-1 accuracy (a share) if the original's probabilities are right: a changed
        answer loses the difference between the first answer's probability and its own.
    """

    lost: float
    images: int
    agreement: float | None = None
    low: float | None = None
    high: float | None = None
    accuracy_lost: float | None = None

    def __str__(self) -> str:
        if self.agreement is None:
            return f"outputs expected to change by {self.lost:.1%} of their power, after calibration"
        interval = f"{self.low:.1%} to {self.high:.1%}"
        return f"{self.agreement:.1%} of the answers expected to stay after calibration, {interval}"


@dataclass(frozen=True)
class Directions:
    """Directions of a layer's channels, strongest first, group by group."""

    mean_out: Tensor  # (groups, out, 1)
    out: Tensor  # (groups, out, out), orthonormal columns u_i above
    mean_in: Tensor  # (groups, in, 1)
    synthesis: Tensor | None = None  # (groups, in, in), columns a_j; None for Tucker-1
    analysis: Tensor | None = None  # (groups, in, in), columns b_j


def importance(
    network: Network, spectra: Spectra, images: Images, *, progress: Progress | bool | None = None
) -> Importance:
    """Measure how much each layer's ranks change the outputs, for :func:`~workbench.plan.budget.budget_plan`.

    Parameters
    ----------
    spectra : spectra of this network.
    images : 32 to 64 are enough, as the data hold them (before preprocessing); labels are ignored.
    progress : called before each batch; raising `Cancelled` ends the measurement.

    Raises
    ------
    ValueError : if there are no images, or their shape does not fit.
    """
    expect_network(network)
    report, batches = reporter(progress), inputs_of(network, images, batch_size=BATCH_SIZE)
    generator = torch.Generator().manual_seed(0)
    # a batch is measured along the directions of the other half of the batches, which do not depend on it
    halves = directions(network, spectra, batches, progress=part(report, 0.0, 0.4))[::-1]
    model = copy_model(network.model)
    n, lost, leading = 0, dict[str, Vector](), list[Tensor]()
    changes: dict[str, list[tuple[Tensor, Tensor]]] = {}
    weights: Tensor = torch.ones(1, dtype=torch.float64)

    def functional(outputs: Any) -> Tensor:
        outputs = outputs if network.output is None else network.output(outputs)
        if not are_classes(outputs) or outputs.ndim != 2:
            return random_functional(outputs, generator)
        largest = outputs.topk(min(LEADING_CLASSES, outputs.shape[1]), dim=1).values
        leading.append(largest.detach().double().cpu())
        return margin(largest).sum()

    for i, batch in enumerate(batches):
        report(0.4 + 0.6 * i / len(batches), "measuring how much each layer matters")
        n += size_of(batch)
        for name, effect in effects(model, halves[i % 2], spectra, batch, functional).items():
            changes.setdefault(name, []).append(effect)
    report(1.0, "")
    margins = {name: tuple(map(torch.cat, zip(*parts, strict=True))) for name, parts in changes.items()}
    if leading:
        squares = margin(torch.cat(leading)).square()
        weights = (1 / (squares + squares.median().clamp(min=1e-12)))[:, None]
    for name, (out, in_) in margins.items():
        table = 2 * (weights * out).mT @ in_
        table += (weights * out.square()).sum(0)[:, None] + (weights * in_.square()).sum(0)
        lost[name] = _monotone((table / n).numpy())
    return Importance(network.name, n, lost, *((torch.cat(leading), margins) if leading else ()))


def margin(leading: Tensor) -> Tensor:
    """Return the differences (n,) of the first two columns of (n, classes) descending outputs."""
    return leading[:, 0] - leading[:, 1]


def directions(
    network: Network, spectra: Spectra, batches: InputBatches, *, progress: Progress | None = None
) -> list[dict[str, Directions]]:
    """Return the directions of each layer that is called, from the covariances of its channels.

    The list has two dictionaries, of the even and of the odd batches; a single batch serves for both.
    """
    report, layers = reporter(progress), {spectrum.layer.name: spectrum.layer for spectrum in spectra}
    sums: list[dict[str, tuple[_ChannelMoments, _ChannelMoments]]] = [{}, {}]  # of inputs and outputs
    model = copy_model(network.model)
    for i, batch in enumerate(batches):
        report(i / len(batches), "looking at each layer's activations")
        for call in layer_calls(model, list(layers), batch):
            inputs, outputs = sums[i % 2].setdefault(call.name, (_ChannelMoments(), _ChannelMoments()))
            maps = _grouped_maps(call.input, layers[call.name], is_input=True)
            # Tucker-1 needs the variances of the inputs only
            inputs.add(maps if layers[call.name].method == "tucker2" else maps.flatten(1, 2)[:, :, None])
            outputs.add(_grouped_maps(call.output, layers[call.name], is_input=False))
    grams = {name: _grams(kernel_of(model.get_submodule(name), layers[name]), layers[name]) for name in sums[0]}
    return [
        {name: _directions(layers[name], grams[name], *half[name]) for name in grams if name in half}
        for half in (sums if sums[1] else [sums[0]] * 2)
    ]


def _grams(kernel: Tensor, layer: Layer) -> list[Tensor]:
    """Return lower triangles of the Gram matrices, (groups, out, out) and for Tucker-2 (groups, in, in)."""
    groups, modes = kernel.chunk(layer.shape.groups), (OUT_MODE, IN_MODE) if layer.method == "tucker2" else (OUT_MODE,)
    return [torch.stack([gram(group, mode) for group in groups]) for mode in modes]


def _directions(layer: Layer, grams: list[Tensor], inputs: "_ChannelMoments", outputs: "_ChannelMoments") -> Directions:
    """Return the directions of a layer from the Gram matrices of its kernel and the moments of its channels."""
    (mean_in, covariance_in), (mean_out, covariance_out) = inputs.moments(), outputs.moments()
    n = layer.shape.in_channels // layer.shape.groups * prod(layer.shape.kernel_size)
    floor = UNSEEN_VARIANCE * n / (n + inputs.count) * covariance_in.diagonal(dim1=1, dim2=2).mean()
    # eigh reads the lower triangle; in float32, if the network computes in it, it takes less than half the time
    basis = torch.linalg.eigh((covariance_out + floor * grams[0]).to(outputs.dtype))[1].flip(2)
    if layer.method != "tucker2":
        return Directions(mean_out, basis, mean_in)
    values, vectors = torch.linalg.eigh(covariance_in)
    deviations = values.clamp(min=float(values.max()) * MIN_VARIANCE_SHARE or 1.0).sqrt()[:, None, :]
    roots = (vectors * deviations) @ vectors.mT
    gram_in = grams[1].tril() + grams[1].tril(-1).mT
    strongest = torch.linalg.eigh(roots @ gram_in @ roots)[1].flip(2)  # of the kernel on white inputs
    return Directions(mean_out, basis, mean_in, roots @ strongest, (vectors / deviations) @ vectors.mT @ strongest)


class _ChannelMoments:
    """First and second moments of the channels of maps (n, groups, channels, positions), in float64."""

    def __init__(self) -> None:
        self.count, self.dtype = 0, torch.float64
        self.sums: list[Tensor] = []

    def add(self, maps: Tensor) -> None:
        positions = pick_places(maps.shape[3], MAX_POSITIONS)
        sampled = maps if positions is None else maps.index_select(3, positions.to(maps.device))
        values = sampled.permute(1, 2, 0, 3).flatten(2)  # (groups, channels, n * positions)
        values = values.to(torch.promote_types(values.dtype, torch.float32))
        self.count, self.dtype = self.count + values.shape[2], values.dtype
        sums = [values.sum(2, keepdim=True), values @ values.mT]
        self.sums = (
            [a.add_(b) for a, b in zip(self.sums, sums, strict=True)] if self.sums else [v.double() for v in sums]
        )

    def moments(self) -> tuple[Tensor, Tensor]:
        """Return means (groups, channels, 1) and covariances (groups, channels, channels)."""
        mean, squares = (total / self.count for total in self.sums)
        return mean, squares - mean @ mean.mT


def effects(
    model: nn.Module,
    layer_directions: dict[str, Directions],
    spectra: Spectra,
    batch: Any,
    functional: Callable[[Any], Tensor],
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return layer -> first-order changes of a functional of the outputs if this layer is reduced.

    Each layer has two tables, (images, out + 1) for output ranks and (images, in + 2) for input ranks, or (images, 2)
    without Tucker-2; the last column, Tucker-1, is zero. A pair of ranks has the sum of its two entries. Several maps
    of an image, such as windows, are summed; if their number is no multiple of `images`, each image gets the mean.
    """
    changes: dict[str, tuple[Tensor, Tensor]] = {}
    images = max(1, size_of(batch))
    for call in layer_calls(model, list(layer_directions), batch, functional):
        layer, axes = spectra[call.name].layer, layer_directions[call.name]
        n = len(call.output)
        y, g = (_grouped_maps(values, layer, is_input=False) for values in (call.output, call.output_gradient))
        max_in, max_out = layer.max_ranks
        out = _products(y - axes.mean_out.to(y), g, axes.out, axes.out, max_out + 1)
        in_ = out.new_zeros(n, 2)
        if axes.synthesis is not None and axes.analysis is not None:
            x, h = (_grouped_maps(values, layer, is_input=True) for values in (call.input, call.input_gradient))
            in_ = _products(x - axes.mean_in.to(x), h, axes.analysis, axes.synthesis, max_in + 2)
        if n % images:
            out, in_ = (effect.sum(0).expand(images, -1) / images for effect in (out, in_))
        else:
            out, in_ = (effect.unflatten(0, (images, -1)).sum(1) for effect in (out, in_))
        earlier = changes.get(call.name)
        changes[call.name] = (earlier[0] + out, earlier[1] + in_) if earlier else (out, in_)
    return changes


def _monotone(table: Vector) -> Vector:
    """Raise values, in place, to the largest at the same or larger ranks: parts that cancel may have lowered them."""
    for axis, values in ((0, table), (1, table[:, :-1])):
        values[:] = np.flip(np.maximum.accumulate(np.flip(values, axis), axis), axis)
    return table


def _products(values: Tensor, gradients: Tensor, left: Tensor, right: Tensor, size: int) -> Tensor:
    """Return (n, size) sums of products over all directions from a rank on, positions and groups."""
    left, right = left.to(values), right.to(values)
    if values.shape[3] > values.shape[2]:  # more positions than channels: sum over positions first
        products = (left * (values @ gradients.mT @ right)).sum((1, 2))
    else:
        coefficients = (torch.einsum("gcd,ngcp->ngdp", *pair) for pair in ((left, values), (right, gradients)))
        products = torch.mul(*coefficients).sum((1, 3))
    products = products.double().cpu()
    result: Tensor = torch.zeros(len(products), size, dtype=torch.float64)
    result[:, : products.shape[1]] = products.flip(1).cumsum(1).flip(1)
    return result


def _grouped_maps(values: Tensor, layer: Layer, *, is_input: bool) -> Tensor:
    """Return a layer's input or output as (n, groups, channels of a group, positions)."""
    if layer.kind == "conv":
        maps = values.flatten(2)
    elif is_input and layer.shape.kernel_size:  # behind a flatten
        maps = values.reshape(len(values), -1, prod(layer.shape.kernel_size))
    else:
        maps = values.movedim(-1, 1).flatten(2) if values.ndim > 2 else values[:, :, None]
    grouped: Tensor = maps.unflatten(1, (layer.shape.groups, -1))
    return grouped
