"""Fit the factors of one layer by least squares, group by group."""

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
"""Inputs of a problem (512 channels in 3x3 have 4608) above which the outer factors stay and the rest is fitted."""

LATER_SWEEPS = 3
"""Sweeps over the Tucker-2 factors in later fits, which begin where the one before ended."""

MAX_POSITIONS = 400
"""Positions of one image's map that are looked at; neighbours say nearly the same."""

MAX_KEPT_BYTES = 2**28
"""Bytes of a layer's inputs and answers, as rows, that are kept for later fits."""


class Refit:
    """Sums up a layer's inputs and wanted outputs, then fits its weights in place.

    Inputs are kept for the fits after the first, and the answers of the first for the third, as far as there is room.
    `level` says what is fitted: 0 everything, 1 core and output factor behind a fixed input factor, 2 only the
    output factor (transposed convolutions, and layers too large for more). `ridge` is where the search for a ridge
    begins, and then the one that was found.
    """

    def __init__(self, part: LayerPlan, dense: nn.Module, made: nn.Module, level: int, *, centred: bool) -> None:
        self.ridge = START_RIDGE
        self.part, self.dense, self.made, self.level = part, dense, made, level
        factors = dict(made.named_children())
        names = ("map", "factor_in", "core")[: level + 1 if level else 0]
        self.before = nn.Sequential(*[factors[name] for name in names if name in factors])
        self.shape = part.layer.shape
        groups = self.shape.groups
        self.prior = self._prior()
        sizes = self.prior.shape
        self.moments = [Moments(sizes[1], sizes[0] // groups, centred=centred) for _ in range(groups)]
        self.problems: list[Normal] = []
        self.ridges: list[float] = []
        self.shift: Tensor | None = None
        self.inner: dict[int, Tensor] = {}
        self.fits = 0
        self.kept: dict[Any, Tensor] = {}
        self.kept_bytes = 0

    @classmethod
    def of(cls, part: LayerPlan, dense: nn.Module, made: nn.Module, norm_after: bool) -> "Refit | None":
        """Return the problem of a layer; None if there is nothing to fit."""
        layer = part.layer
        taps, inputs = prod(layer.shape.kernel_size), layer.shape.in_channels // layer.shape.groups
        bias = isinstance(dense.bias, Tensor)
        if part.decision == "keep":
            small = inputs * taps <= MAX_INPUTS and not layer.shape.transposed
            sound = layer.method != "keep" and type(made) is type(dense)
            return cls(part, dense, made, 0, centred=bias or norm_after) if small and sound else None
        sizes = [inputs * taps, (part.rank_in or inputs) * taps, part.rank_out or 0]
        level = 2 if layer.shape.transposed else next((i for i, n in enumerate(sizes) if n <= MAX_INPUTS), 2)
        return cls(part, dense, made, level, centred=bias or norm_after)

    def _prior(self) -> Tensor:
        """Return weights (out_channels, features) that the fitted weights should stay near."""
        if self.level == 0:
            return kernel_of(self.dense, self.part.layer).flatten(1).double().cpu()
        outer = _weight(self.made.get_submodule("factor_out"))
        if self.level == 2:
            return outer
        core, groups = _weight(self.made.get_submodule("core")), self.shape.groups
        return torch.cat([o @ c for o, c in zip(outer.chunk(groups), core.chunk(groups), strict=True)])

    def _features(self, given: Tensor, places: Tensor | None) -> Tensor:
        seen = self.before(given)
        if self.level == 2:
            return rows(seen, places, flat=not self.shape.kernel_size)
        return patches(self.dense if self.level == 0 else self.made.get_submodule("core"), seen, places)

    def add(self, batch: int, given: Tensor, wanted: Tensor, answers: Tensor | None = None) -> None:
        """Add a batch: half of its images to one half of the sums, the rest to the other, an odd one to each in turn.

        With `answers` of the fitted layer the batch of this number was added before, and a ReLU is behind the layer:
        where `wanted` is below zero, answers below zero are taken as wanted. In the second such fit they are first
        carried on by their last change.
        """
        flat = isinstance(self.dense, nn.Linear)
        positions = 1 if flat else prod(wanted.shape[2:])
        places = pick_places(positions, MAX_POSITIONS)
        per_image = min(positions, MAX_POSITIONS)
        step = max(1, MAX_PATCH_NUMBERS // max(1, per_image * self.prior.shape[1] * self.shape.groups))
        middle = (len(given) + 1 - batch % 2) // 2
        for half, (begin, end) in enumerate(((0, middle), (middle, len(given)))):
            for start in range(begin, end, step):
                stop = min(start + step, end)
                x = self.kept.get(("inputs", batch, start))
                if x is None:
                    x = self._features(given[start:stop], places)
                    self._keep(x, "inputs", batch, start)
                y = rows(wanted[start:stop], places, flat=flat)
                if answers is not None:
                    found = rows(answers[start:stop], places, flat=flat)
                    before = self.kept.get(("answers", batch, start), found) if self.fits == 2 else found
                    y = torch.where(y > 0, y, (2 * found - before).clamp(max=0))  # the second time carried on
                    if self.fits == 1:
                        self._keep(found, "answers", batch, start)
                groups = zip(self.moments, x.chunk(len(self.moments), 1), y.chunk(len(self.moments), 1), strict=True)
                for moments, mine, outputs in groups:
                    (moments.add if answers is None else moments.add_outputs)(half, mine, outputs)

    def _keep(self, values: Tensor, *key: Any) -> None:
        """Keep rows of a batch, while there is room."""
        if self.kept_bytes + values.nbytes <= MAX_KEPT_BYTES:
            self.kept[key] = values
            self.kept_bytes += values.nbytes

    def reset_outputs(self) -> None:
        """Begin the sums over the wanted outputs again."""
        for moments in self.moments:
            moments.reset_outputs()

    def solve(self) -> None:
        """Fit, and write the weights and the bias into the smaller network's layer."""
        self.fits += 1
        pieces: dict[str, list[Tensor]] = defaultdict(list)
        for i, (moments, prior) in enumerate(zip(self.moments, self.prior.chunk(len(self.moments)), strict=True)):
            normal = self._problem(i, moments, prior)
            found, weight = self._solve(normal, i)
            for name, tensor in {**found, "bias": moments.intercept(weight)}.items():
                pieces[name].append(tensor)
        intercept = torch.cat(pieces.pop("bias"))
        where = self.made if self.part.decision == "keep" else self.made.get_submodule("factor_out")
        if isinstance(where.bias, Tensor):
            where.bias.copy_(intercept)
        elif self.moments[0].centred:
            self.shift = intercept
        for name, tensors in pieces.items():
            target = self.made.get_parameter(name)
            target.copy_(torch.cat(tensors).reshape(target.shape))

    def _problem(self, group: int, moments: Moments, prior: Tensor) -> Normal:
        """Return one group's problem with its ridge, which is chosen the first time."""
        if group == len(self.problems):
            normal = moments.normal()
            self.ridge = choose_ridge([moments.normal([0]), moments.normal([1])], prior, start=self.ridge)
            self.ridges.append(self.ridge / 2 * scale(normal.inputs))
            self.problems.append(normal.with_ridge(prior, self.ridges[group]))
        else:
            normal = self.problems[group].with_outputs(*moments.outputs())
            self.problems[group] = normal.with_prior(prior, self.ridges[group])
        return self.problems[group]

    def _solve(self, normal: Normal, group: int) -> tuple[dict[str, Tensor], Tensor]:
        """Return one group's new weights by parameter name, and their product (out_channels, features)."""
        part, groups = self.part, self.shape.groups
        if part.decision == "keep" or self.level == 2:
            weight = full_rank(normal)
            return {"weight" if part.decision == "keep" else "factor_out.weight": weight}, weight
        assert part.rank_out is not None
        if part.rank_in is None or self.level == 1:
            core, outer = reduced_rank(normal, part.rank_out)
            return {"core.weight": core, "factor_out.weight": outer}, outer @ core
        shape = (self.shape.out_channels // groups, self.shape.in_channels // groups, *self.shape.kernel_size)
        start = self.inner.get(group)
        sweeps = MAX_SWEEPS if start is None else LATER_SWEEPS
        inner, cube, outer = tucker2_regression(
            normal, shape, rank_in=part.rank_in, rank_out=part.rank_out, start=start, max_sweeps=sweeps
        )
        self.inner[group] = inner
        weight = torch.einsum("ta,ab...,bs->ts...", outer, cube, inner).flatten(1)
        return {"factor_in.weight": inner, "core.weight": cube, "factor_out.weight": outer}, weight


def _weight(module: nn.Module) -> Tensor:
    return module.get_parameter("weight").detach().flatten(1).double().cpu()
