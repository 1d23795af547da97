"""Runs are stored as they are made, are there in another session, and can be gone on with."""

import base64
import csv
import io
import json

import ipywidgets as w
import torch

from tests.app.conftest import small_session
from tests.helpers.widgets import find, html
from workbench.app.steps.compare.view import runs_view, tradeoff_view
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.layer_table import LayerTable


def test_another_session_finds_them_and_goes_on(session):
    session.recover.decompose()
    session.recover.calibrate()
    made = session.recover.run
    other = small_session(opened=True)
    view = runs_view(other)
    (table,) = find(view, LayerTable)
    assert [run.number for run in other.recover.stored] == [made.number]
    assert other.recover.run is None
    score = made.last.score
    low, high = (100 * end for end in score.interval)
    assert table.rows[0]["calibrated"] == f"{100 * score.top1:.1f} %\n{low:.1f} to {high:.1f} % (15)"
    (figure,) = find(tradeoff_view(other), FigureView)
    earlier = next(trace for trace in json.loads(figure.traces) if trace.get("name") == "earlier runs")
    assert earlier["x"] == [made.plan.macs / 1e6]
    resume = find(view, w.Button, "Go on with this run")
    assert resume.disabled
    table.selected = str(made.number)
    resume.click()
    assert other.recover.run.last.scores == made.last.scores
    assert other.recover.as_planned
    images = other.choose.data.test.images
    assert torch.equal(other.recover.compressed.model(images), made.network.model(images))
    other.recover.finetune(epochs=1)
    assert other.recover.run.number == made.number
    other.recover.decompose()
    assert other.recover.run.number == made.number + 1


def test_deleting_and_downloading(session):
    view = runs_view(session)
    (table,) = find(view, LayerTable)
    assert "still there after reopening" in html(view)
    session.recover.decompose()
    session.recover.decompose()
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
    table.selected = "1"
    delete.click()
    assert [run.number for run in session.recover.stored] == [1, 2]
    delete.click()
    assert (delete.description, table.selected) == ("Delete", "")
    assert [run.number for run in session.recover.stored] == [2]
