"""What a layer costs, as pure functions of shapes: weights, multiply-adds (MACs) and bytes, dense and factorised.

A cost counts every parameter (biases too), so that a network's weights equal ``sum(p.numel())``; a MAC is one
multiply-add, biases are free, so that MACs equal half of what torch's flop counter says.
"""

from collections.abc import Sequence
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
    """All that the cost of a convolution (or a linear layer: a 1x1 one on one position) depends on.

    Attributes
    ----------
    in_channels, out_channels : paper's S and T.
    kernel_size : one number a spatial dimension; empty for a linear layer.
    positions : (input, output) positions H*W and H'*W' for each call of the layer on one input.
    groups : channel groups, each with in_channels/groups inputs.
    bias : whether there is one.
    transposed : a transposed convolution works at its input positions.
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

    def _positions(self, *, core: bool = False, inputs: bool = False) -> int:
        """Positions of all calls: where the input is, the output is, or where the kernel itself works."""
        which = 0 if inputs or (core and self.transposed) else 1
        return sum(pair[which] for pair in self.positions)


def dense_cost(shape: ConvShape) -> Cost:
    """D*D*S*T/groups weights (and a bias); times H'*W' MACs. Kim et al. 2016, eq. 1 and below."""
    weights = shape._taps * shape.in_channels * shape.out_channels // shape.groups
    return Cost(weights + _bias(shape), weights * shape._positions(core=True))


def tucker2_cost(shape: ConvShape, *, rank_in: int, rank_out: int) -> Cost:
    """Cost of the three factors: S*R3*H*W + D*D*R3*R4*H'*W' + R4*T*H'*W' MACs (Kim et al. 2016, sec. 3).

    For a grouped convolution the ranks are those of each group.
    """
    return sum(tucker2_parts(shape, rank_in=rank_in, rank_out=rank_out), Cost(0, 0))


def tucker2_parts(shape: ConvShape, *, rank_in: int, rank_out: int) -> tuple[Cost, Cost, Cost]:
    """Cost of each of the three factors: 1x1 (S -> R3), DxD (R3 -> R4), 1x1 (R4 -> T)."""
    first, core, last = (
        shape.in_channels * rank_in,
        shape._taps * rank_in * rank_out * shape.groups,
        rank_out * shape.out_channels,
    )
    return (
        Cost(first, first * shape._positions(inputs=True)),
        Cost(core, core * shape._positions(core=True)),
        Cost(last + _bias(shape), last * shape._positions()),
    )


def break_even(shape: ConvShape, *, rank_in: int, ratio: float = 1.0) -> float:
    """The rank_out up to which Tucker-2 has at most 1/ratio of the dense weights and of the dense MACs.

    At a given rank_in both costs are straight lines in rank_out, so this is one division each. It lies between 0,
    where no rank_out is small enough, and out_channels/groups, where all are.

    Examples
    --------
    >>> shape = ConvShape(64, 64, (3, 3), ((64, 64),), bias=False)
    >>> round(break_even(shape, rank_in=57), 2), round(break_even(shape, rank_in=58), 2)
    (57.57, 56.57)
    """
    dense = dense_cost(shape)
    nothing, one = (tucker2_cost(shape, rank_in=rank_in, rank_out=rank) for rank in (0, 1))
    room = min(
        (whole / ratio - fixed) / (with_one - fixed)
        for whole, fixed, with_one in (
            (dense.weights, nothing.weights, one.weights),
            (dense.macs, nothing.macs, one.macs),
        )
    )
    return min(max(room, 0.0), float(shape.out_channels // shape.groups))


def tucker1_cost(shape: ConvShape, *, rank_out: int) -> Cost:
    """Cost of the two factors: D*D*S*R4*H'*W' + R4*T*H'*W' MACs."""
    return sum(tucker1_parts(shape, rank_out=rank_out), Cost(0, 0))


def tucker1_parts(shape: ConvShape, *, rank_out: int) -> tuple[Cost, Cost]:
    """Cost of each of the two factors: DxD (S -> R4), 1x1 (R4 -> T)."""
    core, last = shape._taps * shape.in_channels * rank_out, rank_out * shape.out_channels
    return Cost(core, core * shape._positions(core=True)), Cost(last + _bias(shape), last * shape._positions())


def factor_shapes(shape: ConvShape, *, rank_out: int, rank_in: int | None = None) -> dict[str, ConvShape]:
    """Shapes of the layers that a factorised one consists of, by name, in their order.

    ``factor_in`` (only with `rank_in`), ``core`` and ``factor_out``, as in :func:`tucker2_parts` and
    :func:`tucker1_parts`; the ranks are those of each group.
    """
    one, ranks_out = (1,) * len(shape.kernel_size), rank_out * shape.groups
    ranks_in = shape.in_channels if rank_in is None else rank_in * shape.groups
    before = tuple((i, i) for i, _ in shape.positions)
    after = tuple((o, o) for _, o in shape.positions)
    parts = {
        "core": replace(shape, in_channels=ranks_in, out_channels=ranks_out, bias=False),
        "factor_out": ConvShape(ranks_out, shape.out_channels, one, after, shape.groups, shape.bias),
    }
    if rank_in is None:
        return parts
    return {"factor_in": ConvShape(shape.in_channels, ranks_in, one, before, shape.groups, False), **parts}


def bytes_moved(shape: ConvShape, *, batch: int = 1, item: int = 4) -> int:
    """Bytes that pass through memory if each weight, input and output of a call is moved once.

    A lower bound for layers that find nothing in a cache: what does not fit there is moved more than once.

    Parameters
    ----------
    batch : inputs that share one loading of the weights.
    item : bytes of a number, 4 in float32.
    """
    inputs = shape.in_channels * shape._positions(inputs=True)
    outputs = shape.out_channels * shape._positions()
    return item * (len(shape.positions) * dense_cost(shape).weights + batch * (inputs + outputs))


def total(costs: Sequence[Cost]) -> Cost:
    """The sum of costs."""
    return sum(costs, Cost(0, 0))


def _bias(shape: ConvShape) -> int:
    return shape.out_channels if shape.bias else 0
