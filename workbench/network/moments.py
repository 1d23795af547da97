"""Accumulate second moments of a layer's input patches and target outputs over batches."""

from math import isfinite, prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.functional import unfold as im2col

from workbench.kernels.regression import Normal
from workbench.network.layers import input_padding

MAX_PATCH_NUMBERS = 30_000_000
"""Largest number of values in a matrix of patches."""


def patches(module: Any, x: Tensor, places: Tensor | None = None) -> Tensor:
    """Return (positions, in_channels * taps): the input patch of each output position, in the kernel's order.

    The module is a linear layer or a convolution of any dimensions, stride, padding mode, dilation and groups, but not
    transposed. `x` is its input (n, in_channels, *spatial), or (n, ..., features) of a linear layer. `places` are flat
    indices of output positions, None for all.
    """
    if isinstance(module, nn.Linear):
        return x.reshape(-1, x.shape[-1])
    size, mode = module.kernel_size, "constant" if module.padding_mode == "zeros" else str(module.padding_mode)
    windows = padded = pad(x, input_padding(module), mode=mode)
    if places is None and len(size) == 2:  # same result as below, in one fast copy
        columns = im2col(padded, size, dilation=module.dilation, stride=module.stride)
        return columns.transpose(1, 2).reshape(-1, columns.shape[1])
    for axis, (k, step, d) in enumerate(zip(size, module.stride, module.dilation, strict=True)):
        windows = windows.unfold(axis + 2, d * (k - 1) + 1, step)  # (n, channels, *positions, *spans)
        if d > 1:
            windows = windows.index_select(-1, torch.arange(0, windows.shape[-1], d, device=x.device))
    spatial = windows.shape[2 : 2 + len(size)]
    flat = torch.arange(prod(spatial), device=x.device) if places is None else places.to(x.device)
    index: Any = (slice(None), slice(None), *torch.unravel_index(flat, spatial))
    selected = windows[index]  # (n, channels, m, *taps)
    return selected.transpose(1, 2).reshape(-1, x.shape[1] * prod(size))


def rows(output: Tensor, places: Tensor | None = None, *, flat: bool = False) -> Tensor:
    """Return a layer's output (n, channels, *spatial), or (n, ..., features) if `flat`, as (positions, out_channels).

    Positions are in the order of :func:`patches`.
    """
    if flat:
        return output.reshape(-1, output.shape[-1])
    maps = output.flatten(2)
    if places is not None:
        maps = maps.index_select(2, places.to(maps.device))
    return maps.transpose(1, 2).reshape(-1, output.shape[1])


def pick_places(positions: int, max_positions: int) -> Tensor | None:
    """Return `max_positions` of the positions of a map, drawn with a fixed seed; None if there are not more."""
    if positions <= max_positions:
        return None
    return torch.randperm(positions, generator=torch.Generator().manual_seed(0))[:max_positions].sort().values


class Moments:
    """Sums of the moments of n inputs and t outputs of one channel group of a layer, over each half of the images.

    `centred` says whether the layer has an intercept (a bias, or a batch norm after it).
    """

    def __init__(self, n: int, t: int, *, centred: bool) -> None:
        shapes = ((), (n,), (t,), (), (n, n), (t, n))
        self.count, self.x, self.y, self.yy, self.xx, self.yx = (
            torch.zeros(2, *shape, dtype=torch.float64) for shape in shapes
        )
        self.centred = centred

    def add(self, half: int, x: Tensor, y: Tensor) -> None:
        """Add rows of inputs (m, n) and of the matching outputs (m, t), of images of one half."""
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        self.xx[half] += (x.mT @ x).double().cpu()
        self.x[half] += x.sum(0, dtype=torch.float64).cpu()
        self.count[half] += len(x)
        self.add_outputs(half, x, y)

    def add_outputs(self, half: int, x: Tensor, y: Tensor) -> None:
        """Add outputs for inputs that were added before."""
        x, y = (values.to(torch.promote_types(values.dtype, torch.float32)) for values in (x, y))
        self.yx[half] += (y.mT @ x).double().cpu()
        self.y[half] += y.sum(0, dtype=torch.float64).cpu()
        self.yy[half] += y.square().sum(dtype=torch.float64).cpu()

    def reset_outputs(self) -> None:
        """Set the sums that involve outputs to zero."""
        for sums in (self.yx, self.y, self.yy):
            sums.zero_()

    def normal(self, halves: list[int] | slice = slice(None)) -> Normal:
        """Return the least-squares problem of these halves, divided by the number of rows."""
        count = self._row_count(halves)
        inputs, x = self.xx[halves].sum(0) / count, self.x[halves].sum(0) / count
        return Normal(inputs - torch.outer(x, x) if self.centred else inputs, *self.outputs(halves))

    def outputs(self, halves: list[int] | slice = slice(None)) -> tuple[Tensor, float]:
        """Return the terms of the problem that involve outputs: `cross` and `power` of a Normal."""
        count = self._row_count(halves)
        x, y, cross = (sums[halves].sum(0) / count for sums in (self.x, self.y, self.yx))
        power = float(self.yy[halves].sum()) / count
        if not isfinite(power):
            raise ValueError("the sums over the outputs are not finite: look for NaN in the images or the weights")
        return (cross - torch.outer(y, x), power - float(y @ y)) if self.centred else (cross, power)

    def _row_count(self, halves: list[int] | slice) -> float:
        return max(1.0, float(self.count[halves].sum()))

    def intercept(self, weight: Tensor) -> Tensor:
        """Return the bias (t,) that reproduces the mean output."""
        return (self.y.sum(0) - weight @ self.x.sum(0)) / self.count.sum()
