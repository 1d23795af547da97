"""Fit one layer's factors by least squares, group by group."""

from collections import defaultdict
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from workbench.kernels.regression import (
    MAX_SWEEPS,
    START_RIDGE,
    Normal,
    choose_ridge,
    full_rank,
    reduced_rank,
    scale,
    tucker2_regression,
)
from workbench.network.layers import kernel_of
from workbench.network.moments import MAX_PATCH_NUMBERS, Moments, patches, pick_places, rows
from workbench.plan.plan import LayerPlan

MAX_INPUTS = 5200
"""Largest number of inputs of a problem (512 channels in 3x3 have 4608); above it the first factors stay fixed."""

LATER_SWEEPS = 3
"""Sweeps over the Tucker-2 factors in later fits, which start at the factors of the previous fit."""

MAX_POSITIONS = 400
"""Largest number of positions of one image's map that count; neighbours are nearly equal."""

MAX_CACHE_BYTES = 2**28
"""Bytes of a layer's inputs and outputs, as rows, that are kept for later fits."""


class Refit:
    """Sums moments of a layer's inputs and target outputs, then fits its weights in place.

    As far as memory allows, inputs are cached for later fits, and outputs of the first fit for the third fit.
    `level` says what is fitted: 0 everything, 1 core and output factor with a fixed input factor, 2 the output factor
    only (transposed convolutions, and very large layers). `ridge` is the start of the search for a ridge, and then its
    result.
    """

    def __init__(self, part: LayerPlan, dense: nn.Module, compressed: nn.Module, level: int, *, centred: bool) -> None:
        self.ridge = START_RIDGE
        self.part, self.dense, self.compressed, self.level = part, dense, compressed, level
        modules = dict(compressed.named_children())
        names = ("map", "factor_in", "core")[: level + 1 if level else 0]
        self.fixed = nn.Sequential(*[modules[name] for name in names if name in modules])
        self.shape = part.layer.shape
        groups = self.shape.groups
        self.prior = self._prior()
        outputs, features = self.prior.shape
        self.moments = [Moments(features, outputs // groups, centred=centred) for _ in range(groups)]
        self.problems: list[Normal] = []
        self.ridges: list[float] = []
        self.shift: Tensor | None = None
        self.input_factors: dict[int, Tensor] = {}
        self.fit_count = 0
        self.cached_rows: dict[Any, Tensor] = {}
        self.cached_bytes = 0

    @classmethod
    def of(cls, part: LayerPlan, dense: nn.Module, compressed: nn.Module, norm_after: bool) -> "Refit | None":
        """Return the problem of a layer; None if its type or size cannot be fitted."""
        shape, centred = part.layer.shape, norm_after or isinstance(dense.bias, Tensor)
        taps, inputs = prod(shape.kernel_size), shape.in_channels // shape.groups
        if part.decision == "keep":
            is_small = inputs * taps <= MAX_INPUTS and not shape.transposed
            is_fittable = part.layer.method != "keep" and type(compressed) is type(dense)
            return cls(part, dense, compressed, 0, centred=centred) if is_small and is_fittable else None
        sizes = [inputs * taps, (part.rank_in or inputs) * taps, part.rank_out or 0]
        level = 2 if shape.transposed else next((i for i, n in enumerate(sizes) if n <= MAX_INPUTS), 2)
        return cls(part, dense, compressed, level, centred=centred)

    def _prior(self) -> Tensor:
        """Return the weights (out_channels, features) towards which the ridge pulls the fitted weights."""
        if self.level == 0:
            return kernel_of(self.dense, self.part.layer).flatten(1).double().cpu()
        factor_out = _weight(self.compressed.get_submodule("factor_out"))
        if self.level == 2:
            return factor_out
        core, groups = _weight(self.compressed.get_submodule("core")), self.shape.groups
        return torch.cat([o @ c for o, c in zip(factor_out.chunk(groups), core.chunk(groups), strict=True)])

    def _features(self, inputs: Tensor, positions: Tensor | None) -> Tensor:
        x = self.fixed(inputs)
        if self.level == 2:
            return rows(x, positions, flat=not self.shape.kernel_size)
        return patches(self.dense if self.level == 0 else self.compressed.get_submodule("core"), x, positions)

    def add(self, batch: int, inputs: Tensor, targets: Tensor, outputs: Tensor | None = None) -> None:
        """Add each half of a batch's images to one half of the sums; an odd image goes to each half in turn.

        If a ReLU follows the layer, later fits give the `outputs` of the fitted layer: where targets are below zero,
        negative outputs replace them. The second of these fits first extrapolates outputs by their last change.
        """
        flat = isinstance(self.dense, nn.Linear)
        position_count = 1 if flat else prod(targets.shape[2:])
        positions = pick_places(position_count, MAX_POSITIONS)
        per_image = min(position_count, MAX_POSITIONS)
        step = max(1, MAX_PATCH_NUMBERS // max(1, per_image * self.prior.shape[1] * self.shape.groups))
        middle = (len(inputs) + 1 - batch % 2) // 2
        for half, (first, last) in enumerate(((0, middle), (middle, len(inputs)))):
            for begin in range(first, last, step):
                end = min(begin + step, last)
                x = self.cached_rows.get(("inputs", batch, begin))
                if x is None:
                    x = self._features(inputs[begin:end], positions)
                    self._cache(x, "inputs", batch, begin)
                y = rows(targets[begin:end], positions, flat=flat)
                if outputs is not None:
                    output = rows(outputs[begin:end], positions, flat=flat)
                    key = "outputs", batch, begin
                    previous = self.cached_rows.get(key, output) if self.fit_count == 2 else output
                    y = torch.where(y > 0, y, (2 * output - previous).clamp(max=0))
                    if self.fit_count == 1:
                        self._cache(output, *key)
                groups = zip(self.moments, x.chunk(len(self.moments), 1), y.chunk(len(self.moments), 1), strict=True)
                for moments, group_x, group_y in groups:
                    (moments.add if outputs is None else moments.add_outputs)(half, group_x, group_y)

    def _cache(self, values: Tensor, *key: Any) -> None:
        """Keep rows of a batch, unless the cache is full."""
        if self.cached_bytes + values.nbytes <= MAX_CACHE_BYTES:
            self.cached_rows[key] = values
            self.cached_bytes += values.nbytes

    def reset_outputs(self) -> None:
        """Set the sums over the targets to zero."""
        for moments in self.moments:
            moments.reset_outputs()

    def solve(self) -> None:
        """Fit the layer, and write weights and bias into the compressed network."""
        self.fit_count += 1
        group_tensors: dict[str, list[Tensor]] = defaultdict(list)
        for i, (moments, prior) in enumerate(zip(self.moments, self.prior.chunk(len(self.moments)), strict=True)):
            problem = self._problem(i, moments, prior)
            factors, weight = self._solve(problem, i)
            for name, tensor in {**factors, "bias": moments.intercept(weight)}.items():
                group_tensors[name].append(tensor)
        intercept = torch.cat(group_tensors.pop("bias"))
        biased = self.compressed if self.part.decision == "keep" else self.compressed.get_submodule("factor_out")
        if isinstance(biased.bias, Tensor):
            biased.bias.copy_(intercept)
        elif self.moments[0].centred:
            self.shift = intercept
        for name, tensors in group_tensors.items():
            parameter = self.compressed.get_parameter(name)
            parameter.copy_(torch.cat(tensors).reshape(parameter.shape))

    def _problem(self, group: int, moments: Moments, prior: Tensor) -> Normal:
        """Return one group's problem with its ridge; the first fit chooses the ridge."""
        if group == len(self.problems):
            problem = moments.normal()
            self.ridge = choose_ridge([moments.normal([0]), moments.normal([1])], prior, start=self.ridge)
            self.ridges.append(self.ridge / 2 * scale(problem.inputs))
            self.problems.append(problem.with_ridge(prior, self.ridges[group]))
        else:
            problem = self.problems[group].with_outputs(*moments.outputs())
            self.problems[group] = problem.with_prior(prior, self.ridges[group])
        return self.problems[group]

    def _solve(self, problem: Normal, group: int) -> tuple[dict[str, Tensor], Tensor]:
        """Return one group's new weights by parameter name, and their product (out_channels, features)."""
        part, groups = self.part, self.shape.groups
        if part.decision == "keep" or self.level == 2:
            weight = full_rank(problem)
            return {"weight" if part.decision == "keep" else "factor_out.weight": weight}, weight
        assert part.rank_out is not None
        if part.rank_in is None or self.level == 1:
            core, factor_out = reduced_rank(problem, part.rank_out)
            return {"core.weight": core, "factor_out.weight": factor_out}, factor_out @ core
        shape = (self.shape.out_channels // groups, self.shape.in_channels // groups, *self.shape.kernel_size)
        first_factor = self.input_factors.get(group)
        sweeps = MAX_SWEEPS if first_factor is None else LATER_SWEEPS
        factor_in, core, factor_out = tucker2_regression(
            problem, shape, rank_in=part.rank_in, rank_out=part.rank_out, start=first_factor, max_sweeps=sweeps
        )
        self.input_factors[group] = factor_in
        weight = torch.einsum("ta,ab...,bs->ts...", factor_out, core, factor_in).flatten(1)
        return {"factor_in.weight": factor_in, "core.weight": core, "factor_out.weight": factor_out}, weight


def _weight(module: nn.Module) -> Tensor:
    return module.get_parameter("weight").detach().flatten(1).double().cpu()
