import copy
from math import prod, sqrt

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.recover.scratch import from_scratch


def test_the_same_architecture_with_nothing_of_what_was_learned(network, plan):
    smaller = wb.decompose(network, plan)
    before = copy.deepcopy(smaller.model.state_dict())
    fresh = from_scratch(smaller, seed=1)
    other = from_scratch(wb.decompose(network, plan), seed=1).model.state_dict()
    assert fresh.plan is smaller.plan
    assert fresh.random_weights
    assert all(torch.equal(v, before[k]) for k, v in smaller.model.state_dict().items())
    for key, value in fresh.model.state_dict().items():
        assert torch.equal(value, other[key])
        assert value.shape == before[key].shape
        if value.ndim > 1:
            assert not torch.equal(value, before[key])
        elif value.ndim and "running_var" not in key:
            assert torch.equal(value, torch.full_like(value, float(key.endswith("weight"))))


def test_other_seeds_give_other_weights(network):
    one, two = (from_scratch(network, seed=seed).model.get_parameter("classifier.2.weight") for seed in (0, 1))
    assert not torch.equal(one, two)


def test_gaussian_of_the_variance_that_keeps_the_signal(network):
    smaller = wb.decompose(network, wb.evbmf_plan(wb.analyze(network)))
    for name, weight in from_scratch(smaller).model.named_parameters():
        if weight.numel() < 4000:
            continue
        part = name.split(".")[-2]
        std = sqrt((1 if part in ("factor_in", "core") else 2) / prod(weight.shape[1:]))
        assert float(weight.detach().std()) == pytest.approx(std, rel=0.05)


def test_the_signal_neither_dies_nor_explodes(network, generator):
    fresh = from_scratch(wb.decompose(network, wb.evbmf_plan(wb.analyze(network))))
    out = fresh.model(torch.randn(64, 1, 8, 8, generator=generator))
    assert 0.1 < float(out.detach().std()) < 10


def test_it_can_be_trained(network, data):
    fresh = from_scratch(network)
    start = wb.score(fresh, data.validation).top1
    tuned = wb.finetune(fresh, data, epochs=1, learning_rate=0.02)
    assert wb.score(tuned, data.validation).top1 > start + 0.3


def test_transposed_convolutions():
    model = nn.Sequential(nn.ConvTranspose2d(32, 64, 4, stride=2, bias=False))
    fresh = from_scratch(wb.Network(model, input_shape=(32, 4, 4)))
    assert float(fresh.model[0].weight.detach().std()) == pytest.approx(sqrt(2 / (32 * 4 * 4 / 4)), rel=0.05)


def test_what_it_does_not_know_is_named():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

    model = nn.Sequential(nn.Conv2d(1, 2, 3), Scale())
    with pytest.raises(ValueError, match="1 is a Scale, which has no Gaussian initialisation"):
        from_scratch(wb.Network(model, input_shape=(1, 8, 8)))
