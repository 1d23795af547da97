import copy
from math import prod, sqrt

import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import same


def test_the_same_architecture_with_nothing_of_what_was_learned(network, plan):
    smaller = wb.decompose(network, plan)
    before = copy.deepcopy(smaller.model.state_dict())
    fresh, again, other = (wb.from_scratch(smaller, seed=seed).model.state_dict() for seed in (1, 1, 2))
    assert wb.from_scratch(smaller).plan is plan
    assert wb.from_scratch(smaller).random_weights
    assert same(smaller.model.state_dict(), before)
    assert same(fresh, again)
    for key, value in fresh.items():
        if value.ndim > 1:
            assert not torch.equal(value, before[key])
            assert not torch.equal(value, other[key])
        elif value.ndim and "running_var" not in key:
            assert torch.equal(value, torch.full_like(value, float(key.endswith("weight"))))


def test_gaussian_of_the_variance_that_keeps_the_signal(network, plan, generator):
    fresh = wb.from_scratch(wb.decompose(network, plan))
    for name, weight in fresh.model.named_parameters():
        if weight.numel() >= 4000:
            std = sqrt((1 if name.split(".")[-2] in ("factor_in", "core") else 2) / prod(weight.shape[1:]))
            assert float(weight.detach().std()) == pytest.approx(std, rel=0.05)
    out = fresh.model(torch.randn(64, 1, 8, 8, generator=generator))
    assert 0.1 < float(out.detach().std()) < 10


def test_what_it_does_not_know_is_named():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.PReLU())
    with pytest.raises(ValueError, match="1 is a PReLU, which has no Gaussian initialisation"):
        wb.from_scratch(wb.Network(model, input_shape=(1, 8, 8)))
