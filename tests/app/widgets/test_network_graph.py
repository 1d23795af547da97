"""The network as a drawing on the page: what is sent, what picks a layer."""

import ipywidgets as w

import workbench as wb
from tests.helpers.widgets import find
from workbench.app.network_view import network_view
from workbench.app.widgets.network_graph import NetworkGraph
from workbench.inspect.drawing.fills import COLORS, SNR, UNKNOWN


def graph_of(view):
    (graph,) = find(view, NetworkGraph)
    return graph


def test_a_rank_sends_only_the_fillings(digits, monkeypatch):
    graph, sent = graph_of(network_view(digits)), []
    assert [name for name in graph.fills if f'data-layer="{name}"' not in graph.svg] == []
    before = dict(graph.fills)
    monkeypatch.setattr(NetworkGraph, "_send", lambda _, message, **__: sent.append(message))
    digits.plan.choose_ranks("features.3", rank_in=3, rank_out=4)
    assert [sorted(message["state"]) for message in sent if message["method"] == "update"] == [["fills"]]
    part = digits.plan.plan["features.3"]
    assert [name for name in before if before[name] != graph.fills[name]] == ["features.3"]
    assert abs(graph.fills["features.3"][0] - part.cost.macs / part.layer.cost.macs) < 1e-4


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
    importance = wb.plot.network(digits.plan.plan, digits.plan.importance).picture
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
