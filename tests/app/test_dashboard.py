import re

import ipywidgets as w
import pytest
from workbench.app.state import State

import workbench as wb
from tests.app.test_panels import find, html
from workbench.app.dashboard import threads
from workbench.app.widgets.glossary import TERMS, term


def test_it_opens_by_itself():
    state = State()
    page = wb.build_dashboard(state=state)
    state.job.wait(60)
    assert state.original is not None
    assert "560 k" in html(page)
    assert {b.description for b in find(page, w.Button)} >= {
        "Compress",
        "Fine-tune",
        "Cancel",
        "Calibrate",
        "From scratch",
        "Reset plan",
    }


def test_every_card_says_that_weights_are_random():
    state = State(wb.load_network("resnet20", weights=None), wb.load_data("digits"))
    page = wb.build_dashboard(state=state)
    state.job.wait(60)
    headings = [box for box in find(page, w.HTML) if re.match(r"<h2>.*<p class='wb-soft'>", box.value)]
    assert len(headings) == 9
    assert all("random weights" in box.value for box in headings)
    assert state.open(network="digits_vgg")
    state.job.wait(60)
    assert not any("random weights" in box.value for box in headings)


@pytest.mark.parametrize(("text", "number"), [("3", 3), ("0", 1), ("many", 1), ("", 1)])
def test_threads_are_a_setting(monkeypatch, text, number):
    monkeypatch.setenv("WORKBENCH_THREADS", text)
    assert threads() == number


def test_terms_are_explained():
    assert 'title="How many independent directions' in term("rank")
    assert 'tabindex="0"' in term("MACs", "work")
    assert all(text.endswith(".") for text in TERMS.values())
