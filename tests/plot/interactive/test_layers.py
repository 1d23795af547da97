"""A bar for every layer, and picking one."""

import json

import ipywidgets as w

from tests.app.test_panels import find
from workbench.app.steps.look.view import glance_panel
from workbench.app.steps.plan.spectrum_view import current
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.layer_table import layer_table


def traces(panel):
    return json.loads(find(panel, FigureView)[0].traces)


def test_bars_are_the_costs(state):
    panel = glance_panel(state)
    original, planned, mark = traces(panel)
    assert original["y"] == [part.layer.cost.macs for part in state.plan]
    assert planned["y"] == [part.cost.macs for part in state.plan]
    assert mark["ids"] == ["features.3"]
    state.choose_ranks(rank_in=2, rank_out=2)
    assert traces(panel)[1]["y"][1] == state.plan["features.3"].cost.macs
    find(panel, w.ToggleButtons)[0].value = "weights"
    assert traces(panel)[0]["y"] == [part.layer.cost.weights for part in state.plan]


def test_a_layer_picked_anywhere_is_picked_everywhere(state):
    panel, table = glance_panel(state), layer_table(state)
    figure = find(panel, FigureView)[0]
    figure.picked = "features.10"
    assert (state.selected, table.selected, current(state).name) == ("features.10",) * 3
    assert traces(panel)[2]["ids"] == ["features.10"]
    table.selected = "features.0"
    assert traces(panel)[2]["ids"] == ["features.0"]
    figure.picked = "features.10"  # once more
    assert state.selected == "features.10"
    figure.picked = "no such layer"
    assert state.selected == "features.10"
