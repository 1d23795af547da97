"""Drawings, read back from their SVG."""

import re
from xml.etree import ElementTree

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.inspect.drawing.fills import COLORS, ERROR, IMPORTANCE, SNR, UNCHANGED, fills
from workbench.inspect.drawing.svg import Picture
from workbench.network.tracing import Node

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg):
    return ElementTree.fromstring(svg)  # noqa: S314 - our own drawing


def blocks(svg):
    """Name -> areas of the outline and of the filling, colour, and place of each block."""
    found = {}
    for group in parsed(svg).iter(f"{SVG}g"):
        if group.get("class") == "layer":
            rects = {rect.get("class"): rect for rect in group.iter(f"{SVG}rect")}
            outline, planned = (
                float(rects[name].get("width")) * float(rects[name].get("height")) for name in ("outline", "planned")
            )
            place = tuple(map(float, re.findall(r"[-\d.]+", group.get("transform"))))
            found[group.get("data-layer")] = (outline, planned, rects["planned"].get("fill"), place)
    return found


@pytest.mark.parametrize("area", ["macs", "weights"])
def test_areas_are_costs(plan, area):
    found = blocks(wb.plot.network(plan, area=area)._repr_svg_())
    assert list(found) == [part.name for part in plan]
    unit = found["features.3"][0] / getattr(plan["features.3"].layer.cost, area)
    for part in plan:
        outline, planned, _, _ = found[part.name]
        assert outline == pytest.approx(unit * getattr(part.layer.cost, area), rel=0.01)
        assert planned == pytest.approx(unit * getattr(part.cost, area), rel=0.01, abs=0.01)


def test_a_layer_that_costs_more_stays_in_its_outline_and_is_marked(spectra):
    plan = wb.evbmf_plan(spectra).with_ranks("features.3", rank_in=32, rank_out=64)
    assert plan["features.3"].cost.macs > plan["features.3"].layer.cost.macs
    svg = wb.plot.network(plan)._repr_svg_()
    outline, planned, _, _ = blocks(svg)["features.3"]
    assert planned == outline
    assert svg.count("stroke-dasharray") == 1


def test_colours_are_errors_importance_or_noise(network, plan, data):
    images = data.validation.sample(48)
    importance, small = wb.importance(network, plan.spectra, images), wb.decompose(network, plan)
    compared = wb.compare(small, images)
    plan = plan.keep("features.7")
    error = {part.name: part.error for part in plan if part.decision != "keep"}
    lost = {p.name: importance.lost[p.name][p.rank_out, p.rank_in or -1] for p in plan if p.rank_out is not None}
    noise = {layer.name: layer.snr_db for layer in compared.layers}
    for measured, scale, values in ((None, ERROR, error), (importance, IMPORTANCE, lost), (compared, SNR, noise)):
        shades = {name: fill.shade for name, fill in fills(plan, measured).items()}
        assert {name: shades[name] for name in values} == {name: scale.shade(v) for name, v in values.items()}
    assert fills(plan)["features.7"].shade == UNCHANGED
    assert blocks(wb.plot.network(plan)._repr_svg_())["features.7"][2] == COLORS[UNCHANGED]


@pytest.mark.parametrize("scale", [ERROR, IMPORTANCE, SNR])
def test_names_of_shades_are_their_limits(scale):
    for shade, name in enumerate(scale.names):
        ends = [float(number) / scale.factor for number in re.findall(r"[\d.]+", name)]
        assert scale.shade(sum(ends) / 2 if len(ends) == 2 else ends[0] * (0.5 if "≤" in name else 2)) == shade


def test_subjects(network, spectra, plan):
    small = wb.decompose(network, plan)
    drawings = [wb.plot.network(subject) for subject in (network, spectra, plan, small)]
    graphs = [drawing.picture.nodes for drawing in drawings]
    assert graphs[1:] == graphs[:-1]
    places = [{name: block[3] for name, block in blocks(d._repr_svg_()).items()} for d in drawings]
    assert places[1:] == places[:-1]
    assert [d.picture.fills["features.3"].share < 1 for d in drawings] == [False, False, True, True]
    alone = wb.plot.network(wb.Plan.from_json(plan.to_json()))
    assert alone.picture.nodes == graphs[0]  # the network is a chain
    with pytest.raises(TypeError, match="not a Sequential"):
        wb.plot.network(nn.Sequential())
    with pytest.raises(ValueError, match="area='time'"):
        wb.plot.network(plan, area="time")


def test_a_plan_without_the_graph_is_drawn_as_a_chain(plan):
    graph = (Node("input"), Node("layer", "another", (0,)), Node("output", inputs=(1,)))
    nodes = Picture("digits", plan.layers, graph, plan.other).nodes
    assert [node.name for node in nodes] == ["", *(part.name for part in plan), ""]
    assert [node.inputs for node in nodes] == [(), *((i,) for i in range(len(nodes) - 1))]


def test_names_are_escaped_and_files_are_on_white(tmp_path):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.add_module("<b>&\"'", nn.Conv2d(1, 2, 3))

        def forward(self, x):
            return next(self.children())(x)

    drawing = wb.plot.network(wb.Network(Odd(), (1, 5, 5), name="<i>&"))
    path = drawing.save(tmp_path / "odd.svg")
    root = parsed(path.read_text(encoding="utf-8"))
    assert [g.get("data-layer") for g in root.iter(f"{SVG}g") if g.get("class") == "layer"] == ["<b>&\"'"]
    assert root.get("role") == "img"
    assert root.get("aria-label").startswith("<i>&")
    assert root.find(f"{SVG}desc").text
    assert [rect.get("fill") for rect in root.findall(f"{SVG}rect")] == ["#ffffff"]
    assert "#ffffff" not in drawing._repr_html_()


def test_names_below_do_not_overlap():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 3, 3, padding=1) for _ in range(70)]
    svg = wb.plot.network(wb.Network(nn.Sequential(*layers), (3, 6, 6)))._repr_svg_()
    (names,) = (g for g in parsed(svg).iter(f"{SVG}g") if g.get("class") == "names")
    ends = {}
    for text in names:
        x, y = float(text.get("x")), float(text.get("y"))
        assert x >= ends.get(y, 0)
        ends[y] = x + 5 * len(text.text)
    assert len(ends) > 1
