"""Convolutions and linear layers: geometry, cost, kernel, padding."""

from dataclasses import asdict, dataclass
from functools import cached_property
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from workbench.kernels.complexity import ConvShape, Cost, dense_cost


@dataclass(frozen=True)
class Layer:
    """One convolution or linear layer.

    Attributes
    ----------
    name : as in ``model.named_modules()``.
    kind : "conv" or "linear".
    shape : its geometry. A linear layer right after a flatten is seen as a convolution with a kernel as large as its
        input map, and then has a kernel size.
    method : "tucker2", "tucker1", or "keep" if it cannot be factorised.
    reason : why not, if it cannot.
    """

    name: str
    kind: str
    shape: ConvShape
    method: str
    reason: str = ""

    @cached_property
    def cost(self) -> Cost:
        """Dense cost: weights (biases included) and MACs of one input."""
        return dense_cost(self.shape)

    @property
    def pointwise(self) -> bool:
        """Whether it is a 1x1 convolution."""
        return self.kind == "conv" and prod(self.shape.kernel_size) == 1

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """(out_channels, in_channels per group, *kernel_size)."""
        s = self.shape
        return (s.out_channels, s.in_channels // s.groups, *s.kernel_size)

    @property
    def max_ranks(self) -> tuple[int, int]:
        """(largest rank_in, largest rank_out), those of each group if there are groups."""
        return self.shape.in_channels // self.shape.groups, self.shape.out_channels // self.shape.groups

    def describe(self) -> str:
        """Return words like "64 -> 128, 3x3", "64 -> 64, 3x3, 2 groups" or "512 -> 10"."""
        parts = [f"{self.shape.in_channels} -> {self.shape.out_channels}"]
        if self.shape.kernel_size:
            parts.append("x".join(map(str, self.shape.kernel_size)) + ("T" if self.shape.transposed else ""))
        if self.shape.groups > 1:
            parts.append(f"{self.shape.groups} groups")
        return ", ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Layer":
        """Return a layer from the values of :meth:`to_dict`, read from JSON."""
        shape = dict(values["shape"])
        shape["kernel_size"] = tuple(shape["kernel_size"])
        shape["positions"] = tuple((int(i), int(o)) for i, o in shape["positions"])
        return cls(**{**values, "shape": ConvShape(**shape)})


CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
KINDS = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear)


def weight_shape(layer: Layer) -> tuple[int, ...]:
    """Return the shape of the module's weight tensor, as PyTorch stores it."""
    shape = layer.shape
    if layer.kind == "linear":
        return shape.out_channels, shape.in_channels * prod(shape.kernel_size)
    if shape.transposed:
        return shape.in_channels, shape.out_channels // shape.groups, *shape.kernel_size
    return layer.kernel_shape


def kernel_of(module: nn.Module, layer: Layer) -> Tensor:
    """Return the layer's weight as a kernel (out_channels, in_channels per group, ...).

    A linear layer's is reshaped to its map; a transposed convolution keeps (in, out), which is turned round within
    each group.
    """
    weight = module.weight
    assert isinstance(weight, Tensor)
    if layer.shape.transposed:
        parts = [part.transpose(0, 1) for part in weight.detach().chunk(layer.shape.groups)]
        return torch.cat(parts)
    return weight.detach().reshape(layer.kernel_shape)


def input_padding(module: Any) -> list[int]:
    """Return the padding that a convolution's forward pass applies, in the order of ``torch.nn.functional.pad``.

    Attributes may be set after construction, as some segmentation encoders do: zeros are added by what `padding` and
    `dilation` say now, other modes by what was prepared at construction.
    """
    if module.padding_mode != "zeros":
        return list(module._reversed_padding_repeated_twice)
    if module.padding == "valid":
        return [0] * (2 * len(module.kernel_size))
    found: list[int] = []
    for axis in reversed(range(len(module.kernel_size))):
        if module.padding == "same":
            whole = module.dilation[axis] * (module.kernel_size[axis] - 1)
            found += [whole // 2, whole - whole // 2]
        else:
            found += [module.padding[axis]] * 2
    return found
