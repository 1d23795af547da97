"""Factor by factor: the table against the modules that `decompose` makes, and one layer beside its factors."""

import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import at_full_rank
from workbench.inspect.factors import Factors
from workbench.inspect.layerwise import factors_of
from workbench.kernels.complexity import break_even, total
from workbench.network.tracing import find_layers
from workbench.plan.plan import PlanError


@pytest.mark.parametrize("which", ["network", "mixed"])
def test_each_factor_costs_what_its_module_costs(which, request):
    network = request.getfixturevalue(which)
    plan = at_full_rank(network)
    small = wb.decompose(network, plan)
    seen = {layer.name: layer.cost for layer in find_layers(small).layers}
    factorised = 0
    for part in plan:
        made, factors = small.model.get_submodule(part.name), factors_of(part)
        assert isinstance(made, nn.Sequential) == bool(factors)  # none for a layer that is kept
        for name, cost in factors.items():
            assert cost == seen[f"{part.name}.{name}"]
            assert cost.weights == sum(p.numel() for p in made.get_submodule(name).parameters())
            factorised += 1
        assert not factors or total(list(factors.values())) == part.cost
    assert factorised >= 11


def test_agreement_rises_with_the_rank(network, spectra, data):
    curve = wb.rank_curve(network, data.validation, "features.10", spectra, shares=(0.02, 0.2, 1.0))
    assert [(p.rank_in, p.rank_out) for p in curve] == [(1, 3), (13, 26), (64, 128)]
    low, middle, full = (p.agreement.top1 for p in curve)
    assert low < middle <= full == 1
    assert curve[0].macs_ratio > curve[1].macs_ratio > 1 > curve[2].macs_ratio
    spread = torch.arange(256) * 297 // 256
    images, labels = data.validation.images[spread], data.validation.labels[spread]
    assert curve[2].accuracy == wb.score(network, wb.Split(images, labels))
    assert curve[2].agreement.kind == "agreement"


def test_what_cannot_be_asked(network, spectra, data, mixed):
    with pytest.raises(KeyError, match="'nothing' is no layer of digits_vgg"):
        wb.rank_curve(network, data.validation, "nothing", spectra)
    with pytest.raises(PlanError, match="does not fit"):
        wb.rank_curve(network, data.validation, "features.3", spectra, shares=(0.5, 1.5))
    with pytest.raises(PlanError, match="depthwise cannot be factorised: a depthwise"):
        wb.rank_curve(mixed, data.validation, "depthwise", wb.analyze(mixed, cached=False))


def layer_of(module, *size):
    return wb.analyze(wb.Network(module, input_shape=size), cached=False).layers[0]


@pytest.fixture
def strided():
    return layer_of(nn.Conv2d(8, 12, 3, stride=2, padding=1), 8, 16, 16)


def test_the_factors_numbers_are_the_plans(spectra, plan):
    part = plan["features.3"]
    shown = Factors.of(spectra["features.3"])
    assert (shown.rank_in, shown.rank_out) == (part.rank_in, part.rank_out) == (14, 16)
    assert shown.cost == part.cost
    assert shown.error == part.error
    assert sum(shown.shares("macs")) == pytest.approx(1 / part.macs_ratio)
    assert shown.change_text("weights") == "18.5 k → 3.55 k (x5.21 fewer)"
    assert shown.verdict == "It pays. With rank_in = 14, any rank_out pays."


def test_factors_of_a_layer_without_weights(strided):
    shown = Factors.of(strided)
    assert (shown.rank_in, shown.rank_out) == (4, 6)
    assert shown.error is None
    full = Factors.of(strided, 8, 12)
    assert not full.pays
    limit = int(break_even(strided.shape, rank_in=8))
    assert full.verdict == f"It does not pay. With rank_in = 8, rank_out may be at most {limit}."
    assert full.change_text("macs").endswith(" more)")
    pointwise = layer_of(nn.Conv2d(8, 8, 1), 8, 4, 4)
    assert Factors.of(pointwise, 8, 1).verdict == "It does not pay. With rank_in = 8, no rank_out pays."
    for rank_out in range(1, 13):
        assert Factors.of(strided, 8, rank_out).pays == (rank_out <= limit)


def test_factors_that_do_not_fit(spectra, strided):
    grouped = layer_of(nn.Conv2d(8, 8, 3, groups=2), 8, 6, 6)
    for subject, ranks, sentence in (
        (strided, (0, 3), "rank_in=0 does not fit, it can be 1 to 8"),
        (strided, (3, 13), "rank_out=13"),
        (spectra["classifier.2"], (), "layer classifier.2 is a matrix"),
        (grouped, (), "the layer has groups"),
    ):
        with pytest.raises(ValueError, match=sentence):
            Factors.of(subject, *ranks)
    with pytest.raises(TypeError, match="one layer, like"):
        Factors.of(spectra)
