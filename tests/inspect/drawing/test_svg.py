"""Drawings, read back from their SVG."""

import re
from collections import OrderedDict
from xml.etree import ElementTree

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.inspect.drawing.fills import COLORS, ERROR, IMPORTANCE, SNR, UNCHANGED, fills

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


def test_colours_are_errors_importance_or_noise(network, plan, small, data):
    images = data.validation.sample(48)
    importance, compared = wb.importance(network, plan.spectra, images), wb.compare(small, images)
    plan = plan.keep("features.7")
    error = {part.name: part.error for part in plan if part.decision != "keep"}
    lost = {p.name: importance.lost[p.name][p.rank_out, p.rank_in or -1] for p in plan if p.rank_out is not None}
    noise = {layer.name: layer.snr_db for layer in compared.layers}
    for measured, scale, values in ((None, ERROR, error), (importance, IMPORTANCE, lost), (compared, SNR, noise)):
        shades = {name: fill.shade for name, fill in fills(plan, measured).items()}
        assert {name: shades[name] for name in values} == {name: scale.shade(v) for name, v in values.items()}
    assert fills(plan)["features.7"].shade == UNCHANGED
    assert blocks(wb.plot.network(plan)._repr_svg_())["features.7"][2] == COLORS[UNCHANGED]


@pytest.mark.parametrize(
    ("scale", "value", "shade", "name"),
    [
        (ERROR, 0.1, 0, "≤ 20 %"),
        (ERROR, 0.4, 2, "35–50"),
        (ERROR, 0.9, 4, "> 70 %"),
        (IMPORTANCE, 0.05, 3, "1–10"),
        (SNR, 30.0, 0, "> 25 dB"),
        (SNR, 12.0, 2, "10–15"),
        (SNR, -200.0, 4, "≤ 5 dB"),
    ],
)
def test_the_legend_says_what_a_shade_means(scale, value, shade, name):
    assert (scale.shade(value), scale.names[shade]) == (shade, name)


def test_importance_of_a_single_output_is_that_of_keeping_it(generator):
    layers = nn.Conv2d(3, 16, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 1)
    head = wb.Network(nn.Sequential(*layers), (3, 8, 8))
    measured = wb.importance(head, wb.analyze(head, cached=False), torch.rand(16, 3, 8, 8, generator=generator))
    assert wb.plot.network(head, measured).fills["3"].shade == 0


def test_subjects(network, spectra, plan, small):
    drawings = [wb.plot.network(subject) for subject in (network, spectra, plan, small)]
    graphs = [drawing.nodes for drawing in drawings]
    assert graphs[1:] == graphs[:-1]
    places = [{name: block[3] for name, block in blocks(d._repr_svg_()).items()} for d in drawings]
    assert places[1:] == places[:-1]
    assert [d.fills["features.3"].share < 1 for d in drawings] == [False, False, True, True]
    alone = wb.plot.network(wb.Plan.from_json(plan.to_json()))
    assert alone.nodes == graphs[0]  # the network is a chain
    nothing = wb.evbmf_plan(wb.analyze(wb.Network(nn.Sequential(nn.ReLU()), (3, 8, 8))))
    assert blocks(wb.plot.network(wb.Plan.from_json(nothing.to_json()))._repr_svg_()) == {}
    with pytest.raises(TypeError, match="not a Sequential"):
        wb.plot.network(nn.Sequential())
    with pytest.raises(TypeError, match="not a Spectra"):
        wb.plot.network(plan, spectra)
    with pytest.raises(ValueError, match="area='time'"):
        wb.plot.network(plan, area="time")


def test_names_are_escaped_and_files_are_on_white(tmp_path):
    odd = nn.Sequential(OrderedDict({"<b>&\"'": nn.Conv2d(1, 2, 3)}))
    drawing = wb.plot.network(wb.Network(odd, (1, 5, 5), name="<i>&"))
    path = drawing.save(tmp_path / "odd.svg")
    root = parsed(path.read_text(encoding="utf-8"))
    assert [g.get("data-layer") for g in root.iter(f"{SVG}g") if g.get("class") == "layer"] == ["<b>&\"'"]
    assert root.get("role") == "img"
    assert root.get("aria-label").startswith("<i>&")
    assert root.find(f"{SVG}desc").text
    assert [rect.get("fill") for rect in root.findall(f"{SVG}rect")] == ["#ffffff"]
    assert "#ffffff" not in drawing._repr_html_()
