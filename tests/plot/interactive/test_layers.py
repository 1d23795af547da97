import pytest

from workbench.plot.interactive.layers import layer_costs


@pytest.mark.parametrize("measure", ["macs", "weights"])
def test_bars_are_the_costs(plan, measure, valid):
    original, planned, mark = valid(layer_costs(plan, "features.3", measure))["data"]
    assert original["y"] == [getattr(part.layer.cost, measure) for part in plan]
    assert planned["y"] == [getattr(part.cost, measure) for part in plan]
    assert original["ids"] == planned["ids"] == [part.name for part in plan]
    assert mark["ids"] == ["features.3"]
    assert "features.3" in original["customdata"][mark["x"][0] - 1]
    assert valid(layer_costs(plan, "no such layer", measure))["data"][2]["ids"] == []
    assert valid(layer_costs(None, "", measure))["data"][0]["y"] == []
