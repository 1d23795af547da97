"""Second moments of a layer's input patches and wanted outputs, summed over a stream of batches."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from workbench.kernels.regression import Normal

ENTRIES = 30_000_000
"""Entries of the matrix of patches that is made at a time."""


def patches(module: Any, given: Tensor) -> Tensor:
    """(positions, in_channels * taps): what each output of a convolution or linear layer sees, in the kernel's order.

    Any number of spatial dimensions, stride, padding mode and dilation; of all groups together.
    """
    if isinstance(module, nn.Linear):
        return given.reshape(-1, given.shape[-1])
    size, stride, dilation = module.kernel_size, module.stride, module.dilation
    if prod(size) == 1 and not any(module._reversed_padding_repeated_twice) and set(stride) == {1}:
        return given.flatten(2).transpose(1, 2).reshape(-1, given.shape[1])
    mode = "constant" if module.padding_mode == "zeros" else str(module.padding_mode)
    padded = pad(given, tuple(module._reversed_padding_repeated_twice), mode=mode)
    spans = [d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True)]
    windows = padded
    for axis, (span, step) in enumerate(zip(spans, stride, strict=True)):
        windows = windows.unfold(axis + 2, span, step)  # (n, channels, *positions, *spans)
    for axis, d in enumerate(dilation):
        if d > 1:
            span = windows.ndim - len(size) + axis
            windows = windows.index_select(span, torch.arange(0, windows.shape[span], d, device=given.device))
    places = len(size)
    order = (0, *range(2, 2 + places), 1, *range(2 + places, 2 + 2 * places))
    return windows.permute(order).reshape(-1, given.shape[1] * prod(size))


def rows(module: nn.Module, output: Tensor) -> Tensor:
    """(positions, out_channels) of a layer's output, in the order of :func:`patches`."""
    if isinstance(module, nn.Linear):
        return output.reshape(-1, output.shape[-1])
    return output.flatten(2).transpose(1, 2).reshape(-1, output.shape[1])


class Moments:
    """Sums over two halves of the images; one group of channels of one layer.

    Parameters
    ----------
    n, t : numbers of inputs and of outputs.
    centred : whether the layer has an intercept (a bias, or a batch norm behind it).
    """

    def __init__(self, n: int, t: int, *, centred: bool) -> None:
        def zeros(*shape: int) -> list[Tensor]:
            return [torch.zeros(*shape, dtype=torch.float64) for _ in range(2)]

        self.count, self.x, self.y, self.yy = zeros(1), zeros(n), zeros(t), zeros(1)
        self.xx, self.yx = zeros(n, n), zeros(t, n)
        self.centred = centred

    def add(self, half: int, x: Tensor, y: Tensor) -> None:
        """Add matching rows of inputs (m, n) and outputs (m, t) of images of one half."""
        self.xx[half] += (x.mT @ x).double().cpu()
        self.x[half] += x.sum(0, dtype=torch.float64).cpu()
        self.count[half] += len(x)
        self.add_outputs(half, x, y)

    def add_outputs(self, half: int, x: Tensor, y: Tensor) -> None:
        """Only what depends on the outputs, for inputs that were added before."""
        self.yx[half] += (y.mT @ x).double().cpu()
        self.y[half] += y.sum(0, dtype=torch.float64).cpu()
        self.yy[half] += y.square().sum(dtype=torch.float64).cpu()

    def forget_outputs(self) -> None:
        """Begin the sums over the outputs again."""
        for sums in (self.yx, self.y, self.yy):
            for tensor in sums:
                tensor.zero_()

    def normal(self, halves: Sequence[int] = (0, 1)) -> Normal:
        """The least-squares problem of one half, or of both together; per row."""
        count = max(1.0, sum(float(self.count[h]) for h in halves))
        x, y = (sum(s[h] for h in halves) / count for s in (self.x, self.y))
        inputs, cross = (sum(s[h] for h in halves) / count for s in (self.xx, self.yx))
        power = sum(float(self.yy[h]) for h in halves) / count
        assert isinstance(x, Tensor)
        assert isinstance(y, Tensor)
        assert isinstance(inputs, Tensor)
        assert isinstance(cross, Tensor)
        if self.centred:
            inputs, cross, power = inputs - torch.outer(x, x), cross - torch.outer(y, x), power - float(y @ y)
        return Normal(inputs, cross, power)

    def intercept(self, weight: Tensor) -> Tensor:
        """(t,) bias with which the mean output is met."""
        count = float(self.count[0] + self.count[1])
        return ((self.y[0] + self.y[1]) - weight @ (self.x[0] + self.x[1])) / count
