import pytest

from workbench.catalog.paper.published import PUBLISHED


@pytest.mark.parametrize("name", PUBLISHED)
def test_ratios_belong_to_their_lines(name):
    """Printed ratios were taken before rounding: within a tenth, but for the one that the docstring names."""
    p = PUBLISHED[name]
    for what, ratio in p.printed.items():
        if (name, what) != ("googlenet_bvlc", "weights"):
            assert getattr(p.original, what) / getattr(p.compressed, what) == pytest.approx(ratio, rel=0.035), what
    assert 0 < p.original.top5 - p.compressed.top5 < 2
