import re

import ipywidgets as w
import pytest
import torch
from torch import nn

import workbench as wb
from tests.app.conftest import small_session
from tests.helpers.widgets import find, html
from workbench.app.dashboard import build_dashboard
from workbench.app.session import Session
from workbench.app.top_bar import step_statuses
from workbench.app.widgets.guide import Guide
from workbench.app.widgets.page_start import PageStart, walk
from workbench.network.verdict import Finding


def test_it_opens_by_itself_and_the_bar_at_the_top_does_what_it_says():
    session = small_session()
    page = build_dashboard(session=session)
    assert session.choose.original is not None
    assert 'tabindex="0" title="How many independent directions' in html(page)
    (start,), (guide,), widgets = find(page, PageStart), find(page, Guide), list(walk(page))
    assert start.page is page
    assert len(widgets) == len(set(widgets)) > 80
    undo = find(page, w.Button, "Undo")
    assert undo.disabled
    session.plan.replan(planner="budget", macs_ratio=1.5)
    assert (undo.disabled, undo.description) == (False, "Undo: another way to plan")
    guide._receive(None, {"kind": "undo"}, [])
    assert session.plan.settings.planner == "evbmf"
    guide._receive(None, {"kind": "redo"}, [])
    find(page, w.FloatText, "minutes").value = 0.02
    find(page, w.Button, "Compress for me").click()
    assert (guide.steps[3]["name"], guide.shown) == ("Compress", 4)
    assert session.recover.run is not None
    assert "for you</b>: done after" in html(page)


@pytest.mark.parametrize("arguments", [("digits_vgg",), (None, "digits")])
def test_what_is_no_network_or_no_data_is_said(arguments):
    with pytest.raises(TypeError):
        build_dashboard(*arguments)


def highlighted(page):
    """The only button that is highlighted in the bar at the top; those of the steps are not, by the style sheet."""
    head = next(box for box in find(page, w.VBox) if "wb-top" in box._dom_classes)
    (button,) = [b for b in find(head, w.Button) if b.button_style == "primary" and b.layout.display != "none"]
    return button


def statuses(session):
    return [step["status"] for step in step_statuses(session)]


def test_step_by_step_the_highlighted_button_leads_to_the_next(session):
    assert statuses(Session()) == ["next", *["missing"] * 6]
    page, recover, plan = build_dashboard(session=session), session.recover, session.plan
    plan.replan(planner="budget", macs_ratio=1.5)
    assert statuses(session) == ["open", "open", "open", "next", "missing", "missing", "missing"]
    assert highlighted(page).description == "Compress for me"
    recover.decompose()
    finding = recover.run.verdict().finding
    assert highlighted(page).description == ("Next: Compare" if finding is Finding.NO_LOSS else "Next: Calibrate")
    recover.calibrate()
    assert statuses(session)[:3] == ["done"] * 3
    assert "missing" not in statuses(session)
    plan.replan(macs_ratio=1.5 + 1e-9)
    assert recover.as_planned  # fault 13: the slider's number is rounded; the plan is what counts
    plan.choose_ranks("3", rank_in=2, rank_out=2)
    assert (statuses(session)[3], highlighted(page).description) == ("next", "Compress again")
    highlighted(page).click()
    assert recover.as_planned
    recover.calibrate()
    session.take_home.make("weights")
    assert statuses(session)[6] == "done"
    highlighted(page).click()
    assert find(page, Guide)[0].shown == 1 + statuses(session).index("next")


def test_a_network_of_sequences_opens_without_pictures():
    model = nn.Sequential(nn.Conv1d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(240, 2))
    split = wb.Split(torch.rand(12, 1, 32), torch.arange(12) % 2)
    session = Session(wb.Network(model, (1, 32)), wb.Data(split, split, split))
    build_dashboard(session=session)
    assert (session.choose.job.error, session.choose.misfit) == ("", "")
    assert session.plan.plan is not None
    assert session.gallery.why_no_gallery


def test_random_weights_lead_to_weights_and_not_to_a_plan():
    session = Session(wb.load_network("resnet20", weights=None), wb.load_data("digits"))
    page = build_dashboard(session=session)
    headings = [box for box in find(page, w.HTML) if re.match(r"<h1>|<div class='wb-heading'>", box.value)]
    assert ["random weights" in box.value for box in headings] == [True] * 8
    find(page, Guide)[0].shown = 3
    assert highlighted(page).description == "Upload weights"
    highlighted(page).click()
    assert find(page, Guide)[0].shown == 1
