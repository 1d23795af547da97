import re

import pytest

from workbench.measure.counters import PowerTrace
from workbench.measure.energy import Energy, NetworkEnergy
from workbench.plot.interactive import energy, power

JOULES = re.compile(r"\d\s?[GMkmµnp]?J\b")


def joules(estimated, scale=1.0, trace=None):
    parts = {"multiply-adds": 1e-3 * scale, "memory": 1.5e-3 * scale}
    return NetworkEnergy("net", 2.5e-3 * scale, estimated, 2e-3 * scale, 3e-3 * scale, parts, trace=trace)


def strings(value):
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for each in inner for text in strings(each)]


@pytest.mark.parametrize(
    ("estimated", "label", "other"), [(True, "estimate", "measured"), (False, "measured", "estimate")]
)
def test_every_joule_says_whether_it_is_an_estimate(estimated, label, other, valid):
    found = Energy(joules(estimated), joules(estimated, 0.5), "a table of constants")
    texts = strings(valid(energy(found)))
    with_joules = [text for text in texts if JOULES.search(text) or "mJ" in text]
    assert len(with_joules) > 8
    assert [text for text in with_joules if label not in text] == []
    assert [text for text in texts if other in text] == []


def test_bars_add_up_to_the_joules(valid):
    data = valid(energy(Energy(joules(True), joules(True, 0.5), "a table")))["data"]
    work, memory, whole, words = data
    assert whole["x"] == words["x"] == work["x"] == ["original", "compressed"]
    assert [a + b for a, b in zip(work["y"], memory["y"], strict=True)] == pytest.approx(whole["y"])
    assert whole["y"] == pytest.approx([2.5, 1.25])
    assert whole["error_y"]["array"] == whole["error_y"]["arrayminus"] == pytest.approx([0.5, 0.25])
    assert words["text"][0] == "<b>2.50 mJ (estimate)</b>"
    assert valid(energy(None))["data"] == []


@pytest.mark.parametrize(("scale", "unit", "height"), [(1e3, "J", 2.5), (10, "mJ", 25), (0.1, "µJ", 250)])
def test_the_axis_has_the_unit_of_the_words(scale, unit, height, valid):
    figure = valid(energy(Energy(joules(True, scale), None, "a table")))
    assert figure["layout"]["yaxis"]["title"]["text"] == f"{unit} for one image (estimate)"
    assert figure["data"][2]["y"] == pytest.approx([height])
    assert f" {unit} (estimate)" in figure["data"][3]["text"][0]


def test_power_has_gaps_where_the_other_network_ran(valid):
    trace = PowerTrace((0.0, 0.25, 1.0), (0.25, 0.5, 1.25), (20.0, 22.0, 23.0))
    figure = valid(power(Energy(joules(False, trace=trace), joules(False), "counters")))
    (line,) = figure["data"]
    assert line["x"] == [0, 0.25, 0.25, 0.5, None, 1, 1.25]
    assert line["y"] == [20, 20, 22, 22, None, 23, 23]
    assert figure["layout"]["yaxis"]["title"]["text"] == "power (W), measured"
    for nothing in (None, Energy(joules(True), None, "a table")):
        assert "estimate" in valid(power(nothing))["layout"]["annotations"][0]["text"]
