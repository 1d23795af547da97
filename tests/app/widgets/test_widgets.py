"""What widgets send to the page, and the explorer of ranks."""

import ipywidgets as w
import pytest

import workbench as wb
from tests.helpers.widgets import html
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.page_start import PageStart
from workbench.plot.interactive.spectrum import spectrum


def test_a_rank_sends_only_the_layout(monkeypatch, spectra, plan):
    sent, updates, view = [], [], FigureView("Singular values")
    monkeypatch.setattr(FigureView, "_send", lambda _, message, **__: sent.append(message))
    for part in (plan["features.3"], plan.with_ranks("features.3", rank_in=5)["features.3"], plan["features.10"]):
        sent.clear()
        view.show(spectrum(spectra[part.name], part))
        updates.append([sorted(message["state"]) for message in sent if message["method"] == "update"])
    assert updates[1:] == [[["around"]], [["around", "traces"]]]


def test_a_page_that_is_built_gets_everything_as_it_is_now(monkeypatch):
    start, text, slider = PageStart(), w.HTML("old"), w.IntSlider(3)
    start.page = w.VBox([start, w.HBox([text, slider])])
    sent = {}
    for widget in (text, slider):
        monkeypatch.setattr(widget, "send_state", lambda key=None, box=widget: sent.update({box: box.get_state(key)}))
    start._receive(None, {"kind": "something else"}, [])
    assert sent == {}
    text.value = "new"
    sent.clear()
    start._receive(None, {"kind": "built"}, [])
    assert (sent[text]["value"], sent[slider]["value"]) == ("new", 3)
    assert not any(name.startswith("_") for name in sent[text])


def test_sliders_and_a_rank_that_does_not_fit(spectra):
    explorer = wb.explore_ranks(spectra["features.3"], rank_in=3, rank_out=4)
    assert [slider.value for slider in explorer.sliders] == [3, 4]
    explorer.set_ranks(14, 16)
    assert (explorer.shown.rank_in, explorer.shown.rank_out) == (14, 16)
    assert explorer.shown.verdict in html(explorer.widget)
    with pytest.raises(ValueError, match="rank_in=0 does not fit"):
        explorer.set_ranks(0, 5)
    assert [slider.value for slider in explorer.sliders] == [14, 16]
    explorer.sliders[1].value = 64
    assert explorer.shown.rank_out == 64
