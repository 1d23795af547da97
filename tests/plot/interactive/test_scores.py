"""Trade-off and stages, the training curve and the rank curve."""

import math
from dataclasses import replace

import pytest

import workbench as wb
from workbench.inspect.rank_curve import CurvePoint
from workbench.kernels.complexity import Cost
from workbench.plan.forecast import ForecastCurve
from workbench.plan.importance import Forecast
from workbench.plot.interactive.scores import rank_curve, stages, tradeoff, training_curve
from workbench.runs.run import Stage, StageName

SCORE = wb.Score(0.9, 0.99, 100)
EPOCHS = [wb.Epoch(1, 0.5, SCORE, 1e-3, 1.0), wb.Epoch(2, 0.4, SCORE, 1e-3, 1.0)]
START = wb.Epoch(0, math.nan, wb.Score(0.5, 0.8, 100), 0.0, 0.0)


def scored(name, top1, n=50, splits=("validation", "test"), kind="accuracy"):
    return Stage(StageName(name), dict.fromkeys(splits, wb.Score(top1, 1.0, n, kind)), "about it")


ORIGINAL = scored("original", 0.99)


@pytest.fixture
def run(spectra):
    """Make a run of so many MACs (of the bundled network, which has 888,688 in its layers) with these stages."""
    plan = wb.evbmf_plan(spectra)

    def make(number, *found, macs=0):
        other = Cost(0, macs - sum(part.cost.macs for part in plan))
        return wb.Run(replace(plan, other=other), found, number=number)

    return make


def named(figure):
    return {trace.get("name", "path"): trace for trace in figure["data"]}


def test_every_stage_is_a_point(run, valid):
    first = run(1, scored("decomposed", 0.6), scored("fine-tuned", 0.98), scored("from scratch", 0.7), macs=10**6)
    second = run(2, ORIGINAL, scored("decomposed", 0.3), macs=500_000)
    earlier = [run(7, scored("calibrated", 0.7), macs=700_000)]
    figure = valid(tradeoff([first, second], ORIGINAL, earlier, dense=first.plan.dense))
    traces = named(figure)
    assert traces["original"]["x"] == [first.plan.dense.macs / 1e6]
    assert traces["decomposed"]["x"] == [1.0, 0.5]
    assert traces["fine-tuned"]["y"] == [98]
    assert traces["path"]["x"] == [1.0, 1.0, None, 0.5, None]  # without the baseline from scratch
    assert traces["path"]["y"] == [60, 98, None, 30, None]
    assert (traces["earlier runs"]["x"], traces["earlier runs"]["y"]) == ([0.7], [70])
    assert traces["Pareto front"]["y"] == [30, 70, 98, 99]
    hover = traces["fine-tuned"]["customdata"][0]
    assert hover.startswith("<b>run 1, fine-tuned</b><br>validation 98.00 % (95 %: 89.5 to 99.6) of 50 images<br>test")
    assert f"1 M multiply-adds (x{first.plan.macs_ratio:.2f} fewer)" in hover


@pytest.mark.parametrize(("kind", "lost"), [("accuracy", (0.01, 0.2)), ("agreement", (0.03, 0.3))])
def test_a_forecast_begins_at_the_original(spectra, valid, kind, lost):
    plans = tuple(wb.budget_plan(spectra, ratio) for ratio in (1.5, 3.0))
    found = tuple(Forecast(0.1, 48, 1 - same, 0.5, 1.0, less) for same, less in ((0.03, 0.01), (0.3, 0.2)))
    curve = ForecastCurve(spectra.network, plans, found)
    original = scored("original", 0.9, kind=kind)
    drawn = named(valid(tradeoff([], original, dense=spectra.total, forecast=curve)))["forecast, after calibration"]
    assert drawn["x"] == [cost / 1e6 for cost in (spectra.total.macs, *(plan.macs for plan in plans))]
    assert drawn["y"] == pytest.approx([90, *(90 - 100 * points for points in lost)])


def test_nothing_is_scored(run, valid):
    for figure in (tradeoff([], None), tradeoff([run(1)], Stage(StageName.ORIGINAL)), stages(None, None)):
        assert valid(figure)["data"] == []


def test_stages_of_one_run_are_bars_in_their_order(run, valid):
    order = {"original": 0.99, "decomposed": 0.1, "calibrated": 0.8, "fine-tuned": 0.95, "from scratch": 0.7}
    shuffled = [scored(name, order[name]) for name in ("decomposed", "fine-tuned", "from scratch", "calibrated")]
    (bars,) = valid(stages(run(2, *shuffled, macs=40), ORIGINAL))["data"]
    assert bars["x"] == [f"{name}<br><b>{100 * top1:.1f} %</b>" for name, top1 in order.items()]
    assert bars["y"] == pytest.approx([100 * top1 for top1 in order.values()])
    assert bars["error_y"]["array"][1] == pytest.approx(100 * wb.Score(0.1, 1, 50).interval[1] - 10)


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
