import re

import ipywidgets as w
import pytest

import workbench as wb
from tests.helpers.widgets import find, html
from workbench.app.dashboard import build_dashboard
from workbench.app.session import Session
from workbench.app.widgets.guide import Guide
from workbench.app.widgets.page_start import PageStart, below


def test_it_opens_by_itself_and_everything_on_it_is_sent_again():
    session = Session()
    page = build_dashboard(session=session)
    assert session.choose.original is not None
    assert "560 k" in html(page)
    assert 'tabindex="0" title="How many independent directions' in html(page)
    names = {button.description for button in find(page, w.Button)}
    assert names >= {"Compress for me", "Undo", "Compress", "Fine-tune", "Calibrate", "From scratch", "Reset plan"}
    (start,) = find(page, PageStart)
    assert start.page is page
    widgets = list(below(page))
    assert len(widgets) == len(set(widgets)) > 80


def test_the_bar_at_the_top(session):
    page = build_dashboard(session=session)
    (guide,) = find(page, Guide)
    undo = find(page, w.Button, "Undo")
    assert undo.disabled
    session.plan.replan(planner="budget", macs_ratio=1.5)
    assert not undo.disabled
    guide._receive(None, {"kind": "undo"}, [])
    assert session.plan.settings.planner == "evbmf"
    guide._receive(None, {"kind": "redo"}, [])
    find(page, w.Button, "Compress for me").click()
    assert guide.steps[3]["name"] == "Compress and recover"
    assert session.recover.run is not None
    assert "for you</b>: done after" in html(page)


def test_every_card_says_that_weights_are_random():
    session = Session(wb.load_network("resnet20", weights=None), wb.load_data("digits"))
    page = build_dashboard(session=session)
    headings = [box for box in find(page, w.HTML) if re.match(r"<h2>.*<p class='wb-soft'>", box.value)]
    assert len(headings) == 9
    assert all("random weights" in box.value for box in headings)
    session.choose.open(network="digits_vgg")
    assert not any("random weights" in box.value for box in headings)


@pytest.mark.parametrize("arguments", [("digits_vgg",), (None, "digits")])
def test_what_is_no_network_or_no_data_is_said(arguments):
    with pytest.raises(TypeError):
        build_dashboard(*arguments)
