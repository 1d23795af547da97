import json

import pytest
from plotly.offline import get_plotlyjs

from workbench.app.widgets.figure_view import FigureView, library
from workbench.plot.interactive.curves import training_curve
from workbench.plot.interactive.spectrum import spectrum


@pytest.fixture
def sent(monkeypatch):
    """Messages that widgets send to the page."""
    found = []
    monkeypatch.setattr(FigureView, "_send", lambda _, message, **__: found.append(message))
    monkeypatch.setattr(FigureView, "_repr_mimebundle_", None, raising=False)
    return found


def test_it_holds_the_whole_figure():
    view = FigureView("Fine-tuning")
    view.show(training_curve([]))
    assert json.loads(view.around)["annotations"][0]["text"].startswith("The curve appears here")


def test_a_rank_sends_only_the_layout(sent, spectra, plan):
    view = FigureView("Singular values")
    parts = [plan["features.3"], plan.with_ranks("features.3", rank_in=5)["features.3"], plan["features.10"]]
    updates = []
    for part in parts:
        sent.clear()
        view.show(spectrum(spectra[part.name], part))
        updates.append([sorted(message["state"]) for message in sent if message["method"] == "update"])
    assert updates[1:] == [[["around"]], [["around", "traces"]]]


def test_the_library_comes_once_and_only_if_asked_for():
    library.cache_clear()
    view = FigureView("Fine-tuning")
    view._handle_custom_msg({"kind": "anything"}, [])
    assert library.cache_info().currsize == 0
    for _ in range(2):
        view._handle_custom_msg({"kind": "library"}, [])
    assert library.cache_info().currsize == 1
    assert library()._esm.startswith(get_plotlyjs())
