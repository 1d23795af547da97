"""Views: set a trait or call a verb and look at the widgets; set a widget and look at the model."""

import json
import re
from dataclasses import replace
from html import escape

import ipywidgets as w
import nbformat
import pytest
from torch import nn

import workbench as wb
from tests.app.conftest import small_session
from tests.helpers.sessions import unlabelled_data
from tests.helpers.widgets import find, html
from workbench.app.overview import tile_texts, verdict_text
from workbench.app.steps.compare.view import gallery_view, run_row, tradeoff_view
from workbench.app.steps.look.view import look_view
from workbench.app.steps.plan.view import layer_view, plan_view
from workbench.app.steps.recover.view import recover_view, recovery_status
from workbench.app.steps.speed.view import speed_view
from workbench.app.steps.take_home.view import take_home_view
from workbench.app.top_bar import step_statuses
from workbench.app.widgets.download import Download
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.job_row import JobList
from workbench.app.widgets.layer_table import LayerTable
from workbench.app.widgets.network_graph import NetworkGraph
from workbench.app.worker import Job, JobKind, JobState, Worker
from workbench.network.verdict import Finding
from workbench.runs.scoring import judgement


def figure(view, label):
    return next(item for item in find(view, FigureView) if item.label == label)


def test_the_table_and_both_drawings_pick_a_layer(digits):
    view, (other,) = look_view(digits), find(plan_view(digits), NetworkGraph)
    (table,), (graph,) = find(view, LayerTable), find(view, NetworkGraph)
    assert [row["name"] for row in table.rows] == [part.name for part in digits.plan.plan]
    assert set(table.rows[0]) >= {column["key"] for column in table.columns}
    assert sum(row["share"] for row in table.rows) == pytest.approx(1, abs=0.01)
    digits.plan.choose_ranks("features.3", rank_in=3, rank_out=4)
    assert (table.rows[1]["ranks"], table.rows[1]["reason"]) == ("3 x 4", "chosen by hand")
    picks = ((table, "features.10"), (graph, "features.7"), (other, "features.0"))
    for widget, name in picks:
        widget.selected = name
        assert [digits.look.picked, *(each.selected for each, _ in picks)] == [name] * 4


def test_points_of_a_figure_pick_a_layer(digits):
    points = figure(speed_view(digits), "Time of each layer")
    for clicked, picked in (("features.10", "features.10"), ("features.0#2", "features.0"), ("no layer", "features.0")):
        points.picked = clicked
        assert (digits.look.picked, points.picked) == (picked, "")


def test_sliders_move_cost_error_and_spectrum_of_the_picked_layer(digits):
    view, plan = layer_view(digits), digits.plan
    rank_in, rank_out = (find(view, w.IntSlider, f"{side}put rank") for side in ("in", "out"))
    before, text = plan.plan["features.3"], html(view)
    assert (rank_in.value, rank_in.max) == (14, 32)
    rank_in.value = 6
    after = plan.plan["features.3"]
    assert (after.rank_in, after.rank_out) == (6, before.rank_out)
    assert html(view) != text
    assert "6 of 32 directions kept" in figure(view, "Singular values").around
    choice = next(box for box in find(view, w.ToggleButtons) if "Its factors" in box.options)
    choice.value = "Its factors"
    texts = json.loads(figure(view, "Its factors").around)["annotations"]
    assert {"<b>rank_in = 6</b>", f"<b>rank_out = {before.rank_out}</b>"} <= {text["text"] for text in texts}
    digits.preview.active = True
    choice.value = "On the picture"
    assert html(view).count("<img") == 16
    find(view, w.Button, "EVBMF ranks").click()
    digits.look.pick("features.17")
    assert rank_out.max == 128
    digits.look.pick("classifier.2")
    assert (rank_in.disabled, plan.plan.by_hand) == (True, ())  # looking changes nothing
    digits.look.pick("features.3")
    find(view, w.Button, "Keep layer as it is").click()
    rank_out.value = 5
    after = plan.plan["features.3"]
    assert (after.decision, after.rank_in, after.rank_out) == ("tucker2", 14, 5)


def test_settings_go_both_ways_and_are_undone(session):
    view, plan = plan_view(session), session.plan
    find(view, w.Dropdown, "Ranks by").value = "budget"
    slider = find(view, w.FloatSlider, "fewer MACs, times")
    slider.value = 1.5
    assert plan.plan.macs_ratio >= 1.5
    session.undo()
    assert slider.value == plan.settings["macs_ratio"] == 2.0
    plan.replan(macs_ratio=40.0)  # more than the slider can have is left as it is
    assert (slider.value, plan.settings["macs_ratio"]) == (slider.max, 40.0)
    plan.replan(macs_ratio=1.523)
    slider.value = 1.5  # as the page sends it back, rounded
    assert plan.settings["macs_ratio"] == 1.523
    plan.replan(macs_ratio=1.5)
    measure = find(view, w.Button, "Measure layers")
    measure.click()
    assert (plan.importance.images, measure.disabled) == (24, True)
    assert "outputs" in plan.plan.policy
    session.undo()
    assert "outputs" not in plan.plan.policy
    for multiple in (4, 8):  # in code any
        plan.replan(rank_multiple=multiple)
        assert find(view, w.Dropdown, "Ranks").value == multiple


def test_tiles_show_original_planned_and_measured(digits):
    found = tile_texts(digits)
    for text, name in (("560 k", "size"), ("x6.23 smaller", "size"), ("99.4 %", "score"), ("on 500", "score")):
        assert text in found[name]
    assert "x5.25 fewer" in found["work"]
    plan = digits.plan.plan
    assert f"width:{100 * plan.macs / plan.dense.macs:.1f}%" in found["work"]  # the bar is drawn to scale
    assert [name for name, text in found.items() if "wb-none" in text] == ["time", "energy"]
    assert verdict_text(digits).startswith("The plan: 5.2 times less work, 6.2 times smaller")
    digits.recover.decompose()
    assert "decomposed" in tile_texts(digits)["work"]
    assert re.search(" points.*decomposed", tile_texts(digits)["score"])
    lost = digits.recover.run.verdict("test").lost  # as in the tile
    assert f"{-100 * lost:+.1f} points" in tile_texts(digits)["score"]
    assert verdict_text(digits).endswith(f"{100 * lost:.1f} points less accurate on 500 images.")
    digits.plan.keep_layer("features.3")  # now the plan is what the tiles show
    assert "decomposed" not in "".join(tile_texts(digits).values())


def test_what_is_said_of_a_loss_is_the_verdict(digits):
    digits.recover.decompose()
    assert digits.recover.run.verdict().finding is Finding.LOSS
    assert "Press Calibrate" in recovery_status(digits)[1]
    assert " points lost (between " in step_statuses(digits)[3]["words"]
    assert "wb-loss" in tile_texts(digits)["score"]
    digits.recover.calibrate()
    run, data = digits.recover.run, digits.choose.data
    before, after = (wb.score(network, data.validation) for network in (digits.choose.network, run.network))
    verdict = replace(after.verdict(before), split="validation")
    assert run.verdict() == verdict
    assert str(verdict).endswith("on 297 validation images)")
    assert f"{before.shown:.1f} → {after.shown:.1f} % right; {judgement(run)}" in step_statuses(digits)[3]["words"]
    assert judgement(run) in recovery_status(digits)[1]
    assert str(run.verdict("test")) in tile_texts(digits)["score"]
    ended = verdict_text(digits)
    job(digits.worker, JobKind.AUTOMATIC)
    assert verdict_text(digits) == f"So far: {ended}"


def test_without_labels_agreement_is_what_is_shown_and_judged():
    session = small_session(data=unlabelled_data(), opened=True)
    session.plan.replan(planner="budget", macs_ratio=1.5)
    session.recover.decompose()
    score, card = session.recover.run.score(), tile_texts(session)["score"]
    assert score == wb.score(session.recover.compressed, session.choose.data.validation)
    for text in (">Agreement</abbr>", "on 15 validation images", "100.0 %", f"{score.shown:.1f} %"):
        assert text in card
    session.recover.calibrate()
    assert " of the answers changed" in recovery_status(session)[1]
    assert session.recover.sweep([1.3], "none").error == ""
    assert run_row(session.recover.runs[-1])["decomposed"].splitlines()[1].startswith("same, ")


def test_recovery_step_by_step_is_one_run(session):
    session.plan.replan(planner="budget", macs_ratio=1.5)
    view, compare, recover = recover_view(session), tradeoff_view(session), session.recover
    buttons = [find(view, w.Button, name) for name in ("Compress", "Calibrate", "Fine-tune", "From scratch")]
    compress, calibrate, tune, scratch = buttons
    learn_from = find(view, w.Dropdown, "learn from")
    assert [button.disabled for button in buttons] == [False, True, True, True]
    compress.click()
    assert not any(button.disabled for button in buttons)
    drawn = {trace.get("name"): trace for trace in json.loads(figure(compare, "Accuracy against FLOPs").traces)}
    assert drawn["decomposed"]["x"] == [session.plan.plan.macs / 1e6]
    calibrate.click()
    find(view, w.IntText, "epochs").value = 1
    for taught, stage, without in (("original", "distilled", True), ("both", "fine-tuned", False)):
        learn_from.value = taught
        tune.click()
        assert (recover.run.last.name, scratch.disabled) == (stage, without)
    assert json.loads(figure(view, "Fine-tuning").traces)[0]["x"] == [0, 1]
    scratch.click()
    stages = ("original", "decomposed", "calibrated", "distilled", "fine-tuned", "from scratch")
    run, stored = recover.run, recover.stored[0]
    assert tuple(stage.name for stage in run.stages) == stages
    assert (run.number, run.last.name, len(recover.runs)) == (1, "fine-tuned", 1)
    assert (recover.as_planned, recover.training) == (True, {})
    assert {s.name: s.scores for s in stored.stages} == {s.name: s.scores for s in run.stages}
    calibrate.click()  # again: it is the last stage, also of the stored run
    assert recover.stored[0].last.name == recover.run.last.name == "calibrated"
    session.plan.choose_ranks("3", rank_in=3)
    assert "You changed the plan after run 1" in html(view)


def test_files_are_made_and_offered_and_go_with_their_network(session):
    view, take_home = take_home_view(session), session.take_home
    makes = [find(view, w.Button, f"Make {suffix}") for suffix in (".zip", ".html", ".ipynb")]
    savers = find(view, Download)
    assert makes[0].disabled
    session.recover.decompose()
    for make in makes:
        make.click()
    assert [saver.size > 0 for saver in savers] == [False] * 4 + [True] * 3
    assert take_home.made["weights"].words in html(view)
    assert nbformat.read(take_home.made["notebook"].path, as_version=4).cells[-1].cell_type == "code"
    assert "load(original)" in html(view)
    assert take_home.made["report"].path.name == savers[5].name == "small-run1-decomposed.html"
    session.recover.calibrate()
    assert (take_home.made, sum(saver.size for saver in savers)) == ({}, 0)
    assert [*take_home._folder.iterdir()] == []


def job(worker, kind):
    made = Job(worker, kind, "Timing")
    worker.jobs = (*worker.jobs, made)
    return made


def test_the_list_shows_how_far_a_job_is_and_what_became_of_it():
    worker = Worker()
    jobs = JobList(worker)
    assert "Ready" in html(jobs)
    made, (stop,) = job(worker, JobKind.SPEED), find(jobs, w.Button)
    assert "Timing</b>: waits" in html(jobs)
    assert (stop.description, stop.layout.visibility) == ("Take back", "visible")
    made.state, made.progress, made.note, made.remaining_s = JobState.RUNNING, 0.4, "layer 2", 70
    made.note = "layer 3"
    assert "layer 3 <small>(about 1 min 10 s left)" in html(jobs)
    assert find(jobs, w.FloatProgress)[0].value == 0.4
    assert stop.description == "Cancel"
    stop.click()
    made.error, made.state, worker.jobs = "<script>alert(1)</script>", JobState.FAILED, ()
    assert "&lt;script&gt;" in html(jobs)
    assert (made.cancelled, stop.layout.visibility) == (True, "hidden")


def test_a_short_job_that_failed_is_listed_until_the_next_long_one():
    worker = Worker()
    jobs = JobList(worker)
    worker.submit(JobKind.EXPORT, "Exporting", str)
    worker.submit(JobKind.GALLERY, "Looking", lambda job: {}["x"], short=True)
    worker.submit(JobKind.PREVIEW, "Previewing", str, short=True)
    assert ["Exporting</b>: done" in html(jobs), "Looking</b>: stopped" in html(jobs)] == [True, True]
    worker.submit(JobKind.EXPORT, "Exporting", str)
    assert ["Exporting</b>: done" in html(jobs), "Looking" in html(jobs)] == [True, False]


def test_images_of_a_segmentation_network_say_why_there_are_none_and_its_filters_are_shown():
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))
    session = small_session(model, unlabelled_data(), opened=True)
    view, gallery = gallery_view(session), session.gallery
    session.recover.decompose()
    assert (gallery.gallery, gallery.filters.layer) == (None, "0")
    assert gallery.why_no_gallery
    assert escape(gallery.why_no_gallery) in html(view)


def test_a_forecast_is_drawn_once_it_is_asked_for(digits):
    view = tradeoff_view(digits)
    ask, plan = find(view, w.Button, "Forecast"), digits.plan.plan
    assert "forecast" not in figure(view, "Accuracy against FLOPs").traces
    ask.click()
    assert digits.plan.curve.forecasts[0].agreement > digits.plan.curve.forecasts[-1].lost
    drawn = {t.get("name"): t for t in json.loads(figure(view, "Accuracy against FLOPs").traces)}
    assert len(drawn["forecast, after calibration"]["x"]) == 1 + len(digits.plan.curve.plans)
    assert (ask.layout.display, digits.plan.plan, digits.plan.undoable) == ("none", plan, "")
    digits.choose.data = replace(digits.choose.data, name="others")
    assert (digits.plan.curve, digits.plan.measured) == (None, None)
    digits.choose.open(weights="random")
    assert (digits.plan.curve, ask.layout.display) == (None, "none")


@pytest.mark.parametrize(
    ("planner", "shown"),
    [
        ("evbmf", {"EVBMF strength"}),
        ("budget", {"fewer MACs, times", "fewer weights, times", "Ranks", "Measure layers"}),
        ("time", {"times as fast", "Ranks", "Time layers", "Measure layers"}),
    ],
)
def test_each_planner_has_its_settings(session, planner, shown):
    view = plan_view(session)
    find(view, w.Dropdown, "Ranks by").value = planner
    assert session.plan.settings.planner == planner
    boxes = [
        b for b in find(view, (w.FloatSlider, w.Dropdown, w.Button)) if not b.description.startswith(("Undo", "Redo"))
    ]
    visible = {b.description for b in boxes if b.description and b.layout.display != "none"}
    assert visible - {"‹", "›", "Other answer"} == shown | {"Ranks by", "Layers", "Reset plan"}
