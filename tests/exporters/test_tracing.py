"""Graphs that exporters are given, against the model that they were traced from."""

import pytest
import torch
from torch import nn

from workbench.exporters.tracing import trace

POOL = torch.ops.aten.adaptive_avg_pool2d.default


def pools(program):
    return len(program.graph.find_nodes(op="call_function", target=POOL))


@pytest.mark.parametrize("dynamic_batch", [False, True])
@pytest.mark.parametrize(("size", "left"), [((4, 6), 0), ((4, 3), 1), ((8, 12), 1), (1, 1)])
def test_a_pool_whose_maps_have_that_size_already_is_left_out(size, left, dynamic_batch):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 5, 1), nn.AdaptiveAvgPool2d(size), nn.ReLU(), nn.Flatten())
    x = torch.randn(2, 3, 4, 6)
    program = trace(model, x, dynamic_batch=dynamic_batch)
    assert pools(program) == left
    with torch.no_grad():
        assert torch.equal(program.module()(x), model(x))


def test_a_pool_that_nothing_follows_stays():
    model = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(4))
    x = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    program = trace(model, x)
    assert pools(program) == 1
    assert torch.equal(program.module()(x), x.relu())


def test_one_after_another():
    model = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.AdaptiveAvgPool2d(4), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    x = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    program = trace(model, x)
    assert pools(program) == 1
    assert torch.equal(program.module()(x), model(x))
