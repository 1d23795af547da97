"""Cost of a layer as a function of its shape: weights, multiply-adds (MACs) and bytes, dense and factorised.

Weights count every parameter, biases too, so that a network's total is ``sum(p.numel())``. A MAC is one multiply-add;
biases are free, so that MACs are half of what torch's flop counter says.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from typing import Any


@dataclass(frozen=True)
class Cost:
    """`weights` (parameters) and `macs` (multiply-adds for one input) of a layer or a network; costs add up."""

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
    """Return the costs of a factorised layer's parts: ``factor_in`` (only with `rank_in`), ``core``, ``factor_out``.

    The ranks of a grouped convolution are those of each group; arrays of ranks give arrays of costs.
    """
    one, ranks_out = (1,) * len(shape.kernel_size), rank_out * shape.groups
    ranks_in = shape.in_channels if rank_in is None else rank_in * shape.groups
    before, after = (tuple((pair[i], pair[i]) for pair in shape.positions) for i in (0, 1))
    parts = {
        "factor_in": ConvShape(shape.in_channels, ranks_in, one, before, shape.groups, False),
        "core": replace(shape, in_channels=ranks_in, out_channels=ranks_out, bias=False),
        "factor_out": ConvShape(ranks_out, shape.out_channels, one, after, shape.groups, shape.bias),
    }
    return {name: dense_cost(part) for name, part in parts.items() if rank_in is not None or name != "factor_in"}


def factorised_cost(shape: ConvShape, *, rank_out: Any, rank_in: Any = None) -> Cost:
    """Return the cost of all parts, in MACs S*R3*H*W + D*D*R3*R4*H'*W' + R4*T*H'*W' (Kim et al. 2016, sec. 3).

    Without `rank_in` that of Tucker-1, D*D*S*R4*H'*W' + R4*T*H'*W'. Ranks as for :func:`factor_costs`.
    """
    return total(factor_costs(shape, rank_in=rank_in, rank_out=rank_out).values())


def break_even(shape: ConvShape, *, rank_in: int, ratio: float = 1.0) -> float:
    """Return the rank_out up to which Tucker-2 has at most 1/ratio of the dense weights and of the dense MACs.

    At a given rank_in both costs are linear in rank_out. The result lies between 0, where no rank_out is small enough,
    and out_channels/groups, where all are.
    """
    dense = dense_cost(shape)
    zero, one = (factorised_cost(shape, rank_in=rank_in, rank_out=rank) for rank in (0, 1))
    by_weights = (dense.weights / ratio - zero.weights) / (one.weights - zero.weights)
    by_macs = (dense.macs / ratio - zero.macs) / (one.macs - zero.macs)
    return min(max(min(by_weights, by_macs), 0.0), float(shape.out_channels // shape.groups))


def bytes_moved(shape: ConvShape, *, batch: int = 1, item: int = 4) -> int:
    """Return the bytes that pass through memory if each weight, input and output of a call is moved once.

    A lower bound for layers that find nothing in a cache. `batch` inputs share one loading of the weights; `item` is
    the bytes of a number.
    """
    inputs, outputs = shape.all_positions
    moved = shape.in_channels * inputs + shape.out_channels * outputs
    return item * (len(shape.positions) * dense_cost(shape).weights + batch * moved)
