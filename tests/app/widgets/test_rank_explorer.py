"""One convolution and the three in its place, with sliders."""

import pytest

import workbench as wb
from tests.helpers.widgets import html


def test_sliders_and_a_rank_that_does_not_fit(spectra):
    explorer = wb.explore_ranks(spectra["features.3"], rank_in=3, rank_out=4)
    assert [slider.value for slider in explorer.sliders] == [3, 4]
    explorer.set_ranks(14, 16)
    assert (explorer.shown.rank_in, explorer.shown.rank_out) == (14, 16)
    assert explorer.shown.verdict in html(explorer.widget)
    with pytest.raises(ValueError, match="rank_in=0 does not fit"):
        explorer.set_ranks(0, 5)
    assert [slider.value for slider in explorer.sliders] == [14, 16]
    explorer.sliders[1].value = 64
    assert explorer.shown.rank_out == 64
