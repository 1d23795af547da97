"""Rooflines, and bars of each layer's time."""

import pytest

from workbench.measure.profile import OTHER
from workbench.plot.interactive.roofline import MAX_MARKER_PIXELS, layer_times, roofline


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
