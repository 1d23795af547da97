"""Runs are stored as they are made, are there in another session, and can be gone on with."""

import base64
import csv
import io
import json

import ipywidgets as w
import pytest

import workbench as wb
from tests.helpers.widgets import find, html
from workbench.app.session import Session
from workbench.app.steps.compare.runs_view import runs_view
from workbench.app.steps.compare.view import tradeoff_view
from workbench.app.stored_runs import runs_file
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.layer_table import LayerTable
from workbench.runs.run import StageName


def view_of(session):
    view = runs_view(session)
    return view, find(view, LayerTable)[0]


@pytest.fixture
def opened(monkeypatch):
    """A second session on the same network and data."""
    monkeypatch.setattr("workbench.app.steps.choose.model.network_names", list)
    session = Session()
    session.open()
    return session


def test_another_session_finds_them_and_goes_on(digits, data):
    digits.recover.decompose()
    digits.recover.calibrate()
    made = digits.recover.run
    other = Session()
    other.open()
    view, table = view_of(other)
    assert [run.number for run in other.recover.stored] == [made.number]
    assert other.recover.run is None
    score = made.last.score
    low, high = (100 * end for end in score.interval)
    assert table.rows[0]["calibrated"] == f"{100 * score.top1:.1f} %\n{low:.1f} to {high:.1f} % (297)"
    (figure,) = find(tradeoff_view(other), FigureView)
    earlier = next(trace for trace in json.loads(figure.traces) if trace.get("name") == "earlier runs")
    assert earlier["x"] == [made.plan.macs / 1e6]
    resume = find(view, w.Button, "Go on with this run")
    assert resume.disabled
    table.selected = str(made.number)
    resume.click()
    assert other.recover.run.last.scores == made.last.scores
    assert other.recover.as_planned
    assert wb.score(other.recover.compressed, data.test) == made.last.scores["test"]
    other.recover.finetune(epochs=1)
    assert other.recover.run.number == made.number
    other.recover.decompose()
    assert other.recover.run.number == made.number + 1


def test_runs_of_other_weights_are_other_runs(digits, opened):
    digits.recover.decompose()
    opened.choose.open(weights="random")
    assert opened.recover.stored == ()


def test_deleting_and_downloading(digits):
    view, table = view_of(digits)
    assert "still there after reopening" in html(view)
    digits.recover.decompose()
    digits.recover.decompose()
    assert [line["number"] for line in table.rows] == [2, 1]
    link = html(view).partition("base64,")[2].partition("'")[0]
    lines = list(csv.DictReader(io.StringIO(base64.b64decode(link).decode())))
    assert [line["run"] for line in lines] == ["1", "2"]
    table.selected = "1"
    delete = find(view, w.Button, "Delete")
    delete.click()
    assert delete.description == "Really delete run 1?"
    table.selected = "2"  # another choice takes the question back
    assert delete.description == "Delete"
    delete.click()
    table.selected = "1"
    delete.click()
    assert [run.number for run in digits.recover.stored] == [1, 2]
    delete.click()
    assert (delete.description, table.selected) == ("Delete", "")
    assert [run.number for run in digits.recover.stored] == [2]
    assert len(wb.RunStore(runs_file())) == 1


def test_a_store_that_cannot_be_used_is_a_sentence_and_the_session_goes_on(opened, monkeypatch, tmp_path):
    broken = tmp_path / "runs.sqlite"
    broken.write_bytes(b"no database at all")
    monkeypatch.setenv("WORKBENCH_RUNS", str(broken))
    opened.choose.open(weights="random")
    opened.recover.decompose()
    assert "left as it is" in html(view_of(opened)[0])
    assert opened.recover.calibrate().error == ""
    assert opened.recover.run.last.name == StageName.CALIBRATED
    assert broken.read_bytes() == b"no database at all"


def test_a_sweep_puts_its_points_on_the_plot_as_they_come(digits):
    view, _ = view_of(digits)
    seen = []
    digits.recover.observe(lambda change: seen.append(len(change["new"])), ["runs"])
    find(view, w.FloatRangeSlider)[0].value = (2.0, 4.0)
    find(view, w.IntText, "budgets").value = 2
    find(view, w.Button, "Sweep").click()
    runs = digits.recover.runs
    assert [[stage.name for stage in run.stages[1:]] for run in runs] == 2 * [["decomposed", "calibrated"]]
    assert [run.plan.macs_ratio >= ratio for run, ratio in zip(runs, (2.0, 4.0), strict=True)] == [True, True]
    assert seen[-1] == 2
    assert digits.recover.run is None  # nothing is worked on until a run is picked
    assert "out of reach" in digits.recover.sweep([500.0], "none").error
