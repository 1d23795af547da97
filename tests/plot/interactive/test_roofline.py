import math

import pytest

import workbench as wb
from workbench.measure.profile_table import OTHER, Profile, Row
from workbench.measure.roofline import Roofline
from workbench.plot.interactive.roofline import (
    MARKS,
    MOST_LAYERS,
    fill_roofline,
    fill_times,
    layer_times,
    roofline_figure,
    times_figure,
)

ROOF = Roofline(peak=40e9, bandwidth=20e9, threads=1, machine="it")


def row(layer, part, kind, macs, moved, seconds):
    return Row(f"{layer}.{part}", macs, moved, seconds, layer, part, kind, "3x3")


BEFORE = Profile(
    "it", (row("a", "dense", "dense", 10**9, 10**7, 0.4), row("fc", "dense", "linear", 10**6, 4 * 10**6, 0.1)), 0.2
)
AFTER = Profile(
    "it",
    (
        row("a", "factor_in", "1x1", 10**8, 10**7, 0.04),
        row("a", "core", "core", 10**8, 10**6, 0.01),
        row("a", "factor_out", "1x1", 10**8, 10**7, 0.02),
        row("fc", "dense", "linear", 10**6, 4 * 10**6, 0.1),
    ),
    0.1,
)


def filled(before=BEFORE, after=AFTER, roofline=ROOF):
    figure = roofline_figure()
    fill_roofline(figure, before, after, roofline)
    return figure


def test_every_part_is_where_its_numbers_are():
    figure = filled()
    traces = {trace.name: trace for trace in figure.data}
    assert [name for name, trace in traces.items() if trace.visible is not False] == [
        "this machine's roof",
        "original: whole convolutions",
        "original: fully connected layers",
        "compressed: cores",
        "compressed: 1x1 factors",
        "compressed: fully connected layers",
    ]
    thin = traces["compressed: 1x1 factors"]
    assert list(thin.x) == [10.0, 10.0]
    assert list(thin.y) == pytest.approx([2.5, 5.0])
    assert thin.marker.size[0] > thin.marker.size[1]
    assert traces["original: whole convolutions"].marker.size[0] == 34  # the slowest of all
    hover = thin.customdata[0]
    assert "<b>a</b> (compressed)" in hover
    assert "factor_in, 3x3" in hover
    assert "100 M multiply-adds, 10.0 MB moved: 10 a byte" in hover
    assert "40.0 ms, 14.8% of the pass" in hover
    assert "2.50 G multiply-adds a second; the roof is at 40.0 G" in hover


def test_the_roof_spans_the_parts():
    roof = filled().data[0]
    assert list(roof.x) == [0.125, 2.0, 200.0]
    assert list(roof.y) == pytest.approx([2.5, 40.0, 40.0])
    texts = [note.text for note in filled().layout.annotations]
    assert texts == ["the memory limits: 20.0 GB/s", "the processor limits: 40.0 G multiply-adds a second"]


def test_kinds_differ_in_shape_and_colour():
    assert len({symbol for symbol, _ in MARKS.values()}) == len({color for _, color in MARKS.values()}) == len(MARKS)
    symbols = [trace.marker.symbol for trace in roofline_figure().data[1:]]
    assert len(set(symbols)) == 2 * len(MARKS)  # the original's are hollow


def test_without_a_roof_or_a_profile():
    figure = filled(after=None, roofline=None)
    assert list(figure.data[0].x) == []
    assert not figure.layout.annotations
    assert sum(trace.visible is True for trace in figure.data) == 2
    fill_roofline(figure, None, None)
    assert figure.layout.annotations[0].text.startswith("The parts of the network appear here")
    assert not figure.layout.xaxis.visible


def test_parts_without_time_have_no_place():
    nothing = Profile("it", (row("a", "dense", "dense", 10**9, 10**7, 0.0),), 0.1)
    figure = filled(nothing, None)
    assert "appear here" in figure.layout.annotations[0].text


def test_times_of_a_layer_and_its_factors():
    figure = times_figure()
    fill_times(figure, BEFORE, AFTER)
    original, whole, first, core, last = figure.data
    assert list(figure.layout.xaxis.ticktext) == ["a", "fc", OTHER]
    assert list(original.y) == pytest.approx([400, 100, 200])
    assert list(whole.y) == pytest.approx([100, 100])
    assert (first.base[0], core.base[0], last.base[0]) == pytest.approx((0, 40, 50))
    assert (first.y[0], core.y[0], last.y[0]) == pytest.approx((40, 10, 20))
    assert original.x[0] < 0 < core.x[0] == last.x[0]
    assert core.customdata[0] == "<b>a</b><br>core: 10.0 ms"


def test_many_layers_are_summed_up():
    rows = tuple(row(f"layer{i}", "dense", "dense", 10**6, 10**6, (i + 1) / 1000) for i in range(40))
    names, times = layer_times(Profile("it", rows, 0.5), None)
    assert len(names) == MOST_LAYERS + 2
    assert names[0] == "layer16"
    assert names[-2:] == ["16 other layers", OTHER]
    total = sum(seconds for parts in times.values() for _, seconds in parts.values())
    assert math.isclose(total, sum(r.seconds for r in rows) + 0.5)


def test_no_times_yet():
    figure = times_figure()
    fill_times(figure, BEFORE, AFTER)
    fill_times(figure, None, None)
    assert figure.layout.annotations[0].text.startswith("The time of each layer appears here")
    assert all(len(trace.x) == 0 for trace in figure.data)


@pytest.mark.parametrize("figure", [filled(), times_figure()])
def test_axes_have_names_and_units(figure):
    assert figure.layout.yaxis.title.text
    assert figure.layout.title.text is None


def test_in_print():
    figure = wb.plot_roofline(BEFORE, AFTER, ROOF, "it")
    axes = figure.axes[0]
    assert axes.get_title() == "it"
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names[0] == "original: whole convolutions"
    assert names[-1] == "this machine's roof"
    x, y = axes.collections[0].get_offsets()[0]
    assert (x, y) == pytest.approx((100, 2.5))
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert wb.plot_roofline(BEFORE)._repr_png_().startswith(b"\x89PNG")
