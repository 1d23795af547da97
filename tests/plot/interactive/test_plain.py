"""What plotly.py makes of the same words is the oracle."""

import json

import pytest
from plotly.io.json import to_json_plotly

import workbench as wb
from workbench.app.results import Result
from workbench.kernels.complexity import Cost
from workbench.plot.interactive.base import curve_figure, fill_curve, fill_spectrum, spectrum_figure
from workbench.plot.interactive.layers import fill_glance, glance_figure
from workbench.plot.interactive.plain import Plain, PlainFigure
from workbench.plot.interactive.tradeoff import fill_stages, fill_tradeoff, stages_figure, tradeoff_figure

SCORE = wb.Accuracy(90.0, 99.0, 100)
EPOCHS = [wb.Epoch(1, 0.5, SCORE, 1e-3, 1.0), wb.Epoch(2, 0.4, SCORE, 1e-3, 1.0)]
RESULTS = [
    Result(0, "original", Cost(2, 4_000_000), SCORE, SCORE, ""),
    Result(1, "decomposed", Cost(1, 1_000_000), SCORE, SCORE, "about it"),
]


def without_nothing(value):
    """All that says something: no empty dictionaries, lists and None."""
    if isinstance(value, dict):
        cleaned = {key: without_nothing(one) for key, one in value.items() if key != "template"}
        return {key: one for key, one in cleaned.items() if one not in ({}, [], None)}
    return [without_nothing(one) for one in value] if isinstance(value, list) else value


@pytest.fixture(params=["spectrum", "curve", "no curve", "glance", "tradeoff", "stages", "no stages"])
def filled(request, spectra, plan):
    """(empty figure, function that fills it twice)."""

    def twice(fill, *calls):
        def fill_both(figure):
            for arguments in calls:
                fill(figure, *arguments)

        return fill_both

    one, two = plan["features.3"], plan.keep("classifier.2")["classifier.2"]
    return {
        "spectrum": (
            spectrum_figure(),
            twice(fill_spectrum, (spectra["classifier.2"], two), (spectra["features.3"], one)),
        ),
        "curve": (curve_figure(), twice(fill_curve, ([],), (EPOCHS, SCORE))),
        "no curve": (curve_figure(), twice(fill_curve, (EPOCHS, SCORE), ([],))),
        "glance": (glance_figure(), twice(fill_glance, (None, "", "macs"), (plan, "features.3", "weights"))),
        "tradeoff": (tradeoff_figure(), twice(fill_tradeoff, ([],), (RESULTS, RESULTS))),
        "stages": (stages_figure(), twice(fill_stages, ([], None), (RESULTS, 1))),
        "no stages": (stages_figure(), twice(fill_stages, (RESULTS, 1), ([], None))),
    }[request.param]


def test_it_says_what_the_figure_would_say(filled):
    figure, fill = filled
    plain = PlainFigure(figure)
    fill(plain)
    fill(figure)
    found = json.loads(to_json_plotly(plain.parts))
    assert without_nothing(found) == without_nothing(json.loads(figure.to_json()))
    assert "template" not in found["layout"]


def test_it_leaves_the_figure_alone(spectra, plan):
    figure = spectrum_figure()
    before = figure.to_json()
    fill_spectrum(PlainFigure(figure), spectra["features.3"], plan["features.3"])
    assert figure.to_json() == before


def test_what_is_not_there_is_made_and_none_takes_away():
    inside = {"data": [{"x": [1]}, {"x": [2]}]}
    plain = Plain(inside)
    plain.layout.title.text = "a"
    plain.data[1].x = [3]
    assert inside == {"data": [{"x": [1]}, {"x": [3]}], "layout": {"title": {"text": "a"}}}
    plain.layout["title"] = None
    assert inside["layout"] == {}
