"""Convolutions and linear layers: geometry, cost, kernel, padding."""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from workbench.kernels.complexity import ConvShape, Cost, dense_cost


@dataclass(frozen=True)
class Layer:
    """One convolution or linear layer.

    A linear layer right after a flatten counts as a convolution whose kernel has the size of the flattened map.
    """

    name: str  # as in `model.named_modules()`
    kind: str  # "conv" or "linear"
    shape: ConvShape
    method: str  # "tucker2", "tucker1", or "keep" if it cannot be factorised
    reason: str = ""  # why it cannot be factorised; "" if it can

    @cached_property
    def cost(self) -> Cost:
        """Dense cost: weights (biases included) and MACs of one input."""
        return dense_cost(self.shape)

    @property
    def pointwise(self) -> bool:
        """Whether the layer is a 1x1 convolution."""
        return self.kind == "conv" and prod(self.shape.kernel_size) == 1

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """(out_channels, in_channels per group, *kernel_size)."""
        s = self.shape
        return (s.out_channels, s.in_channels // s.groups, *s.kernel_size)

    @property
    def max_ranks(self) -> tuple[int, int]:
        """(largest rank_in, largest rank_out), of each group if there are groups."""
        return self.shape.in_channels // self.shape.groups, self.shape.out_channels // self.shape.groups

    def describe(self) -> str:
        """Return the layer's geometry as text: "64 -> 128, 3x3", "64 -> 64, 3x3, 2 groups" or "512 -> 10"."""
        parts = [f"{self.shape.in_channels} -> {self.shape.out_channels}"]
        if self.shape.kernel_size:
            parts.append("x".join(map(str, self.shape.kernel_size)) + ("T" if self.shape.transposed else ""))
        if self.shape.groups > 1:
            parts.append(f"{self.shape.groups} groups")
        return ", ".join(parts)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Layer":
        """Return the layer of an ``asdict`` that was read from JSON; raise ValueError if a size is invalid."""
        shape = dict(values["shape"])
        for key in ("in_channels", "out_channels", "groups"):
            shape[key] = whole_number(shape[key], minimum=1)
        shape["kernel_size"] = tuple(whole_number(size, minimum=1) for size in shape["kernel_size"])
        shape["positions"] = tuple((whole_number(i), whole_number(o)) for i, o in shape["positions"])
        return cls(**{**values, "shape": ConvShape(**shape)})


MAX_SIZE = 2**53
"""Largest size or count that is accepted from a file."""


def whole_number(value: Any, *, minimum: int = 0) -> int:
    """Return a value read from a file; raise ValueError unless it is a whole number of at least `minimum`."""
    if type(value) is not int or not minimum <= value <= MAX_SIZE:
        raise ValueError(f"{value!r} is no whole number from {minimum}")
    return value


CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
LAYER_CLASSES = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear)


def weight_shape(layer: Layer) -> tuple[int, ...]:
    """Return the shape of the module's weight tensor, as PyTorch stores it."""
    shape = layer.shape
    if layer.kind == "linear":
        return shape.out_channels, shape.in_channels * prod(shape.kernel_size)
    if shape.transposed:
        return shape.in_channels, shape.out_channels // shape.groups, *shape.kernel_size
    return layer.kernel_shape


def kernel_of(module: nn.Module, layer: Layer) -> Tensor:
    """Return the layer's weight as a kernel (out_channels, in_channels per group, ...)."""
    weight: Tensor = module.weight.detach()  # type: ignore[operator]
    if layer.shape.transposed:  # PyTorch stores (in, out) in each group
        return torch.cat([group.transpose(0, 1) for group in weight.chunk(layer.shape.groups)])
    return weight.reshape(layer.kernel_shape)


def input_padding(module: Any) -> list[int]:
    """Return the padding that a convolution's forward pass applies, in the order of ``torch.nn.functional.pad``.

    For zeros, PyTorch uses the current `padding` and `dilation`, which some segmentation encoders set after
    construction. Other padding modes use values that were computed at construction.
    """
    if module.padding_mode != "zeros":
        return list(module._reversed_padding_repeated_twice)
    spans = [d * (k - 1) for k, d in zip(module.kernel_size, module.dilation, strict=True)]
    modes = {"valid": [(0, 0)] * len(spans), "same": [(span // 2, span - span // 2) for span in spans]}
    pairs = modes[module.padding] if isinstance(module.padding, str) else [(p, p) for p in module.padding]
    return [side for pair in reversed(pairs) for side in pair]
