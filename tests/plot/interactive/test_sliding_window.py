"""A filter at one place of a picture: the interactive figure and the printed one."""

import numpy as np

from workbench.inspect.sliding_window import SlidingWindow
from workbench.plot.interactive.sliding_window import sliding_window
from workbench.plot.static.sliding_window import sliding_window as printed


def test_the_parts_and_the_frames(network, data, valid):
    shown = SlidingWindow.of(network.model.get_submodule("features.0"), data.test.images[0], 28, 6)
    figure = valid(sliding_window(shown))
    for trace, values, axes in zip(figure["data"], shown.parts.values(), printed(shown).axes, strict=True):
        assert np.array_equal(np.array(trace["z"], dtype=float), values, equal_nan=True)
        assert axes.images[0].get_array().shape == values.shape
    limits = {figure["data"][-1]["zmax"], printed(shown).axes[-1].images[0].get_clim()[1]}
    assert limits == {shown.max_output}  # colours stay while the filter slides
    window, output = figure["layout"]["shapes"][:2]
    assert [window[key] + 0.5 for key in ("x0", "x1", "y0", "y1")] == [4, 9, 3, 8]
    assert [output[key] + 0.5 for key in ("x0", "x1", "y0", "y1")] == [4, 5, 3, 4]
