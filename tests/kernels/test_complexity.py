import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from workbench.kernels.complexity import ConvShape, Cost, break_even, dense_cost, factorised_cost


def counted(size, *modules):
    """Weights and MACs of one pass through modules, by torch."""
    module, counter = nn.Sequential(*modules), FlopCounterMode(display=False)
    with counter, torch.no_grad():
        module(torch.zeros(1, *size))
    return Cost(sum(p.numel() for p in module.parameters()), counter.get_total_flops() // 2)


@given(
    s=st.integers(1, 5),
    t=st.integers(1, 5),
    d=st.sampled_from([1, 3, (1, 5)]),
    stride=st.integers(1, 2),
    padding=st.integers(0, 2),
    groups=st.integers(1, 3),
    bias=st.booleans(),
    r3=st.integers(1, 5),
    r4=st.integers(1, 5),
)
@settings(max_examples=40, deadline=None)
def test_costs_are_torchs(s, t, d, stride, padding, groups, bias, r3, r4):
    size = (groups * s, 9, 7)
    conv = nn.Conv2d(groups * s, groups * t, d, stride, padding, groups=groups, bias=bias)
    out = conv(torch.zeros(1, *size)).shape[2:]
    shape = ConvShape(groups * s, groups * t, tuple(conv.kernel_size), ((63, out.numel()),), groups, bias)
    assert dense_cost(shape) == counted(size, conv)

    def part(i, o, *geometry, bias=False):
        return nn.Conv2d(groups * i, groups * o, *geometry, groups=groups, bias=bias)

    tucker2 = (part(s, r3, 1), part(r3, r4, d, stride, padding), part(r4, t, 1, bias=bias))
    assert factorised_cost(shape, rank_in=r3, rank_out=r4) == counted(size, *tucker2)
    tucker1 = (part(s, r4, d, stride, padding), part(r4, t, 1, bias=bias))
    assert factorised_cost(shape, rank_out=r4) == counted(size, *tucker1)


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
        cost = factorised_cost(shape, rank_in=rank_in, rank_out=rank_out)
        return ratio * cost.weights <= dense.weights and ratio * cost.macs <= dense.macs

    paying = [rank_out for rank_out in range(1, t + 1) if pays(rank_out)]
    assert int(break_even(shape, rank_in=rank_in, ratio=ratio)) == max(paying, default=0)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_break_even_of_equal_ranks(size):
    """Of n channels on both sides: D^2 rho^2 + 2 rho = D^2 with rho = rank / n."""
    n, rho = 1000, ((1 + size**4) ** 0.5 - 1) / size**2
    shape = ConvShape(n, n, (size, size), ((49, 49),), bias=False)
    assert break_even(shape, rank_in=round(rho * n)) == pytest.approx(rho * n, abs=2)
