import ipywidgets as w

from workbench.app.widgets.resend import Resend


def test_a_page_that_is_built_gets_everything_as_it_is_now(monkeypatch):
    resend, text, slider = Resend(), w.HTML("old"), w.IntSlider(3)
    resend.page = w.VBox([resend, w.HBox([text, slider])])
    sent = {}
    for widget in (text, slider):
        monkeypatch.setattr(
            widget, "send_state", lambda key=None, widget=widget: sent.update({widget: widget.get_state(key)})
        )
    resend._receive(None, {"kind": "something else"}, [])
    assert sent == {}
    text.value = "new"
    sent.clear()
    resend._receive(None, {"kind": "built"}, [])
    assert sent[text]["value"] == "new"
    assert sent[slider]["value"] == 3
    assert not any(name.startswith("_") for name in sent[text])
