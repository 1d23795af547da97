r"""Measure how much a network's outputs suffer from what each layer loses at any ranks, on unlabelled images.

Layers are fitted again to their outputs after decomposition, so what counts is the residual that the best factors of
a rank leave on the layer's own activations, not the error of its weights. Reduced output channels lose the weakest
principal components :math:`u_i` of the layer's output y, reduced input channels those directions :math:`b_j` of its
input x, white by the covariance of the channels, that the kernel uses least:

.. math:: e = \sum_{i > R_4} u_i u_i^T (y - \bar y) + K \sum_{j > R_3} a_j b_j^T (x - \bar x) .

With the gradient g of a function of the outputs at y, and h = K^T g at x, the function moves by

.. math:: \sum_{i > R_4} \langle u_i^T g, u_i^T (y - \bar y) \rangle
    + \sum_{j > R_3} \langle a_j^T h, b_j^T (x - \bar x) \rangle

to first order, products summed over positions. So one backward pass gives the effect of all ranks of all layers.

For classes the function is each image's margin, by which the first class leads the second: an answer changes where the
margin falls below zero. For other outputs it is a normally distributed sum, whose mean square is the squared change of
the outputs as a share of their power. Divergences of class probabilities are no measure to plan by: those of confident
answers hardly depend on small changes. Residuals of different layers count as independent, so squares add up.

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
"""Largest number of images whose activations and gradients are held at a time."""
MAX_POSITIONS = 200
"""Positions of one image's map that the covariances are summed over."""
NOISE_DRAWS = 128
"""Number of random changes of each image's outputs that a forecast averages over."""
LEADING_CLASSES = 20
"""Number of classes that an answer can change to in a forecast."""
VARIANCE_FACTOR = 2.0
"""Factor by which the squared changes of a forecast may be wrong."""
UNSEEN_VARIANCE = 0.03
"""Share of the inputs' mean variance that is added in all directions, where positions are few beside inputs."""
MIN_VARIANCE_SHARE = 1e-8
"""Variance of a direction of the inputs below which it counts as this share of the largest."""


@dataclass(frozen=True)
class Importance:
    """How a network's outputs react to each layer's ranks.

    Attributes
    ----------
    images : how many unlabelled inputs were looked at.
    lost : by layer, (out + 1, columns) expected squared change of the outputs at (rank_out, rank_in), if only this
        layer is reduced and fitted. There are in + 2 columns, or 2 equal ones of a layer without Tucker-2; the last
        column is that of Tucker-1. A share of the outputs' power, or for classes of the squared margins.
    leading : (n, classes) the largest outputs of the original for each image, largest first, by which a forecast counts
        changed answers; None if they are no classes.
    margins : by layer, changes of each image's margin, (n, out + 1) and (n, columns).
    """

    network: str
    images: int
    lost: dict[str, Vector] = field(repr=False)
    leading: Tensor | None = field(default=None, repr=False)
    margins: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)

    def forecast(self, ranks: Mapping[str, tuple[int | None, int]]) -> "Forecast":
        """Return the forecast for layers at these (rank_in, rank_out); rank_in is None for Tucker-1."""
        places = {name: (o, -1 if i is None else i) for name, (i, o) in ranks.items() if name in self.lost}
        lost = float(sum(self.lost[name][place] for name, place in places.items()))
        leading = self.leading
        if leading is None:
            return Forecast(lost, self.images)
        variances = torch.zeros(self.images, dtype=torch.float64)
        for name, (rank_out, rank_in) in places.items():
            out, in_ = self.margins[name]
            variances += (out[:, rank_out] + in_[:, rank_in]).square()
        power = margin(leading).square().mean()
        variances *= power / (variances + power)  # what is left of a signal's power after least squares
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(NOISE_DRAWS, *leading.shape, generator=generator, dtype=torch.float64)

        def answers(factor: float) -> Tensor:
            return (leading + (factor * variances / 2).sqrt()[:, None] * noise).argmax(2)

        made, *ends = map(answers, (1.0, VARIANCE_FACTOR, 1 / VARIANCE_FACTOR))
        expected, low, high = (float((each == 0).double().mean()) for each in (made, *ends))
        p = probabilities(leading, all_classes=False).expand(NOISE_DRAWS, -1, -1)
        accuracy_lost = float((p[:, :, 0] - p.gather(2, made[:, :, None])[:, :, 0]).mean())
        interval = wilson(low, self.images)[0], wilson(high, self.images)[1]
        return Forecast(lost, self.images, expected, *interval, accuracy_lost)


@dataclass(frozen=True)
class Forecast:
    """What is expected of a plan after calibration, before anything is compressed.

    Attributes
    ----------
    lost : expected squared change of the outputs, as in :class:`Importance`.
    images : how many images were looked at.
    agreement : expected share of images whose answer stays; None if the outputs are no classes.
    low, high : interval of it, for images like these and changes wrong by a factor of `VARIANCE_FACTOR`.
    accuracy_lost : expected loss of top-1 accuracy as a share, if the original's probabilities are right: a changed
        answer loses as much as it is less probable than the first one.
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
    """Directions in which a layer is reduced, strongest first, group by group."""

    mean_out: Tensor  # (groups, out, 1)
    out: Tensor  # (groups, out, out), orthonormal columns
    mean_in: Tensor  # (groups, in, 1)
    give: Tensor | None = None  # (groups, in, in), columns a_j above; None for Tucker-1
    take: Tensor | None = None  # (groups, in, in), columns b_j


def importance(
    network: Network, spectra: Spectra, images: Images, *, progress: Progress | bool | None = None
) -> Importance:
    """Measure what each layer's ranks cost in the network's outputs, for :func:`~workbench.plan.budget.budget_plan`.

    Parameters
    ----------
    spectra : of the same network.
    images : as the data hold them; labels are not looked at. 32 to 64 are enough.
    progress : called before each batch; raising `Cancelled` ends the measurement.

    Raises
    ------
    ValueError : if there are no images, or of another shape.
    """
    expect_network(network)
    report, batches = reporter(progress), inputs_of(network, images, batch_size=BATCH_SIZE)
    generator = torch.Generator().manual_seed(0)
    # a batch is measured along the directions of the other half, which it did not choose
    found = directions(network, spectra, batches, progress=part(report, 0.0, 0.4))[::-1]
    model = copy_model(network.model)
    n, lost, leading = 0, dict[str, Vector](), list[Tensor]()
    moved: dict[str, list[tuple[Tensor, Tensor]]] = {}
    weights: Tensor = torch.ones(1, dtype=torch.float64)

    def functional(outputs: Any) -> Tensor:
        outputs = outputs if network.output is None else network.output(outputs)
        if not are_classes(outputs) or outputs.ndim != 2:
            return random_functional(outputs, generator)
        best = outputs.topk(min(LEADING_CLASSES, outputs.shape[1]), dim=1).values
        leading.append(best.detach().double().cpu())
        return margin(best).sum()

    for i, batch in enumerate(batches):
        report(0.4 + 0.6 * i / len(batches), "measuring what each layer matters")
        n += size_of(batch)
        for name, effect in effects(model, found[i % 2], spectra, batch, functional).items():
            moved.setdefault(name, []).append(effect)
    report(1.0, "")
    whole = {name: tuple(map(torch.cat, zip(*parts, strict=True))) for name, parts in moved.items()}
    if leading:
        squares = margin(torch.cat(leading)).square()
        weights = (1 / (squares + squares.median().clamp(min=1e-12)))[:, None]
    for name, (out, in_) in whole.items():
        table = 2 * (weights * out).mT @ in_
        table += (weights * out.square()).sum(0)[:, None] + (weights * in_.square()).sum(0)
        lost[name] = _falling((table / n).numpy())
    return Importance(network.name, n, lost, *((torch.cat(leading), whole) if leading else ()))


def margin(leading: Tensor) -> Tensor:
    """Return by how much the first of (n, classes), largest first, leads the second, (n,)."""
    return leading[:, 0] - leading[:, 1]


def directions(
    network: Network, spectra: Spectra, batches: InputBatches, *, progress: Progress | None = None
) -> list[dict[str, Directions]]:
    """Return the directions in which each layer that was called is reduced, from the covariances of its channels.

    Once for every second batch, and once for the others; a single batch serves both.
    """
    report, layers = reporter(progress), {one.layer.name: one.layer for one in spectra}
    sums: list[dict[str, tuple[_Sums, _Sums]]] = [{}, {}]  # of inputs and outputs
    model = copy_model(network.model)
    for i, batch in enumerate(batches):
        report(i / len(batches), "looking at each layer's activations")
        for one in layer_calls(model, list(layers), batch):
            inputs, outputs = sums[i % 2].setdefault(one.name, (_Sums(), _Sums()))
            maps = _maps(one.input, layers[one.name], given=True)
            # of inputs that are not reduced only the variances count
            inputs.add(maps if layers[one.name].method == "tucker2" else maps.flatten(1, 2)[:, :, None])
            outputs.add(_maps(one.output, layers[one.name], given=False))
    grams = {name: _grams(kernel_of(model.get_submodule(name), layers[name]), layers[name]) for name in sums[0]}
    return [
        {name: _directions(layers[name], grams[name], *half[name]) for name in grams if name in half}
        for half in (sums if sums[1] else [sums[0]] * 2)
    ]


def _grams(kernel: Tensor, layer: Layer) -> list[Tensor]:
    """Return lower triangles of the unfoldings that are reduced times their transposes: (groups, out, out), then in."""
    groups, modes = kernel.chunk(layer.shape.groups), (OUT_MODE, IN_MODE) if layer.method == "tucker2" else (OUT_MODE,)
    return [torch.stack([gram(group, mode) for group in groups]) for mode in modes]


def _directions(layer: Layer, grams: list[Tensor], inputs: "_Sums", outputs: "_Sums") -> Directions:
    """Return the directions of a layer from the products of its kernel and the moments of its channels."""
    (mean_in, within), (mean_out, without) = inputs.moments(), outputs.moments()
    n = layer.shape.in_channels // layer.shape.groups * prod(layer.shape.kernel_size)
    unseen = UNSEEN_VARIANCE * n / (n + inputs.count) * within.diagonal(dim1=1, dim2=2).mean()
    # float32, if the directions are used in that, takes less than half the time
    basis = torch.linalg.eigh((without + unseen * grams[0]).to(outputs.dtype))[1].flip(2)  # reads the lower triangle
    if layer.method != "tucker2":
        return Directions(mean_out, basis, mean_in)
    values, vectors = torch.linalg.eigh(within)
    deviations = values.clamp(min=float(values.max()) * MIN_VARIANCE_SHARE or 1.0).sqrt()[:, None, :]
    roots = (vectors * deviations) @ vectors.mT
    spread = grams[1].tril() + grams[1].tril(-1).mT
    strongest = torch.linalg.eigh(roots @ spread @ roots)[1].flip(2)  # of the kernel behind white inputs
    return Directions(mean_out, basis, mean_in, roots @ strongest, (vectors / deviations) @ vectors.mT @ strongest)


class _Sums:
    """First and second moments of the channels of maps (n, groups, channels, positions), in float64."""

    def __init__(self) -> None:
        self.count, self.dtype = 0, torch.float64
        self.sums: list[Tensor] = []

    def add(self, maps: Tensor) -> None:
        places = pick_places(maps.shape[3], MAX_POSITIONS)
        sampled = maps if places is None else maps.index_select(3, places.to(maps.device))
        rows = sampled.permute(1, 2, 0, 3).flatten(2)  # (groups, channels, n * positions)
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        self.count, self.dtype = self.count + rows.shape[2], rows.dtype
        found = [rows.sum(2, keepdim=True), rows @ rows.mT]
        self.sums = (
            [a.add_(b) for a, b in zip(self.sums, found, strict=True)] if self.sums else [v.double() for v in found]
        )

    def moments(self) -> tuple[Tensor, Tensor]:
        """Return means (groups, channels, 1) and covariances (groups, channels, channels)."""
        mean, squares = (each / self.count for each in self.sums)
        return mean, squares - mean @ mean.mT


def effects(
    model: nn.Module,
    found: dict[str, Directions],
    spectra: Spectra,
    batch: Any,
    functional: Callable[[Any], Tensor],
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return by layer how much reducing it moves a functional of the outputs, to first order.

    Two tables for each layer, (images, out + 1) for the output ranks and (images, in + 2) for the input ranks, (images,
    2) of a layer without Tucker-2; the last column, Tucker-1, is zero. The effect of a pair of ranks is their sum.
    Several maps of an image, like windows, add up; if their number is no multiple of the images', each has the mean.
    """
    moved: dict[str, tuple[Tensor, Tensor]] = {}
    images = max(1, size_of(batch))
    for one in layer_calls(model, list(found), batch, functional):
        layer, these = spectra[one.name].layer, found[one.name]
        n = len(one.output)
        y, g = (_maps(v, layer, given=False) for v in (one.output, one.output_gradient))
        most_in, most_out = layer.max_ranks
        out = _products(y - these.mean_out.to(y), g, these.out, these.out, most_out + 1)
        in_ = out.new_zeros(n, 2)
        if these.give is not None and these.take is not None:
            x, h = (_maps(v, layer, given=True) for v in (one.input, one.input_gradient))
            in_ = _products(x - these.mean_in.to(x), h, these.take, these.give, most_in + 2)
        if n % images:
            out, in_ = (each.sum(0).expand(images, -1) / images for each in (out, in_))
        else:
            out, in_ = (each.unflatten(0, (images, -1)).sum(1) for each in (out, in_))
        old = moved.get(one.name)
        moved[one.name] = (old[0] + out, old[1] + in_) if old else (out, in_)
    return moved


def _falling(table: Vector) -> Vector:
    """Return the table with no value below one at larger ranks, where parts that cancel are left out together."""
    for axis, values in ((0, table), (1, table[:, :-1])):
        values[:] = np.flip(np.maximum.accumulate(np.flip(values, axis), axis), axis)
    return table


def _products(values: Tensor, gradients: Tensor, left: Tensor, right: Tensor, size: int) -> Tensor:
    """Return (n, size) sums of products along the directions from a rank on, over positions and groups."""
    left, right = left.to(values), right.to(values)
    if values.shape[3] > values.shape[2]:  # more positions than channels: these are summed over first
        products = (left * (values @ gradients.mT @ right)).sum((1, 2))
    else:
        along = (torch.einsum("gcd,ngcp->ngdp", *pair) for pair in ((left, values), (right, gradients)))
        products = torch.mul(*along).sum((1, 3))
    products = products.double().cpu()
    result: Tensor = torch.zeros(len(products), size, dtype=torch.float64)
    result[:, : products.shape[1]] = products.flip(1).cumsum(1).flip(1)
    return result


def _maps(values: Tensor, layer: Layer, *, given: bool) -> Tensor:
    """Return a layer's input or output as (n, groups, channels of a group, positions)."""
    if layer.kind == "conv":
        maps = values.flatten(2)
    elif given and layer.shape.kernel_size:  # behind a flatten
        maps = values.reshape(len(values), -1, prod(layer.shape.kernel_size))
    else:
        maps = values.movedim(-1, 1).flatten(2) if values.ndim > 2 else values[:, :, None]
    grouped: Tensor = maps.unflatten(1, (layer.shape.groups, -1))
    return grouped
