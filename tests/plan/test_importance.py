from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import workbench as wb
from tests.helpers.networks import Computes, Windows
from workbench.network.inputs import inputs_of
from workbench.network.outputs import random_functional
from workbench.plan.importance import BATCH_SIZE, _ChannelMoments, directions, effects, importance
from workbench.plan.plan import PlanError


def projected(layer, these, rank_in, rank_out):
    """The change of a layer's output if only so many directions are left, from a full projection of its activations."""

    def hook(module, given, output):
        x, y = given[0], output
        if rank_in is not None:
            maps = x.reshape(len(x), layer.shape.groups, layer.max_ranks[0], -1) - these.mean_in
            lost = these.synthesis[:, :, rank_in:] @ (these.analysis[:, :, rank_in:].mT @ maps)
            bias, module.bias = module.bias, None
            y = y - type(module).forward(module, lost.reshape(x.shape))
            module.bias = bias
        maps = output.reshape(len(y), layer.shape.groups, layer.max_ranks[1], -1) - these.mean_out
        lost = these.out[:, :, rank_out:] @ (these.out[:, :, rank_out:].mT @ maps)
        return y - lost.reshape(y.shape)

    return hook


def test_effects_are_exact_in_a_linear_network(generator):
    """Without any nonlinearity, so that effects of first order are exact: groups, strides, a flatten."""
    layers = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 12, 3, groups=2, stride=2), nn.ConvTranspose2d(12, 6, 2)
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(96, 10), nn.Linear(10, 4)).double()
    linear = wb.Network(model, (3, 8, 8), name="linear")
    x = torch.randn(6, 3, 8, 8, dtype=torch.float64, generator=generator)
    weights = torch.randn(4, dtype=torch.float64, generator=generator)
    spectra = wb.analyze(linear, cached=False)
    found = directions(linear, spectra, inputs_of(linear, x, batch_size=3))[0]
    moved = effects(linear.model, found, spectra, x, lambda y: (y @ weights).sum())
    for name, rank_in, rank_out in (("0", None, 5), ("1", 2, 3), ("2", 7, 6), ("4", 1, 10), ("5", None, 2)):
        layer = spectra[name].layer
        expected = linear.model(x) @ weights
        with linear.model.get_submodule(name).register_forward_hook(projected(layer, found[name], rank_in, rank_out)):
            made = linear.model(x) @ weights
        out, in_ = moved[name]
        assert out.shape == (6, layer.max_ranks[1] + 1)
        assert in_.shape == (6, layer.max_ranks[0] + 2 if layer.method == "tucker2" else 2)
        effect = out[:, rank_out] + in_[:, -1 if rank_in is None else rank_in]
        assert torch.allclose(effect, expected - made, rtol=1e-6, atol=1e-9), name


@pytest.mark.parametrize("structured", [False, True])
def test_a_random_functional_changes_as_the_outputs_do(structured, generator):
    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    outputs = [normal(1, 3, 4), normal(1, 2)] if structured else [normal(1, 6)]
    changes = [0.1 * normal(*values.shape) for values in outputs]
    leaves = [values.clone().requires_grad_(True) for values in outputs]
    squares = []
    for _ in range(2000):
        moved = random_functional({"a": leaves[0], "b": leaves[1:]} if structured else leaves[0], generator)
        slopes = torch.autograd.grad(moved, leaves)
        squares.append(sum(float((slope * change).sum()) for slope, change in zip(slopes, changes, strict=True)) ** 2)
    if not structured:  # what all classes have in common does not count
        outputs, changes = ([values - values.mean() for values in each] for each in (outputs, changes))
    shares = [float(c.square().sum() / v.square().sum()) for v, c in zip(outputs, changes, strict=True)]
    assert np.mean(squares) == pytest.approx(np.mean(shares), rel=0.15)


def test_losses_fall_from_all_to_nothing(network, spectra, data):
    found = importance(network, spectra, data.train.images[:64])
    assert (found.network, found.images) == (network.name, 64)
    assert set(found.lost) == {part.layer.name for part in spectra}
    for name, table in found.lost.items():
        most_in, most_out = spectra[name].layer.max_ranks
        columns = most_in + 2 if spectra[name].layer.method == "tucker2" else 2
        assert table.shape == (most_out + 1, columns)
        assert (np.diff(table, axis=0) <= 0).all()
        assert (np.diff(table[:, :-1], axis=1) <= 0).all()
        assert (table[-1, -2:] == 0).all()
        assert table[0, -1] > 0


def test_a_forecast_is_near_what_calibration_leaves(network, spectra, data):
    images = data.train.images[:100]
    measured = importance(network, spectra, images)
    found = []
    for ratio in (1.5, 6.0):
        plan = wb.budget_plan(spectra, ratio, importance=measured)
        forecast = plan.forecast(network, images, importance=measured)
        assert forecast.low <= forecast.agreement <= forecast.high
        made = wb.calibrate(wb.decompose(network, plan), images)
        found.append((forecast.agreement, wb.compare(made, data.validation.images).agreement))
        assert 0 <= forecast.accuracy_lost <= 1 - forecast.agreement
    assert np.mean([abs(a - b) for a, b in found]) < 0.03
    assert [a for a, _ in found] == sorted([a for a, _ in found], reverse=True)
    curve = wb.forecast_curve(network, images, ratios=(6.0, 1e6), spectra=spectra, measured=measured)
    assert [f.agreement for f in curve.forecasts] == [found[1][0]]
    assert len(curve.rows[0]) == len(curve.headers)
    with pytest.raises(PlanError, match="this importance is of other"):
        wb.forecast_curve(network, images, spectra=spectra, measured=replace(measured, network="other"))


def test_windows_of_an_image_add_up(generator):
    x = torch.randn(12, 3, 32, 32, generator=generator)
    networks = [wb.Network(Windows(size), (3, 32, 32)) for size in (64, 16)]
    tables = [importance(each, wb.analyze(each, cached=False), x).lost["mix"] for each in networks]
    assert tables[0][1, -1] > 0
    assert np.allclose(*tables, rtol=1e-3)


def test_moments_of_half_precision_are_those_in_double(generator):
    maps = (300 * torch.randn(3, 1, 4, 50, generator=generator)).half()
    found, wanted = _ChannelMoments(), _ChannelMoments()
    found.add(maps)
    wanted.add(maps.double())
    for one, other in zip(found.moments(), wanted.moments(), strict=True):
        assert (one - other).abs().max() < 1e-5 * other.abs().max()


@dataclass
class Answer:
    logits: Tensor


def test_outputs_in_a_dataclass_have_an_importance(generator):
    model = Computes(lambda net, x: Answer(net.conv(x).mean((2, 3))), conv=nn.Conv2d(3, 8, 3))
    network = wb.Network(model, (3, 8, 8))
    x = torch.randn(4, 3, 8, 8, generator=generator)
    assert importance(network, wb.analyze(network, cached=False), x).lost["conv"][0, -1] > 0


def test_any_structure(generator):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.unused = nn.Conv1d(16, 18, 3), nn.Linear(5, 5)

        def forward(self, x, scale):
            return {"a": self.conv(x * scale).relu_(), "b": [x.mean(2)]}

    batch = {"x": torch.randn(BATCH_SIZE, 16, 9, generator=generator), "scale": torch.ones(1)}
    network = wb.Network(Two(), example=batch)
    found = importance(network, wb.analyze(network, cached=False), [batch, batch])
    assert set(found.lost) == {"conv"}
    assert found.images == 2 * BATCH_SIZE
    assert np.isfinite(found.lost["conv"]).all()
    plan = wb.evbmf_plan(wb.analyze(network, cached=False), layers=[]).with_ranks("conv", rank_in=8, rank_out=9)
    forecast = plan.forecast(network, [batch])
    assert forecast.agreement is None
    assert 0 < forecast.lost < 1
