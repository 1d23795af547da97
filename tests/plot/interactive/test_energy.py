import re

import pytest

from workbench.measure.energy import Energy, NetworkEnergy
from workbench.plot.interactive.energy import energy

JOULES = re.compile(r"\d\s?[GMkmµnp]?J\b")


def joules(estimated, scale=1.0):
    parts = {"multiply-adds": 1e-3 * scale, "memory": 1.5e-3 * scale}
    return NetworkEnergy("net", 2.5e-3 * scale, estimated, 2e-3 * scale, 3e-3 * scale, parts)


def strings(value):
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for each in inner for text in strings(each)]


@pytest.mark.parametrize("labels", [("estimate", "measured"), ("measured", "estimate")])
def test_every_joule_says_whether_it_is_an_estimate(labels, valid):
    estimated = labels[0] == "estimate"
    texts = strings(valid(energy(Energy(joules(estimated), joules(estimated, 0.5), "a table of constants"))))
    with_joules = [text for text in texts if JOULES.search(text) or "mJ" in text]
    assert len(with_joules) > 8
    assert [text for text in with_joules if labels[0] not in text] == []
    assert [text for text in texts if labels[1] in text] == []


@pytest.mark.parametrize(("scale", "unit", "height"), [(1e3, "J", 2.5), (1, "mJ", 2.5), (0.1, "µJ", 250)])
def test_bars_add_up_to_the_joules_in_the_unit_of_the_axis(scale, unit, height, valid):
    figure = valid(energy(Energy(joules(True, scale), joules(True, 0.5 * scale), "a table")))
    work, memory, whole = figure["data"]
    assert whole["x"] == work["x"]
    assert f" {unit} (estimate)" in whole["x"][0]
    assert [a + b for a, b in zip(work["y"], memory["y"], strict=True)] == pytest.approx(whole["y"])
    assert whole["y"] == pytest.approx([height, height / 2])
    assert whole["error_y"]["array"] == whole["error_y"]["arrayminus"] == pytest.approx([height / 5, height / 10])
    assert figure["layout"]["yaxis"]["title"]["text"] == f"{unit} for one image (estimate)"
    assert valid(energy(None))["data"] == []
