"""The training curve and the rank curve."""

import math
from dataclasses import replace

import pytest

import workbench as wb
from workbench.inspect.rank_curve import CurvePoint
from workbench.plot.interactive.curves import rank_curve, training_curve

SCORE = wb.Score(0.9, 0.99, 100)
EPOCHS = [wb.Epoch(1, 0.5, SCORE, 1e-3, 1.0), wb.Epoch(2, 0.4, SCORE, 1e-3, 1.0)]
START = wb.Epoch(0, math.nan, wb.Score(0.5, 0.8, 100), 0.0, 0.0)


@pytest.mark.parametrize(("epochs", "before"), [(EPOCHS, START.validation), ([START, *EPOCHS], None)])
def test_scores_in_percent_and_losses(epochs, before, valid):
    figure = valid(training_curve(epochs, before))
    accuracy, loss = figure["data"]
    assert (accuracy["x"], accuracy["y"]) == ([0, 1, 2], [50, 90, 90])
    assert (loss["x"], loss["y"]) == ([1, 2], [0.5, 0.4])
    assert accuracy["error_y"]["array"][1] == pytest.approx(100 * SCORE.interval[1] - 90)
    assert figure["layout"]["yaxis"]["title"]["text"] == "validation accuracy (%)<br>of 100 images"
    assert figure["layout"]["yaxis2"]["title"]["text"] == "training loss"


def test_rank_curve(valid):
    agreement = wb.Score(0.6, 1.0, 100, "agreement")
    points = [CurvePoint(0.1, 2, 3, 5.0, agreement, SCORE), CurvePoint(0.5, None, 9, 2.0, agreement, SCORE)]
    figure = valid(rank_curve("features.3", points))
    accuracy, same = figure["data"]
    assert accuracy["x"] == same["x"] == [3, 9]
    assert (accuracy["y"], same["y"]) == ([90, 90], [60, 60])
    assert accuracy["customdata"] == ["ranks 2 x 3", "rank 9"]
    assert accuracy["error_y"]["arrayminus"][0] == pytest.approx(90 - 100 * SCORE.interval[0])
    assert figure["layout"]["yaxis"]["title"]["text"] == "share of 100 images (%)"
    unlabelled = [replace(point, accuracy=None) for point in points]
    assert [trace["name"] for trace in valid(rank_curve("features.3", unlabelled))["data"]] == [same["name"]]
    assert valid(rank_curve("", []))["data"] == []
