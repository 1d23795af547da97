"""Inputs and outputs of any structure: runs, and distances against closed forms."""

import math
from collections import namedtuple

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.network.outputs import call, divergence, size_of, tensors_of

Named = namedtuple("Named", "boxes scores")


class Adds(nn.Module):
    def forward(self, x, y=0):
        return x + y


class Takes(nn.Module):
    def forward(self, batch):
        return batch["x"] - batch["y"]


def test_inputs_are_positional_keyword_or_one():
    x, y = torch.ones(2), torch.full((2,), 3.0)
    assert call(Adds(), x).tolist() == [1, 1]
    assert call(Adds(), (x, y)).tolist() == [4, 4]
    assert call(Adds(), {"x": x, "y": y}).tolist() == [4, 4]
    assert call(Takes(), {"x": x, "y": y}).tolist() == [-2, -2]


def test_tensors_of_any_nesting_in_their_order():
    a, b, c, d = (torch.full((2, 3), float(i)) for i in range(4))
    nested = {"z": [a, (b, {"k": c})], "a": Named(d, torch.ones(2, dtype=torch.long)), "n": None}
    assert [int(t[0, 0]) for t in tensors_of(nested)] == [0, 1, 2, 3]
    assert size_of({"image": torch.zeros(5, 3), "scale": 1.0}) == 5


def test_divergence_of_classes_is_kullback_and_leiblers():
    p, q = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[0.0, 0.0]])
    wanted = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert float(divergence(p, q)) == pytest.approx(wanted)
    assert float(divergence(p, p)) == 0
    places = p[:, :, None, None].expand(1, 2, 4, 4)  # the same at every place
    assert float(divergence(places, q[:, :, None, None].expand(1, 2, 4, 4))) == pytest.approx(wanted)


def test_divergence_of_other_tensors_is_half_the_relative_error():
    x = torch.tensor([[[3.0], [4.0]]])
    assert float(divergence([x], [1.1 * x])) == pytest.approx(0.01 / 2, rel=1e-4)


def small(**options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return wb.Network(nn.Sequential(*model, nn.Linear(16, 4)), input_shape=(3, 8, 8), **options)


def test_layers_and_outputs_are_compared():
    network = small()
    plan = wb.budget_plan(wb.analyze(network, cached=False), macs_ratio=1.3)
    found = wb.compare(wb.decompose(network, plan), torch.rand(6, 3, 8, 8))
    assert {layer.name for layer in found.layers} == {part.name for part in plan}
    assert [layer.snr_db for layer in found.layers] == sorted(layer.snr_db for layer in found.layers)
    kept = plan.keep(*(part.name for part in plan))
    assert {layer.snr_db for layer in wb.compare(wb.decompose(network, kept), torch.rand(6, 3, 8, 8)).layers} == {200.0}


def test_the_signal_to_noise_ratio_of_a_known_change():
    network = small()
    plan = wb.evbmf_plan(wb.analyze(network, cached=False))
    same = wb.decompose(network, plan.keep(*(part.name for part in plan)))
    with torch.no_grad():
        for parameter in same.model[-1].parameters():
            parameter.mul_(1.1)
    found = wb.compare(same, torch.rand(6, 3, 8, 8))
    assert found.snr_db == pytest.approx(20, abs=1e-3)  # 10 % of the amplitude
    assert found.agreement == 1
    assert found.layers[0].name == "5"


def test_what_matters_is_picked():
    network = small(output=lambda logits: logits[:, :2])
    assert network.run(torch.rand(1, 3, 8, 8)).shape == (1, 2)
