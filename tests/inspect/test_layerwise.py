"""Factor by factor: the table against the modules that `decompose` makes."""

import pytest
from torch import nn

import workbench as wb
from tests.helpers.networks import at_full_rank
from workbench.inspect.layerwise import factors_of
from workbench.kernels.complexity import total
from workbench.network.tracing import find_layers


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


def test_it_shows_the_three_factors(plan):
    lines = str(wb.layerwise(plan)).splitlines()
    assert lines[0].startswith("digits_vgg layer by layer: EVBMF, all but 1x1 convolutions")
    row = next(line for line in lines if line.startswith("features.3 "))
    part = plan["features.3"]
    core = 9 * part.rank_in * part.rank_out
    assert f"{part.rank_in}, {part.rank_out}" in row
    assert f"{32 * part.rank_in} + {core / 1000:.2f} k + " in row
    assert lines[-1].split()[0] == "total"
    assert f"x{plan.macs_ratio:.2f}" in lines[-1]
    assert wb.layerwise(plan)._repr_html_().count("<tr>") == len(lines) - 2
