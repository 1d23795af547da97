import ipywidgets as w

from workbench.app.widgets.page_start import PageStart


def test_a_page_that_is_built_gets_everything_as_it_is_now(monkeypatch):
    start, text, slider = PageStart(), w.HTML("old"), w.IntSlider(3)
    start.page = w.VBox([start, w.HBox([text, slider])])
    sent = {}
    for widget in (text, slider):
        monkeypatch.setattr(
            widget, "send_state", lambda key=None, widget=widget: sent.update({widget: widget.get_state(key)})
        )
    start._receive(None, {"kind": "something else"}, [])
    assert sent == {}
    text.value = "new"
    sent.clear()
    start._receive(None, {"kind": "built"}, [])
    assert sent[text]["value"] == "new"
    assert sent[slider]["value"] == 3
    assert not any(name.startswith("_") for name in sent[text])
