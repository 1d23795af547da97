"""Cost of a layer as a function of its shape: weights, multiply-adds (MACs) and bytes, dense and factorised.

Weights count every parameter, biases included: a network's total is ``sum(p.numel())``. A MAC is one multiply-add;
biases cost none, so torch's flop counter shows twice the MACs.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from typing import Any


@dataclass(frozen=True)
class Cost:
    """Parameters and multiply-adds for one input, of a layer or a network; costs can be added."""

    weights: int
    macs: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.weights + other.weights, self.macs + other.macs)


@dataclass(frozen=True)
class ConvShape:
    """Shape of a convolution; a linear layer is a 1x1 convolution at one position."""

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]  # empty for a linear layer
    positions: tuple[tuple[int, int], ...]  # (input, output) positions H*W and H'*W' for each call on one input
    groups: int = 1
    bias: bool = True
    transposed: bool = False  # a transposed convolution multiplies at its input positions

    @property
    def all_positions(self) -> tuple[int, int]:
        """Input and output positions over all calls."""
        return sum(i for i, _ in self.positions), sum(o for _, o in self.positions)


def total(costs: Iterable[Cost]) -> Cost:
    """Return the sum of costs."""
    return sum(costs, Cost(0, 0))


def dense_cost(shape: ConvShape) -> Cost:
    """Return D*D*S*T/groups weights (and a bias), and H'*W' times as many MACs. Kim et al. 2016, eq. 1."""
    weights = prod(shape.kernel_size) * shape.in_channels * shape.out_channels // shape.groups
    inputs, outputs = shape.all_positions
    bias = shape.out_channels if shape.bias else 0
    return Cost(weights + bias, weights * (inputs if shape.transposed else outputs))


def factor_costs(shape: ConvShape, *, rank_out: Any, rank_in: Any = None) -> dict[str, Cost]:
    """Return the cost of each factor: ``factor_in`` (only with `rank_in`), ``core``, ``factor_out``.

    Ranks of a grouped convolution count per group; arrays of ranks give arrays of costs.
    """
    pointwise, ranks_out = (1,) * len(shape.kernel_size), rank_out * shape.groups
    ranks_in = shape.in_channels if rank_in is None else rank_in * shape.groups
    input_positions, output_positions = (tuple((pair[i], pair[i]) for pair in shape.positions) for i in (0, 1))
    parts = {
        "factor_in": ConvShape(shape.in_channels, ranks_in, pointwise, input_positions, shape.groups, False),
        "core": replace(shape, in_channels=ranks_in, out_channels=ranks_out, bias=False),
        "factor_out": ConvShape(ranks_out, shape.out_channels, pointwise, output_positions, shape.groups, shape.bias),
    }
    return {name: dense_cost(part) for name, part in parts.items() if rank_in is not None or name != "factor_in"}


def factorised_cost(shape: ConvShape, *, rank_out: Any, rank_in: Any = None) -> Cost:
    """Return the cost of all factors together, see :func:`factor_costs`.

    Tucker-2 takes S*R3*H*W + D*D*R3*R4*H'*W' + R4*T*H'*W' MACs (Kim et al. 2016, sec. 3), Tucker-1 (without `rank_in`)
    D*D*S*R4*H'*W' + R4*T*H'*W'.
    """
    return total(factor_costs(shape, rank_in=rank_in, rank_out=rank_out).values())


def break_even(shape: ConvShape, *, rank_in: int, ratio: float = 1.0) -> float:
    """Return the largest rank_out at which Tucker-2 has at most 1/ratio of the dense weights and of the dense MACs.

    At a given rank_in both costs are linear in rank_out, so the result is a real number: 0 if no rank_out is small
    enough, out_channels/groups if all are.
    """
    dense = dense_cost(shape)
    at_0, at_1 = (factorised_cost(shape, rank_in=rank_in, rank_out=rank) for rank in (0, 1))
    by_weights = (dense.weights / ratio - at_0.weights) / (at_1.weights - at_0.weights)
    by_macs = (dense.macs / ratio - at_0.macs) / (at_1.macs - at_0.macs)
    return min(max(min(by_weights, by_macs), 0.0), float(shape.out_channels // shape.groups))


def bytes_moved(shape: ConvShape, *, batch: int = 1, item: int = 4) -> int:
    """Return the bytes moved to and from memory if each weight, input and output of a call is moved once.

    A lower bound if no cache holds any of them. The weights are loaded once for the whole `batch`; `item` is the size
    of a number in bytes.
    """
    inputs, outputs = shape.all_positions
    activations = shape.in_channels * inputs + shape.out_channels * outputs
    return item * (len(shape.positions) * dense_cost(shape).weights + batch * activations)
