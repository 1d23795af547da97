"""Runs are kept as they are made, are there in another session, and can be gone on with."""

import base64
import csv
import io
import json
from dataclasses import replace

import ipywidgets as w
import pytest
import torch
from workbench.app.history import runs_file
from workbench.app.state import State

import workbench as wb
from tests.app.test_panels import find, html
from tests.app.test_state import done
from workbench.app.steps.compare.runs_view import budgets, runs_panel
from workbench.app.steps.compare.view import tradeoff_panel
from workbench.app.widgets.layer_table import LayerTable
from workbench.runs.store import RunStore


def opened(**changes):
    state = State()
    done(state, state.open(**changes))
    assert state.job.error == ""
    return state


def test_every_stage_is_in_the_store_at_once(state):
    done(state, state.compress())
    (run,) = RunStore(runs_file()).list()
    assert (run.network, run.data) == ("digits_vgg", "digits")
    assert {s.name for s in run.stages} == {"original", "decomposed"}
    assert run.accuracy("test").top1 == state.latest.test.top1
    done(state, state.calibrate())
    done(state, state.from_scratch(epochs=1))
    (run,) = RunStore(runs_file()).list()
    assert [s.name for s in run.stages if s.split == "validation"] == [
        *("original", "decomposed", "calibrated", "from scratch")
    ]
    again = RunStore(runs_file()).load(run, state.network)
    expected, found = state.smaller.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)  # the calibrated one, not the baseline


def test_another_session_finds_them_and_goes_on(state, data):
    done(state, state.compress())
    done(state, state.calibrate())
    calibrated = state.latest
    other = opened()
    assert [r.number for r in other.runs] == [calibrated.number]
    assert other.latest is None
    panel = runs_panel(other)
    table = find_table(panel)
    low, high = calibrated.validation.interval
    score = f"{calibrated.validation.top1:.1f} %\n{low:.1f} to {high:.1f} % (297)"
    assert table.rows[0]["calibrated"] == score
    assert json.loads(tradeoff_panel(other).traces)[1]["x"] == [calibrated.cost.macs / 1e6]
    resume = find(panel, w.Button, "Go on with this run")
    assert resume.disabled
    table.selected = str(calibrated.number)
    resume.click()
    done(other)
    assert other.job.error == ""
    assert other.latest.stage == "calibrated"
    assert other.latest.validation == calibrated.validation
    assert other.compressed_as_planned
    assert wb.accuracy(other.smaller, data.test) == calibrated.test
    done(other, other.finetune(epochs=1))
    assert other.latest.number == calibrated.number
    done(other, other.compress())
    assert other.latest.number == calibrated.number + 1


def test_the_settings_come_back_with_the_run(state):
    state.replan(planner="budget", layers="all", macs_ratio=4.0, rank_multiple=4)
    done(state, state.compress())
    budgeted = state.plan
    state.replan(planner="evbmf", layers="default")
    done(state, state.compress())
    evbmf = state.plan
    done(state, state.resume(1))
    assert state.job.error == ""
    assert (state.planning.planner, state.planning.layers, state.planning.macs_ratio) == ("budget", "all", 4.0)
    assert state.planning.rank_multiple == 4
    assert [(p.name, p.rank_out) for p in state.plan] == [(p.name, p.rank_out) for p in budgeted]
    assert state.compressed_as_planned
    assert state.undoable == "the plan of run 1"
    state.undo()
    assert state.plan == evbmf
    assert state.planning.planner == "evbmf"


def find_table(panel):
    return next(child for child in panel.children if isinstance(child, LayerTable))


def test_runs_of_other_weights_are_other_runs(state):
    done(state, state.compress())
    assert opened(weights="random").runs == ()
    assert len(opened().runs) == 1


def test_deleting_and_downloading(state):
    panel = runs_panel(state)
    assert "still there after reopening" in html(panel)
    done(state, state.compress())
    done(state, state.compress())
    table = find_table(panel)
    assert [line["number"] for line in table.rows] == [2, 1]
    link = html(panel).partition("base64,")[2].partition("'")[0]
    lines = list(csv.DictReader(io.StringIO(base64.b64decode(link).decode())))
    assert [line["run"] for line in lines] == ["1", "2"]
    assert float(lines[0]["decomposed validation top1"]) == pytest.approx(state.latest.validation.top1)
    table.selected = "1"
    delete = find(panel, w.Button, "Delete")
    delete.click()
    assert delete.description == "Really delete run 1?"
    table.selected = "2"  # somebody thinks better of it
    assert delete.description == "Delete"
    delete.click()
    table.selected = "1"
    delete.click()
    assert [run.number for run in state.runs] == [1, 2]
    delete.click()
    assert delete.description == "Delete"
    assert [run.number for run in state.runs] == [2]
    assert table.selected == ""
    assert len(RunStore(runs_file())) == 1


def test_a_store_that_cannot_be_used_is_a_sentence_and_work_goes_on(state, monkeypatch, tmp_path):
    broken = tmp_path / "runs.sqlite"
    broken.write_bytes(b"no database at all")
    monkeypatch.setenv("WORKBENCH_RUNS", str(broken))
    other = opened()
    assert "left as it is" in other.unkept
    assert "left as it is" in html(runs_panel(other))
    done(other, other.compress())
    done(other, other.calibrate())
    assert other.job.error == ""
    assert other.latest.stage == "calibrated"
    assert broken.read_bytes() == b"no database at all"


def test_a_sweep_puts_its_points_on_the_plot_as_they_come(state):
    seen = []
    state.observe(lambda change: seen.append(len(change["new"])), ["results"])
    assert state.sweep([2.0, 4.0, 500.0], "calibrate")
    done(state)
    assert "out of reach" in state.job.error  # of the third; the others are there
    assert [(r.number, r.stage) for r in state.results[1:]] == [
        *((1, "decomposed"), (1, "calibrated"), (2, "decomposed"), (2, "calibrated"))
    ]
    assert seen == [3, 5]
    assert state.results[0].cost.macs / state.results[1].cost.macs >= 2.0
    assert state.results[0].cost.macs / state.results[3].cost.macs >= 4.0
    assert state.latest is None  # nothing is worked on until a run is picked
    assert len(state.runs) == 2


@pytest.mark.slow
def test_a_sweep_with_fine_tuning_from_the_panel(network, data):
    few = wb.Split(data.train.images[:100], data.train.labels[:100], "train")
    state = State(network, replace(data, train=few))
    done(state, state.open())
    panel = runs_panel(state)
    find(panel, w.IntText, "budgets").value = 2
    find(panel, w.Dropdown)[0].value = "fine-tune"
    find(panel, w.Button, "Sweep").click()
    done(state)
    assert state.job.error == ""
    assert [r.stage for r in state.results if r.number == 2] == ["decomposed", "calibrated", "fine-tuned"]


def test_a_cancelled_sweep_keeps_what_was_done(state):
    state.observe(lambda _: state.job.cancel(), ["results"])
    state.sweep([2.0, 3.0, 4.0], "none")
    done(state)
    assert state.job.note.startswith("cancelled")
    assert len(state.runs) == 1


def test_budgets_are_spread_evenly():
    assert budgets(1.5, 6.0, 3) == [1.5, 3.0, 6.0]
    assert budgets(2.0, 2.0, 2) == [2.0, 2.0]
