import pytest

import workbench as wb
from workbench.inspect.factors import Factors
from workbench.plot.interactive.factors import factors


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
