"""Figures of one layer or picture, interactive and printed: factors, filters at a rank, noise, a sliding filter."""

import numpy as np
import pytest

import workbench as wb
from workbench.inspect.factors import Factors
from workbench.inspect.low_rank import LowRankFilters, NoisyDigits
from workbench.inspect.sliding_window import SlidingWindow
from workbench.plot.interactive.factors import factors
from workbench.plot.interactive.low_rank import low_rank_filters, noisy_digits
from workbench.plot.interactive.sliding_window import sliding_window
from workbench.plot.static import inspected as static
from workbench.plot.static.sliding_window import sliding_window as printed_window


@pytest.fixture
def layer(network):
    return network.model.get_submodule("features.0")


@pytest.mark.parametrize("ranks", [(14, 16), (5, 60), (32, 64)])
def test_factors(spectra, ranks, valid):
    shown = Factors.of(spectra["features.3"], *ranks)
    figure = valid(factors(shown))
    bars = [trace for trace in figure["data"] if trace["type"] == "bar"]
    assert [bar["x"][1] for bar in bars] == pytest.approx([100 * share for share in shown.shares("macs")])
    found, here = ((trace["x"], trace["y"]) for trace in figure["data"][-2:])
    assert (found, here) == (([14], [16]), ([ranks[0]], [ranks[1]]))
    assert figure["layout"]["xaxis2"]["range"][1] > max(100, 100 * sum(shown.shares("weights")))
    _, costs, plane = wb.plot.factors(spectra["features.3"], *ranks).axes
    widths = [bar.get_width() for bar in costs.patches]
    assert widths[1::2] == pytest.approx([100 * share for share in shown.shares("macs")])
    assert [tuple(line.get_xydata()[0]) for line in plane.lines[-2:]] == [(14, 16), ranks]


def test_filters_at_a_rank(layer, data, valid):
    shown = LowRankFilters.of(layer, data.test.images[0], 4)
    *strips, picture = valid(low_rank_filters(shown))["data"]
    for trace, strip in zip(strips, shown.strips.values(), strict=True):
        assert np.array_equal(np.array(trace["z"], dtype=float), strip, equal_nan=True)
    assert np.array_equal(picture["z"], shown.picture)
    filters, original = strips[1:3]
    assert (filters["zmin"], filters["zmax"]) == (original["zmin"], original["zmax"])
    printed = [axes.images[0].get_array() for axes in static.low_rank_filters(shown).axes]
    assert [image.shape for image in printed] == [np.shape(t["z"]) for t in (*strips, picture)]


@pytest.mark.parametrize("noise", [0.1, 1.2])
def test_the_minimum_is_as_high_as_the_threshold(data, valid, noise):
    shown = NoisyDigits.of(data.train.images[:540], noise)
    figure = valid(noisy_digits(shown, 40.0))
    signal, rest, clean, threshold, energy, across, minimum, _ = figure["data"]
    assert np.array_equal([*signal["y"], *rest["y"]], shown.found.singular_values)
    assert len(signal["y"]) == shown.found.rank
    assert np.array_equal(clean["y"], shown.clean)
    assert {*threshold["y"], *across["y"], *minimum["y"]} == {shown.found.threshold}
    assert "yaxis" not in energy  # the same as the bars'
    assert figure["layout"]["yaxis"]["range"] == [0, 40.0]
    printed = static.noisy_digits(shown)
    assert list(printed.axes[1].lines[1].get_ydata()) == [shown.found.threshold]


def test_a_sliding_filter_its_parts_and_its_frames(layer, data, valid):
    shown = SlidingWindow.of(layer, data.test.images[0], 28, 6)
    figure = valid(sliding_window(shown))
    for trace, values, axes in zip(figure["data"], shown.parts.values(), printed_window(shown).axes, strict=True):
        assert np.array_equal(np.array(trace["z"], dtype=float), values, equal_nan=True)
        assert axes.images[0].get_array().shape == values.shape
    limits = {figure["data"][-1]["zmax"], printed_window(shown).axes[-1].images[0].get_clim()[1]}
    assert limits == {shown.max_output}  # colours stay while the filter slides
    window, output = figure["layout"]["shapes"][:2]
    assert [window[key] + 0.5 for key in ("x0", "x1", "y0", "y1")] == [4, 9, 3, 8]
    assert [output[key] + 0.5 for key in ("x0", "x1", "y0", "y1")] == [4, 5, 3, 4]
