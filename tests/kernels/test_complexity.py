import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from workbench.kernels.complexity import (
    ConvShape,
    Cost,
    break_even,
    bytes_moved,
    dense_cost,
    factor_costs,
    factor_shapes,
    tucker1_cost,
    tucker2_cost,
)


def counted(module, size):
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        module(torch.zeros(1, *size))
    return Cost(sum(p.numel() for p in module.parameters()), counter.get_total_flops() // 2)


@given(
    s=st.integers(1, 9),
    t=st.integers(1, 9),
    d=st.sampled_from([1, 3, (1, 5)]),
    stride=st.integers(1, 2),
    padding=st.integers(0, 2),
    bias=st.booleans(),
    ranks=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
@settings(max_examples=40, deadline=None)
def test_costs_are_torchs(s, t, d, stride, padding, bias, ranks):
    height, width = 9, 7
    conv = nn.Conv2d(s, t, d, stride=stride, padding=padding, bias=bias)
    out = conv(torch.zeros(1, s, height, width)).shape[2:]
    shape = ConvShape(s, t, tuple(conv.kernel_size), ((height * width, out.numel()),), 1, bias)
    assert dense_cost(shape) == counted(conv, (s, height, width))
    r3, r4 = ranks
    factors = nn.Sequential(
        nn.Conv2d(s, r3, 1, bias=False),
        nn.Conv2d(r3, r4, d, stride=stride, padding=padding, bias=False),
        nn.Conv2d(r4, t, 1, bias=bias),
    )
    assert tucker2_cost(shape, rank_in=r3, rank_out=r4) == counted(factors, (s, height, width))
    one_sided = nn.Sequential(
        nn.Conv2d(s, r4, d, stride=stride, padding=padding, bias=False), nn.Conv2d(r4, t, 1, bias=bias)
    )
    assert tucker1_cost(shape, rank_out=r4) == counted(one_sided, (s, height, width))


@given(
    s=st.integers(1, 12),
    t=st.integers(1, 12),
    d=st.sampled_from([(), (1, 1), (3, 3), (5, 1)]),
    positions=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    groups=st.integers(1, 2),
    transposed=st.booleans(),
    bias=st.booleans(),
    ratio=st.sampled_from([1, 2, 4]),
    data=st.data(),
)
@settings(max_examples=100, deadline=None)
def test_break_even_is_where_it_stops_paying(s, t, d, positions, groups, transposed, bias, ratio, data):
    shape = ConvShape(groups * s, groups * t, d, (positions,), groups, bias, transposed)
    rank_in = data.draw(st.integers(1, s))
    dense = dense_cost(shape)

    def pays(rank_out):
        cost = tucker2_cost(shape, rank_in=rank_in, rank_out=rank_out)
        return ratio * cost.weights <= dense.weights and ratio * cost.macs <= dense.macs

    paying = [rank_out for rank_out in range(1, t + 1) if pays(rank_out)]
    assert int(break_even(shape, rank_in=rank_in, ratio=ratio)) == max(paying, default=0)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_break_even_of_equal_ranks(size):
    """Of n channels on both sides: D^2 rho^2 + 2 rho = D^2 with rho = rank / n."""
    n, rho = 1000, ((1 + size**4) ** 0.5 - 1) / size**2
    shape = ConvShape(n, n, (size, size), ((49, 49),), bias=False)
    assert break_even(shape, rank_in=round(rho * n)) == pytest.approx(rho * n, abs=2)


def test_grouped_costs():
    conv = nn.Conv2d(12, 8, 3, groups=4, padding=1)
    shape = ConvShape(12, 8, (3, 3), ((25, 25),), 4, True)
    assert dense_cost(shape) == counted(conv, (12, 5, 5))
    factors = nn.Sequential(
        nn.Conv2d(12, 8, 1, groups=4, bias=False),
        nn.Conv2d(8, 4, 3, groups=4, padding=1, bias=False),
        nn.Conv2d(4, 8, 1, groups=4),
    )
    assert tucker2_cost(shape, rank_in=2, rank_out=1) == counted(factors, (12, 5, 5))


def test_the_papers_formula():
    """AlexNet's conv3 as one tower: S=256, T=384, 3x3 on 13x13, at ranks 128 and 160."""
    shape = ConvShape(256, 384, (3, 3), ((169, 169),), 1, False)
    macs = 256 * 128 * 169 + 9 * 128 * 160 * 169 + 160 * 384 * 169
    assert tucker2_cost(shape, rank_in=128, rank_out=160) == Cost(256 * 128 + 9 * 128 * 160 + 160 * 384, macs)


@pytest.mark.parametrize("calls", [1, 3])
def test_every_call_costs(calls):
    shape = ConvShape(4, 6, (3, 3), ((10, 8),) * calls, 1, True)
    assert dense_cost(shape) == Cost(9 * 24 + 6, calls * 9 * 24 * 8)


SHAPES = [
    ConvShape(6, 8, (3, 3), ((49, 25),), 1, True),
    ConvShape(6, 8, (3, 5), ((49, 49), (25, 25)), 2, False),
    ConvShape(6, 8, (3, 3), ((25, 100),), 2, True, transposed=True),
    ConvShape(6, 8, (), ((4, 4),), 1, True),
    ConvShape(6, 8, (7, 7), ((49, 1),), 1, True),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_factors_have_the_shapes_that_they_cost(shape):
    parts = factor_shapes(shape, rank_in=2, rank_out=3)
    assert list(parts) == ["factor_in", "core", "factor_out"]
    s, t, g, taps = shape.in_channels, shape.out_channels, shape.groups, math.prod(shape.kernel_size)
    weights = [2 * s, 6 * g * taps, 3 * t + shape.bias * t]
    assert [cost.weights for cost in factor_costs(shape, rank_in=2, rank_out=3).values()] == weights
    inputs, outputs = (sum(pair[i] for pair in shape.positions) for i in (0, 1))
    macs = [2 * s * inputs, 6 * g * taps * (inputs if shape.transposed else outputs), 3 * t * outputs]
    assert [cost.macs for cost in factor_costs(shape, rank_in=2, rank_out=3).values()] == macs
    if shape.groups == 1:
        parts = factor_shapes(shape, rank_out=3)
        assert list(parts) == ["core", "factor_out"]
        core, last = factor_costs(shape, rank_out=3).values()
        assert (core.weights, last.weights) == (3 * s * taps, weights[-1])
        assert (core.macs, last.macs) == (core.weights * (inputs if shape.transposed else outputs), macs[-1])


def test_bytes_are_those_of_the_tensors():
    conv, image = nn.Conv2d(6, 8, 3, stride=2), torch.zeros(5, 6, 9, 11)
    out = conv(image)
    shape = ConvShape(6, 8, (3, 3), ((99, out[0, 0].numel()),), 1, True)
    weights = sum(p.numel() for p in conv.parameters())
    assert bytes_moved(shape, batch=5) == 4 * (weights + image.numel() + out.numel())
    assert bytes_moved(shape, batch=5, item=2) == bytes_moved(shape, batch=5) // 2
    twice = ConvShape(6, 8, (3, 3), shape.positions * 2, 1, True)
    assert bytes_moved(twice, batch=5) == 2 * bytes_moved(shape, batch=5)
