"""Rooflines, bars of each layer's time, joules, and time against same answers."""

import re

import pytest

from workbench.measure.energy import Energy, NetworkEnergy
from workbench.measure.latency import Latency
from workbench.measure.profile import OTHER
from workbench.measure.speed import Speed
from workbench.plot.interactive.measured import MAX_MARKER_PIXELS, energy, layer_times, roofline, speeds

JOULES = re.compile(r"\d\s?[GMkmµnp]?J\b")


def test_every_part_is_where_its_numbers_are(profile, roof, valid):
    line, *parts = valid(roofline(profile, roof, "a"))["data"]
    assert (line["x"], line["y"]) == ([0.125, 2, 200], pytest.approx([2.5, 40, 40]))
    assert line["name"].endswith("memory 20.0 GB/s, processor 40.0 G multiply-adds a second")
    traces = {trace["name"]: trace for trace in parts}
    assert list(traces) == [
        "original: whole convolutions",
        "original: fully connected layers",
        "compressed: cores",
        "compressed: 1x1 factors",
        "compressed: fully connected layers",
    ]
    thin, whole = traces["compressed: 1x1 factors"], traces["original: whole convolutions"]
    assert (thin["x"], thin["y"]) == ([10, 10], pytest.approx([2.5, 5]))
    assert thin["marker"]["size"][0] > thin["marker"]["size"][1]
    assert thin["marker"]["opacity"][0] > traces["original: fully connected layers"]["marker"]["opacity"][0]
    assert whole["marker"]["size"] == [MAX_MARKER_PIXELS]  # the slowest of all
    assert (whole["marker"]["symbol"], thin["marker"]["symbol"]) == ("circle-open", "triangle-up")
    assert thin["customdata"][0].split("<br>") == [
        "<b>a</b> (compressed)",
        "factor_in, 3x3",
        "100 M multiply-adds, 10.0 MB moved: 10 a byte",
        "40.0 ms, 14.8% of the pass",
        "2.50 G multiply-adds a second; the roof is at 40.0 G",
    ]


def test_times_of_a_layer_and_its_factors(profile, valid):
    figure = valid(layer_times(profile, "fc"))
    original, whole, first, core, last = figure["data"]
    assert figure["layout"]["xaxis"]["ticktext"] == ["a", "<b>▸ fc</b>", OTHER]
    assert original["y"] == pytest.approx([400, 100, 200])
    assert whole["y"] == pytest.approx([100, 100])
    assert (first["base"][0], core["base"][0], last["base"][0]) == pytest.approx((0, 40, 50))
    assert (first["y"][0], core["y"][0], last["y"][0]) == pytest.approx((40, 10, 20))
    assert original["x"][0] < 0 < core["x"][0] == last["x"][0]
    assert core["customdata"] == ["<b>a</b><br>core: 10.0 ms"]
    assert valid(layer_times(None))["data"] == []


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


def test_bars_of_many_parts_add_up_too(valid):
    network = NetworkEnergy("n", 5.0, False, 5.0, 5.0, dict.fromkeys("abcde", 1.0))
    *parts, whole = valid(energy(Energy(network, None, "counters")))["data"]
    assert sum(part["y"][0] for part in parts) == whole["y"][0] == 5.0


def test_each_network_is_a_point_in_each_runtime(valid):
    samples = {"original": [0.008] * 3, "compressed": [0.004] * 3, "int8": [0.002] * 3}
    same = {"original": 1.0, "compressed": 0.9, "int8": 0.85}
    latencies = {"onnxruntime": Latency("a", samples, "", {}, same), "eager": Latency("b", samples, "", {}, {})}
    found = Speed(2.0, latencies, {}, 100)
    traces = valid(speeds(found))["data"]
    assert [(t["name"], t["x"], t["y"]) for t in traces] == [
        ("original", [8.0], [100.0]),
        ("compressed", [4.0], [90.0]),
        ("int8", [2.0], [85.0]),
    ]
    assert traces[2]["error_y"]["arrayminus"][0] == pytest.approx(85 - 76.7, abs=0.1)  # Wilson
    assert valid(speeds(Speed(2.0, latencies, {})))["data"] == valid(speeds(None))["data"] == []
