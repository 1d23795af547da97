import json

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import workbench as wb
from tests.helpers.networks import at_full_rank, decomposed
from workbench.network.network import copy_model
from workbench.plan.plan import PlanError


@pytest.mark.parametrize("which", ["digits", "mixed"])
def test_at_full_rank_it_is_the_dense_network(which, network, mixed, generator):
    net = network.with_model(copy_model(network.model).double()) if which == "digits" else mixed
    smaller = wb.decompose(net, at_full_rank(net))
    assert sum(part.decision != "keep" for part in smaller.plan) >= 7
    x = torch.randn(2, *net.input_shape, dtype=torch.float64, generator=generator)
    with torch.no_grad():
        assert (smaller.model(x) - net.model(x)).abs().max() < 1e-10


@pytest.mark.parametrize("which", ["digits", "mixed"])
def test_predicted_costs_are_those_of_the_model(which, network, mixed):
    net = network if which == "digits" else mixed
    plan = wb.evbmf_plan(wb.analyze(net), layers="all")
    if which == "mixed":
        plan = plan.with_ranks("twice", rank_in=5, rank_out=7).with_ranks("hidden", rank_in=3, rank_out=4)
        plan = plan.with_ranks("first", rank_out=4).with_ranks("same", rank_in=2, rank_out=9)
    smaller = wb.decompose(net, plan)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        smaller.model(torch.zeros(1, *net.input_shape, dtype=next(net.model.parameters()).dtype))
    assert counter.get_total_flops() == 2 * plan.macs
    assert smaller.weights == plan.weights


def test_the_original_is_never_changed(network, plan, data):
    before = {k: v.clone() for k, v in network.model.state_dict().items()}
    smaller = wb.decompose(network, plan)
    with torch.no_grad():
        for parameter in smaller.model.parameters():
            parameter.zero_()
    assert all(torch.equal(v, before[k]) for k, v in network.model.state_dict().items())


def test_geometry_goes_to_the_core_and_frozen_weights_stay_frozen(mixed):
    model = copy_model(mixed.model)
    model.same.weight.requires_grad_(False)
    ranks = {"dilated": (3, 5), "same": (4, 4), "first": (None, 3)}
    model = decomposed(mixed.with_model(model), ranks).model
    assert model.dilated.core.dilation == (2, 2)
    assert model.dilated.factor_in.dilation == model.dilated.factor_out.dilation == (1, 1)
    assert (model.same.core.padding, model.same.core.padding_mode) == ("same", "circular")
    assert model.first.core.stride == (2, 2)
    assert model.first.factor_out.bias is None
    assert model.dilated.factor_out.bias is not None
    assert {p.requires_grad for p in model.same.parameters()} == {False}
    assert not any(m.training for m in model.modules())


def test_a_model_that_is_one_layer():
    smaller = decomposed(wb.Network(nn.Conv2d(6, 8, 3), (6, 9, 9), name="one"), {"": (2, 3)})
    assert smaller.weights == smaller.plan.weights


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["layers"][1]["layer"].update(name="stem"), "has a layer stem, which digits_vgg has not"),
        (
            lambda v: v["layers"][1]["layer"].update(name="features.4"),
            "expects a convolution, digits_vgg has a BatchNorm2d",
        ),
        (
            lambda v: v["layers"][1]["layer"]["shape"].update(out_channels=65),
            r"layer features.3: the plan expects weights of shape \(65, 32, 3, 3\), digits_vgg has \(64, 32, 3, 3\)",
        ),
    ],
)
def test_a_foreign_plan_is_refused(network, plan, change, message):
    values = json.loads(plan.to_json())
    change(values)
    with pytest.raises(PlanError, match=message):
        wb.decompose(network, wb.Plan.from_json(json.dumps(values)))
