import json

import ipywidgets as w
import pytest

import workbench as wb
from tests.app.test_panels import find, html
from tests.app.test_state import done
from workbench.app.state import State
from workbench.app.steps.compare.rank_curve import RankCurve
from workbench.app.steps.compare.rank_curve_view import curves_panel
from workbench.app.widgets.figure_view import FigureView


def test_the_picked_layer_is_tried_at_several_ranks(state, data, network, spectra):
    curve = RankCurve(state)
    panel = curves_panel(state, curve)
    state.selected = "features.17"
    button = find(panel, w.Button, "Try ranks of features.17")
    button.click()
    curve.job.wait(60)
    assert curve.job.error == ""
    assert curve.layer == "features.17"
    expected = wb.sensitivity(network, data.validation, "features.17", spectra)
    drawn = json.loads(find(panel, FigureView)[0].traces)
    assert drawn[0]["x"] == [p.rank_out for p in expected]
    assert drawn[0]["y"] == pytest.approx([p.top1 for p in expected])
    assert drawn[1]["y"][-1] == 100.0  # at full rank it is the original
    assert drawn[0]["error_y"]["array"] == pytest.approx([p.interval[1] - p.top1 for p in expected])
    assert json.loads(find(panel, FigureView)[0].around)["yaxis"]["title"]["text"] == "share of 256 images (%)"
    done(state, state.open(network="resnet20"))
    assert curve.points == ()


def test_without_a_network_it_is_a_sentence():
    state = State()
    curve = RankCurve(state)
    panel = curves_panel(state, curve)
    assert find(panel, w.Button, "Try ranks of the picked layer").disabled
    curve.measure()
    curve.job.wait(10)
    assert curve.job.error in html(panel)
    assert curve.job.error == "Open a network and pick a layer first."


def test_a_print_of_it(network, data, spectra):
    points = wb.sensitivity(network, data.validation, "features.3", spectra, shares=(0.2, 1.0))
    axes = wb.plot_sensitivity(points, "features.3").axes[0]
    assert list(axes.lines[0].get_xdata()) == [p.rank_out for p in points]
    assert list(axes.lines[1].get_ydata()) == [p.agreement for p in points]
    assert axes.get_ylabel() == "share of 256 images (%)"
