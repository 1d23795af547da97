"""Every kind of layer, one at a time: at full rank the factors are the layer, and costs are as predicted."""

import json

import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import at_full_rank, decomposed, flops, same
from workbench.inspect.gallery import reconstruct
from workbench.kernels.tucker import relative_error
from workbench.network.layers import kernel_of
from workbench.network.network import copy_model
from workbench.plan.plan import PlanError

LAYERS = {
    "plain": nn.Conv2d(6, 8, 3),
    "stride and padding": nn.Conv2d(6, 8, 3, stride=2, padding=1),
    "uneven stride": nn.Conv2d(6, 8, 3, stride=(1, 2), padding=(2, 0)),
    "dilation": nn.Conv2d(6, 8, 3, dilation=2, padding=2),
    "reflect": nn.Conv2d(6, 8, 3, padding=1, padding_mode="reflect"),
    "replicate": nn.Conv2d(6, 8, 3, padding=1, padding_mode="replicate"),
    "circular": nn.Conv2d(6, 8, 3, padding=1, padding_mode="circular"),
    "same": nn.Conv2d(6, 8, 3, padding="same"),
    "same, dilated, circular": nn.Conv2d(6, 8, 3, padding="same", dilation=2, padding_mode="circular"),
    "asymmetric": nn.Conv2d(6, 8, (1, 7), padding=(0, 3)),
    "no bias": nn.Conv2d(6, 8, 3, bias=False),
    "groups": nn.Conv2d(16, 24, 5, padding=2, groups=2),
    "groups, same, no bias": nn.Conv2d(12, 18, 3, padding="same", groups=3, bias=False),
    "1x1": nn.Conv2d(6, 8, 1),
    "few channels": nn.Conv2d(3, 8, 3),
    "1-d": nn.Conv1d(6, 8, 5, padding=2),
    "3-d": nn.Conv3d(6, 8, 3, padding=1, stride=2),
    "transposed": nn.ConvTranspose2d(6, 8, 4, stride=2, padding=1),
    "transposed, output padding": nn.ConvTranspose2d(6, 8, 3, stride=2, padding=1, output_padding=1, bias=False),
    "transposed, groups": nn.ConvTranspose2d(12, 8, 3, stride=2, groups=2),
    "transposed 1-d": nn.ConvTranspose1d(6, 8, 4, stride=2),
    "linear": nn.Linear(40, 30),
    "linear, no bias": nn.Linear(40, 30, bias=False),
}


def input_shape(layer):
    if isinstance(layer, nn.Linear):
        return (layer.in_features,)
    return (layer.in_channels, *[9, 7, 5][: layer.weight.ndim - 2])


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_the_factors_are_the_layer(name, generator):
    layer = LAYERS[name].double()
    network = wb.Network(nn.Sequential(layer), input_shape(layer), name=name)
    plan = at_full_rank(network)
    assert plan["0"].decision != "keep"
    smaller = wb.decompose(network, plan)
    x = torch.randn(2, *network.input_shape, dtype=torch.float64, generator=generator)
    assert (smaller.model(x) - layer(x)).abs().max() < 1e-12
    assert flops(smaller) == 2 * plan.macs
    assert smaller.weights == plan.weights
    assert plan.dense.weights == network.weights


@pytest.mark.parametrize("name", ["groups", "transposed", "transposed, groups", "1-d"])
def test_truncation_is_within_its_limit(name):
    layer = LAYERS[name].double()
    made = decomposed(wb.Network(nn.Sequential(layer), input_shape(layer)), {"0": (3, 3)})
    part = made.plan["0"]
    error = relative_error(kernel_of(layer, part.layer), reconstruct(made.model[0], part.layer))
    assert 0.1 < error <= part.error + 1e-12 < 1


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.Conv2d(8, 8, 3, groups=8), "depthwise"),
        (nn.Conv2d(8, 16, 3, groups=8), "depthwise"),
        (nn.ConvTranspose2d(8, 8, 1), "factor already"),
        (type("Own", (nn.Conv2d,), {"forward": lambda self, x: x * 2})(8, 8, 3), "forward of its own"),
    ],
)
def test_what_cannot_be_factorised_is_kept_with_the_reason(layer, reason):
    network = wb.Network(nn.Sequential(layer), (8, 9, 9))
    part = wb.evbmf_plan(wb.analyze(network, cached=False), layers="all")["0"]
    assert part.decision == "keep"
    assert reason in part.reason


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.image, self.text, self.both = nn.Conv2d(6, 8, 3), nn.Embedding(50, 16), nn.Linear(24, 5)

    def forward(self, image, words):
        return self.both(torch.cat([self.image(image).mean((2, 3)), self.text(words).mean(1)], dim=1))


def test_several_inputs_of_any_kind():
    example = (torch.zeros(1, 6, 9, 9), torch.zeros(1, 4, dtype=torch.long))
    network = wb.Network(TwoInputs(), (6, 9, 9), example=example)
    smaller = wb.decompose(network, at_full_rank(network))
    assert torch.allclose(smaller.model(*example), network.model(*example), atol=1e-5)
    assert [part.name for part in smaller.plan] == ["image", "both"]


@pytest.mark.parametrize(
    ("maps", "channels", "kernel_size"), [({}, 8, (6, 6)), ({"2": None}, 288, ()), ({"2": (32, 3, 3)}, 32, (3, 3))]
)
def test_the_map_before_a_linear_layer_can_be_said(maps, channels, kernel_size, generator):
    model = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 36, 10)).double()
    network = wb.Network(model, (4, 6, 6), maps=maps)
    smaller = wb.decompose(network, at_full_rank(network))
    shape = smaller.plan["2"].layer.shape
    assert (shape.in_channels, shape.kernel_size) == (channels, kernel_size)
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64, generator=generator)
    assert torch.allclose(smaller.model(x), model(x), atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("features.3.core.weight"), "features.3.core.weight is missing"),
        (lambda s: s.update(more=torch.zeros(1)), "more is unknown"),
        (lambda s: s.update({"features.3.core.weight": torch.zeros(1, 2)}), r"of the shape \(1, 2\), not \(16, 14, 3"),
    ],
)
def test_weights_that_do_not_fit_the_plan(network, small, change, message):
    state = dict(small.model.state_dict())
    change(state)
    with pytest.raises(PlanError, match=message):
        wb.rebuild(network, small.plan, state)


def test_predicted_costs_are_those_of_the_model(mixed):
    smaller = decomposed(mixed, {"twice": (5, 7), "hidden": (3, 4), "first": (None, 4), "same": (2, 9)})
    assert flops(smaller) == 2 * smaller.plan.macs
    assert smaller.weights == smaller.plan.weights


def test_the_original_is_never_changed_and_frozen_weights_stay_frozen(mixed):
    model = copy_model(mixed.model)
    model.same.weight.requires_grad_(False)
    mixed = mixed.with_model(model)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    made = decomposed(mixed, {"same": (4, 4)}).model
    assert {p.requires_grad for p in made.same.parameters()} == {False}
    assert not any(m.training for m in made.modules())
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
    assert same(mixed.model.state_dict(), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["layers"][1]["layer"].update(name="stem"), "has a layer stem, which digits_vgg has not"),
        (lambda v: v["layers"][1]["layer"].update(name="features.4"), "expects a convolution, digits_vgg has a Batch"),
        (lambda v: v["layers"][1]["layer"]["shape"].update(out_channels=65), r"weights of shape \(65, 32, 3, 3"),
    ],
)
def test_a_foreign_plan_is_refused(network, plan, change, message):
    values = json.loads(plan.to_json())
    change(values)
    with pytest.raises(PlanError, match=message):
        wb.decompose(network, wb.Plan.from_json(json.dumps(values)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_half(dtype, generator):
    layer = nn.Conv2d(6, 8, 3).to(dtype)
    network = wb.Network(nn.Sequential(layer), (6, 9, 7))
    smaller = wb.decompose(network, at_full_rank(network))
    assert {p.dtype for p in smaller.model.parameters()} == {dtype}
    x = torch.randn(1, 6, 9, 7, generator=generator).to(dtype)
    assert torch.allclose(smaller.model(x).float(), layer(x).float(), atol=0.05)
