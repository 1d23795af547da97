"""Factor by factor: the table against the modules that `decompose` makes."""

import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import at_full_rank
from workbench.inspect.layerwise import factors_of
from workbench.kernels.complexity import total
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
