"""The network as a drawing on the page: what is sent, what picks a layer."""

import ipywidgets as w
import pytest

import workbench as wb
from tests.helpers.widgets import find
from workbench.app.network_view import network_view
from workbench.app.widgets.layer_table import LayerTable
from workbench.app.widgets.network_graph import NetworkGraph
from workbench.inspect.drawing.fills import COLORS, SNR, UNKNOWN


def graph_of(view):
    (graph,) = find(view, NetworkGraph)
    return graph


def sent_by(kind, monkeypatch):
    """What widgets of a kind send from now on: names of traits, or messages."""
    sent = []
    monkeypatch.setattr(kind, "send_state", lambda _, key=None: None if key == set() else sent.append(key))
    monkeypatch.setattr(kind, "send", lambda _, content, buffers=None: sent.append(content))
    return sent


def test_a_rank_sends_one_filling(digits, monkeypatch):
    graph = graph_of(network_view(digits))
    assert [name for name in graph.fills if f'data-layer="{name}"' not in graph.svg] == []
    before, sent = dict(graph.fills), sent_by(NetworkGraph, monkeypatch)
    digits.plan.choose_ranks("features.3", rank_in=3, rank_out=4)
    assert sent == [{"kind": "items", "items": {"features.3": graph.fills["features.3"]}}]
    part = digits.plan.plan["features.3"]
    assert [name for name in before if before[name] != graph.fills[name]] == ["features.3"]
    assert abs(graph.fills["features.3"][0] - part.cost.macs / part.layer.cost.macs) < 1e-4


def test_a_page_that_has_just_loaded_gets_all_items(digits, monkeypatch):
    graph = graph_of(network_view(digits))
    sent = sent_by(NetworkGraph, monkeypatch)
    graph._handle_custom_msg({"kind": "whole"}, [])
    assert sent == ["fills"]


@pytest.mark.parametrize(
    ("rows", "messages"),
    [
        ([{"name": "a"}, {"name": "c"}], [{"kind": "items", "items": {1: {"name": "c"}}}]),
        ([{"name": "a"}, {"name": "b"}], []),
        ([{"name": "a"}], ["rows"]),
        ([], ["rows"]),
    ],
)
def test_a_table_sends_rows_that_differ(rows, messages, monkeypatch):
    table = LayerTable(rows=[{"name": "a"}, {"name": "b"}])
    sent = sent_by(LayerTable, monkeypatch)
    table.set_items(rows)
    assert table.rows == rows
    assert sent == messages


def test_areas_and_colours(digits):
    view = network_view(digits)
    graph, (area, color) = graph_of(view), find(view, w.ToggleButtons)
    drawn, fills = graph.svg, dict(graph.fills)
    area.value = "weights"
    assert graph.svg != drawn
    part = digits.plan.plan["features.3"]
    assert abs(graph.fills["features.3"][0] - part.cost.weights / part.layer.cost.weights) < 1e-4
    area.value = "macs"
    assert (graph.svg, graph.fills) == (drawn, fills)
    assert color.layout.display == "none"
    digits.plan.measure_importance()
    assert color.layout.display == ""
    color.value = "importance"
    importance = wb.plot.network(digits.plan.plan, digits.plan.importance)
    assert {name: values[2] for name, values in graph.fills.items()} == {
        n: f.words for n, f in importance.fills.items()
    }


def test_colours_of_the_noise_on_a_picture(digits):
    view = network_view(digits)
    graph, (_, color) = graph_of(view), find(view, w.ToggleButtons)
    digits.preview.active = True
    color.value = "noise"
    noise = {part.name: part.snr_db for part in digits.preview.found.comparison.layers}
    expected = {name: SNR.shade(noise[name]) for name in noise}
    assert {name: COLORS.index(graph.fills[name][1]) for name in noise} == expected
    digits.preview.current = False  # the plan has changed
    assert {COLORS.index(graph.fills[name][1]) for name in noise} == {UNKNOWN}
    assert color.value == "noise"
