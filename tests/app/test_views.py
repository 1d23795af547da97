"""Views: set a trait or call a verb and look at the widgets; set a widget and look at the model."""

import json

import ipywidgets as w
import pytest

from tests.helpers.widgets import find, html
from workbench.app.overview import card_texts
from workbench.app.session import Session
from workbench.app.steps.choose.view import choose_view
from workbench.app.steps.compare.view import gallery_view, layerwise_view, paper_view, rank_curve_view, tradeoff_view
from workbench.app.steps.look.view import look_view
from workbench.app.steps.plan.view import layer_view, plan_view
from workbench.app.steps.recover.view import recover_view
from workbench.app.steps.speed.view import speed_view
from workbench.app.steps.take_home.view import take_home_view
from workbench.app.widgets.download import Download
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.job_row import JobList, JobRow
from workbench.app.widgets.layer_table import LayerTable
from workbench.app.worker import Job, JobKind, JobState, Worker
from workbench.runs.run import StageName


def figure(view, label):
    return next(item for item in find(view, FigureView) if item.label == label)


def traces(view, label):
    return {trace.get("name", ""): trace for trace in json.loads(figure(view, label).traces)}


@pytest.fixture
def recovering(digits):
    return recover_view(digits)


@pytest.fixture
def picked(digits):
    return layer_view(digits)


def test_the_table_follows_the_plan_and_picks_both_ways(digits):
    (table,) = find(look_view(digits), LayerTable)
    assert [row["name"] for row in table.rows] == [part.name for part in digits.plan.plan]
    assert set(table.rows[0]) >= {column["key"] for column in table.columns}
    assert sum(row["share"] for row in table.rows) == pytest.approx(1, abs=0.01)
    digits.plan.choose_ranks("features.3", rank_in=3, rank_out=4)
    assert (table.rows[1]["ranks"], table.rows[1]["reason"]) == ("3 x 4", "chosen by hand")
    table.selected = "features.10"
    assert digits.look.picked == "features.10"
    digits.look.pick("classifier.2")
    assert table.selected == "classifier.2"


def test_a_point_picks_its_layer(digits):
    view = look_view(digits)
    for clicked, picked in (("features.10", "features.10"), ("features.0#2", "features.0"), ("no layer", "features.0")):
        figure(view, "Cost of each layer").picked = clicked
        assert (digits.look.picked, figure(view, "Cost of each layer").picked) == (picked, "")
    before = figure(view, "Cost of each layer").traces
    find(view, w.ToggleButtons)[0].value = "weights"
    assert figure(view, "Cost of each layer").traces != before


def test_a_slider_moves_cost_error_and_spectrum(digits, picked):
    slider, before, text = find(picked, w.IntSlider, "input rank"), digits.plan.plan["features.3"], html(picked)
    assert (slider.value, slider.max) == (14, 32)
    slider.value = 6
    after = digits.plan.plan["features.3"]
    assert (after.rank_in, after.rank_out) == (6, before.rank_out)
    assert after.cost.macs < before.cost.macs
    assert html(picked) != text
    assert "6 of 32 directions kept" in figure(picked, "Singular values").around


def test_the_spectrum_follows_the_picked_layer(digits, picked):
    digits.look.pick("features.17")
    assert find(picked, w.IntSlider, "output rank").max == 128
    digits.look.pick("classifier.2")
    assert find(picked, w.IntSlider, "input rank").disabled
    assert not digits.plan.plan.by_hand  # looking changes nothing
    digits.look.pick("features.3")
    find(picked, w.Button, "Keep layer as it is").click()
    assert digits.plan.plan["features.3"].decision == "keep"
    find(picked, w.IntSlider, "output rank").value = 5
    part = digits.plan.plan["features.3"]
    assert (part.decision, part.rank_in, part.rank_out) == ("tucker2", 14, 5)
    find(picked, w.Button, "EVBMF ranks").click()
    assert not digits.plan.plan.by_hand


@pytest.mark.parametrize(
    ("planner", "shown"),
    [
        ("evbmf", {"EVBMF strength"}),
        ("budget", {"fewer MACs, times", "fewer weights, times", "Ranks", "Measure layers"}),
        ("time", {"times as fast", "Ranks", "Time layers", "Measure layers"}),
    ],
)
def test_each_planner_has_its_settings(digits, planner, shown):
    view = plan_view(digits)
    find(view, w.Dropdown, "Ranks by").value = planner
    assert digits.plan.settings.planner == planner
    boxes = [b for b in find(view, (w.FloatSlider, w.Dropdown, w.Button)) if b.description not in ("", "Cancel")]
    visible = {b.description for b in boxes if b.layout.display != "none"}
    assert visible == shown | {"Ranks by", "Layers", "Reset plan"}


def test_settings_go_both_ways_and_are_undone(digits):
    view = plan_view(digits)
    find(view, w.Dropdown, "Ranks by").value = "budget"
    slider = find(view, w.FloatSlider, "fewer MACs, times")
    slider.value = 3.0
    assert digits.plan.plan.macs_ratio >= 3.0
    digits.undo()
    assert slider.value == digits.plan.settings["macs_ratio"]
    digits.plan.replan(macs_ratio=4.0)
    assert slider.value == 4.0
    find(view, w.Button, "Measure layers").click()
    assert digits.plan.importance is not None
    assert find(view, w.Button, "Measure layers").disabled


def test_cards_show_original_planned_and_measured(digits):
    weights, macs, accuracy = card_texts(digits)
    assert "560 k" in weights
    assert "x6.23 fewer" in weights
    assert macs.count("x5.25 fewer") == 1
    for text in ("99.4 %", "on 500", "after Compress"):
        assert text in accuracy
    digits.recover.decompose()
    _, macs, accuracy = card_texts(digits)
    assert macs.count("x5.25 fewer") == 2
    assert "points" in accuracy
    assert "decomposed" in accuracy


def test_recovery_step_by_step(digits, recovering):
    buttons = {
        name: find(recovering, w.Button, name) for name in ("Compress", "Calibrate", "Fine-tune", "From scratch")
    }
    assert [button.disabled for button in buttons.values()] == [False, True, True, True]
    compare = tradeoff_view(digits)
    buttons["Compress"].click()
    assert not any(button.disabled for button in buttons.values())
    assert traces(compare, "Accuracy against FLOPs")["decomposed"]["x"] == [digits.plan.plan.macs / 1e6]
    find(recovering, w.IntText, "epochs").value = 1
    find(recovering, w.Dropdown, "learn from").value = "original"
    assert buttons["From scratch"].disabled
    buttons["Fine-tune"].click()
    assert digits.recover.run.last.name == StageName.DISTILLED
    find(recovering, w.Dropdown, "learn from").value = "both"
    buttons["Fine-tune"].click()
    assert digits.recover.run.last.name == StageName.FINE_TUNED
    assert json.loads(figure(recovering, "Fine-tuning").traces)[0]["x"] == [0, 1]
    digits.plan.choose_ranks("features.3", rank_in=3)
    assert "The plan has changed" in html(recovering)


def test_a_number_that_cannot_be_is_not_taken(recovering):
    epochs = find(recovering, w.IntText, "epochs")
    epochs.value = -3
    assert epochs.value == 10
    assert "not -3" in epochs.words.value
    epochs.value = 7
    assert (epochs.value, epochs.words.value) == (7, "")


def test_images_filters_and_curves(digits):
    gallery = gallery_view(digits)
    first = html(gallery)
    assert first.count("<img") == 12
    find(gallery, w.Button, "Other images").click()
    assert html(gallery) != first
    digits.recover.decompose()
    assert "filters of features.0" in html(gallery)
    assert html(gallery).count("<img") == 14
    curve = rank_curve_view(digits)
    find(curve, w.Button, "Try ranks of features.3").click()
    drawn = json.loads(figure(curve, "Accuracy against rank").traces)
    assert drawn[0]["x"] == [point.rank_out for point in digits.rank_curve.points]


def test_the_layerwise_and_the_papers_table(digits):
    layers = layerwise_view(digits)
    digits.plan.choose_ranks("features.3", rank_in=7, rank_out=9)
    assert "7, 9" in layers.value
    view = paper_view(digits)
    box = find(view, w.Checkbox, "with fully connected layers")
    find(view, w.Dropdown, "Compressed layers").value = "default"
    assert box.value
    find(view, w.Button, "Compute the table").click()
    for text in ("61.0 M", "724 M", "(p)", "published", "digits_vgg *"):
        assert text in html(view)


def test_files_are_made_and_offered(digits):
    view = take_home_view(digits)
    make = find(view, w.Button, "Make .zip")
    assert make.disabled
    digits.recover.decompose()
    make.click()
    sizes = [saver.size for saver in find(view, Download)]
    assert [size > 0 for size in sizes] == [False, False, True, False]
    assert digits.take_home.file("weights").words in html(view)
    digits.recover.calibrate()
    assert not any(saver.size for saver in find(view, Download))


def test_speed_is_measured_with_the_settings_of_the_page(digits, monkeypatch):
    view = speed_view(digits)
    assert find(view, w.Button, "Measure").disabled
    digits.recover.decompose()
    find(view, w.SelectMultiple, "runtimes").value = ("eager",)
    find(view, w.IntText, "images at once").value = 2
    assert (digits.speed.runtimes, digits.speed.batch) == (("eager",), 2)
    assert not find(view, w.Button, "Measure").disabled


def test_before_anything_is_open():
    s = Session()
    assert "Pick a layer" in html(layer_view(s))
    assert "The network is being opened" in html(recover_view(s))
    assert "&ndash;" in card_texts(s)[0]
    assert find(look_view(s), LayerTable)[0].rows == []
    assert "No network is open" in layerwise_view(s).value
    assert find(choose_view(s), w.Dropdown, "Network").value == "digits_vgg"


@pytest.fixture
def worker():
    return Worker()


def job(worker, kind=JobKind.SPEED, title="Timing", **more):
    made = Job(worker, kind, title, **more)
    worker.jobs = (*worker.jobs, made)
    return made


def shown(view, name):
    button = find(view, w.Button, name)
    return button.layout.visibility == "visible"


def test_a_row_shows_its_own_jobs_and_what_became_of_them(worker):
    row, other = JobRow(worker, JobKind.SPEED, idle="Ready"), JobRow(worker, JobKind.EXPORT)
    assert "Ready" in html(row)
    made = job(worker)
    assert "Timing</b>: waits" in html(row)
    assert shown(row, "Take back")
    made.state, made.progress, made.note, made.remaining_s = JobState.RUNNING, 0.4, "layer 2", 70
    made.note = "layer 3"
    assert "layer 3 <small>(about 1 min 10 s left)" in html(row)
    assert find(row, w.FloatProgress)[0].value == 0.4
    find(row, w.Button, "Cancel").click()
    assert made.cancelled
    made.error, made.state, worker.jobs = "<script>alert(1)</script>", JobState.FAILED, ()
    assert "&lt;script&gt;" in html(row)
    assert not shown(row, "Cancel")
    assert "Timing" not in html(other)
    row.clear()
    assert "script" not in html(row)


def test_the_list_shows_what_runs_and_takes_back_what_waits(worker):
    jobs = JobList(worker, kept=JobKind.AUTOMATIC)
    first, second = job(worker, JobKind.AUTOMATIC, "Compressing"), job(worker, JobKind.EXPORT, "Making .zip")
    job(worker, JobKind.GALLERY, "Looking", short=True)
    first.state = JobState.RUNNING
    assert [b.description for b in find(jobs, w.Button)] == ["Cancel", "Take back"]
    assert "Looking" not in html(jobs)
    find(jobs, w.Button, "Take back").click()
    assert second.cancelled
    first.state, first.note, worker.jobs = JobState.DONE, "done after 3 s", ()
    assert "done after 3 s" in html(jobs)
    job(worker, JobKind.EXPORT, "Making .pte")
    worker.jobs = ()
    assert "Making" not in html(jobs)
