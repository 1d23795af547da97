from dataclasses import replace

import pytest

import workbench as wb
from workbench.kernels.complexity import Cost
from workbench.plan.forecast import ForecastCurve
from workbench.plan.importance import Forecast
from workbench.plot.interactive.tradeoff import stages, tradeoff
from workbench.runs.run import Stage, StageName


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


@pytest.mark.parametrize(
    ("original", "options", "title"),
    [
        (scored("original", 0.5, splits=("test",)), {}, "test accuracy (%)<br>of 50 images"),
        (scored("original", 0.5, kind="agreement"), {}, "validation same answers (%)<br>of 50 images"),
        (ORIGINAL, {"random_weights": True}, "validation accuracy (%)<br>of 50 images, random weights"),
    ],
)
def test_the_axis_says_what_was_scored(original, options, title, valid):
    figure = valid(tradeoff([], original, dense=Cost(1, 2), **options))
    assert figure["layout"]["yaxis"]["title"]["text"] == title


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
