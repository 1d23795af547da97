import ipywidgets as w

import workbench as wb
from tests.app.test_panels import find
from workbench.app.widgets.resend import Arrival, below


def test_a_page_that_arrives_gets_everything_as_it_is_now(monkeypatch):
    arrival, text, slider = Arrival(), w.HTML("old"), w.IntSlider(3)
    arrival.page = w.VBox([arrival, w.HBox([text, slider])])
    sent = {}
    for widget in (text, slider):
        monkeypatch.setattr(
            widget, "send_state", lambda key=None, widget=widget: sent.update({widget: widget.get_state(key)})
        )
    arrival._heard(None, {"kind": "something else"}, [])
    assert sent == {}
    text.value = "new"
    sent.clear()
    arrival._heard(None, {"kind": "arrived"}, [])
    assert sent[text]["value"] == "new"
    assert sent[slider]["value"] == 3
    assert not any(name.startswith("_") for name in sent[text])


def test_the_dashboard_has_one_that_sees_all():
    page = wb.build_dashboard()
    (arrival,) = find(page, Arrival)
    assert arrival.page is page
    widgets = list(below(page))
    assert len(widgets) == len(set(widgets)) > 80
