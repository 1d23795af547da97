"""A sliding filter, filters at a rank, and pictures with noise: the interactive figures and the printed ones."""

import numpy as np
import pytest

from workbench.inspect.demonstrations import LowRankFilters, NoisyDigits, SlidingWindow
from workbench.plot.interactive.demonstrations import low_rank_filters, noisy_digits, sliding_window
from workbench.plot.static import demonstrations as static


def test_filters_at_a_rank(network, data, valid):
    shown = LowRankFilters.of(network.model.get_submodule("features.0"), data.test.images[0], 4)
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
    assert np.array_equal([*signal["y"], *rest["y"]], shown.evbmf.singular_values)
    assert len(signal["y"]) == shown.evbmf.rank
    assert np.array_equal(clean["y"], shown.clean)
    assert {*threshold["y"], *across["y"], *minimum["y"]} == {shown.evbmf.threshold}
    assert "yaxis" not in energy  # the same as the bars'
    assert figure["layout"]["yaxis"]["range"] == [0, 40.0]
    printed = static.noisy_digits(shown)
    assert list(printed.axes[1].lines[1].get_ydata()) == [shown.evbmf.threshold]


def test_the_parts_and_the_frames(network, data, valid):
    shown = SlidingWindow.of(network.model.get_submodule("features.0"), data.test.images[0], 28, 6)
    figure, printed = valid(sliding_window(shown)), static.sliding_window(shown)
    for trace, values, axes in zip(figure["data"], shown.parts.values(), printed.axes, strict=True):
        assert np.array_equal(np.array(trace["z"], dtype=float), values, equal_nan=True)
        assert axes.images[0].get_array().shape == values.shape
    limits = {figure["data"][-1]["zmax"], printed.axes[-1].images[0].get_clim()[1]}
    assert limits == {shown.max_output}  # colours stay while the filter slides
    window, output = figure["layout"]["shapes"][:2]
    assert [window[key] + 0.5 for key in ("x0", "x1", "y0", "y1")] == [4, 9, 3, 8]
    assert [output[key] + 0.5 for key in ("x0", "x1", "y0", "y1")] == [4, 5, 3, 4]
