"""Cost of a layer as a function of its shape: weights, multiply-adds (MACs) and bytes, dense and factorised.

Weights count every parameter, biases too, so that a network's total is ``sum(p.numel())``. A MAC is one multiply-add;
biases are free, so that MACs are half of what torch's flop counter says.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod


@dataclass(frozen=True)
class Cost:
    """`weights` (parameters) and `macs` (multiply-adds for one input) of a layer or a network; costs add up."""

    weights: int
    macs: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.weights + other.weights, self.macs + other.macs)


@dataclass(frozen=True)
class ConvShape:
    """Shape of a convolution; a linear layer is a 1x1 convolution at one position.

    Attributes
    ----------
    in_channels, out_channels : paper's S and T.
    kernel_size : one number a spatial dimension; empty for a linear layer.
    positions : (input, output) positions H*W and H'*W' for each call of the layer on one input.
    groups : channel groups, each with in_channels/groups inputs.
    bias : whether the layer has one.
    transposed : whether it is a transposed convolution, which multiplies at its input positions.
    """

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    positions: tuple[tuple[int, int], ...]
    groups: int = 1
    bias: bool = True
    transposed: bool = False

    @property
    def _taps(self) -> int:
        return prod(self.kernel_size)

    @property
    def _bias_weights(self) -> int:
        return self.out_channels if self.bias else 0

    def _positions(self, *, core: bool = False, inputs: bool = False) -> int:
        """Return the number of input positions, output positions, or positions of the kernel, over all calls."""
        which = 0 if inputs or (core and self.transposed) else 1
        return sum(pair[which] for pair in self.positions)


def total(costs: Iterable[Cost]) -> Cost:
    """Return the sum of costs."""
    return sum(costs, Cost(0, 0))


def dense_cost(shape: ConvShape) -> Cost:
    """Return D*D*S*T/groups weights (and a bias), and H'*W' times as many MACs. Kim et al. 2016, eq. 1."""
    weights = shape._taps * shape.in_channels * shape.out_channels // shape.groups
    return Cost(weights + shape._bias_weights, weights * shape._positions(core=True))


def tucker2_cost(shape: ConvShape, *, rank_in: int, rank_out: int) -> Cost:
    """Return the cost of the three factors: S*R3*H*W + D*D*R3*R4*H'*W' + R4*T*H'*W' MACs (Kim et al. 2016, sec. 3).

    The ranks of a grouped convolution are those of each group.
    """
    return total(factor_costs(shape, rank_in=rank_in, rank_out=rank_out).values())


def tucker1_cost(shape: ConvShape, *, rank_out: int) -> Cost:
    """Return the cost of the two factors: D*D*S*R4*H'*W' + R4*T*H'*W' MACs."""
    return total(factor_costs(shape, rank_out=rank_out).values())


def break_even(shape: ConvShape, *, rank_in: int, ratio: float = 1.0) -> float:
    """Return the rank_out up to which Tucker-2 has at most 1/ratio of the dense weights and of the dense MACs.

    At a given rank_in both costs are linear in rank_out. The result lies between 0, where no rank_out is small enough,
    and out_channels/groups, where all are.

    Examples
    --------
    >>> shape = ConvShape(64, 64, (3, 3), ((64, 64),), bias=False)
    >>> round(break_even(shape, rank_in=57), 2), round(break_even(shape, rank_in=58), 2)
    (57.57, 56.57)
    """
    dense = dense_cost(shape)
    zero, one = (tucker2_cost(shape, rank_in=rank_in, rank_out=rank) for rank in (0, 1))
    by_weights = (dense.weights / ratio - zero.weights) / (one.weights - zero.weights)
    by_macs = (dense.macs / ratio - zero.macs) / (one.macs - zero.macs)
    return min(max(min(by_weights, by_macs), 0.0), float(shape.out_channels // shape.groups))


def factor_shapes(shape: ConvShape, *, rank_out: int, rank_in: int | None = None) -> dict[str, ConvShape]:
    """Return the shapes of a factorised layer's parts by name, in their order.

    ``factor_in`` (only with `rank_in`), ``core`` and ``factor_out``; the ranks are those of each group.
    """
    one, ranks_out = (1,) * len(shape.kernel_size), rank_out * shape.groups
    ranks_in = shape.in_channels if rank_in is None else rank_in * shape.groups
    before, after = (tuple((pair[i], pair[i]) for pair in shape.positions) for i in (0, 1))
    parts = {
        "core": replace(shape, in_channels=ranks_in, out_channels=ranks_out, bias=False),
        "factor_out": ConvShape(ranks_out, shape.out_channels, one, after, shape.groups, shape.bias),
    }
    if rank_in is None:
        return parts
    return {"factor_in": ConvShape(shape.in_channels, ranks_in, one, before, shape.groups, False), **parts}


def factor_costs(shape: ConvShape, *, rank_out: int, rank_in: int | None = None) -> dict[str, Cost]:
    """Return the cost of each of a factorised layer's parts by name, in their order."""
    parts = factor_shapes(shape, rank_out=rank_out, rank_in=rank_in)
    return {name: dense_cost(part) for name, part in parts.items()}


def bytes_moved(shape: ConvShape, *, batch: int = 1, item: int = 4) -> int:
    """Return the bytes that pass through memory if each weight, input and output of a call is moved once.

    A lower bound for layers that find nothing in a cache.

    Parameters
    ----------
    batch : inputs that share one loading of the weights.
    item : bytes of a number, 4 in float32.
    """
    inputs = shape.in_channels * shape._positions(inputs=True)
    outputs = shape.out_channels * shape._positions()
    return item * (len(shape.positions) * dense_cost(shape).weights + batch * (inputs + outputs))
