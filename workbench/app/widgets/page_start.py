"""Send the widgets' state again once the page is built: one page load in five misses a change made while it loads."""

from collections.abc import Iterator

import ipywidgets as w

from workbench.app.widgets.base import HERE, PageWidget, script


class PageStart(PageWidget):
    """Invisible widget that labels the page's controls, and sends the state of all widgets once the page is built."""

    _esm = script("page_start.js")

    def __init__(self) -> None:
        super().__init__(layout={"display": "none"})
        self.page: w.Widget | None = None
        self.on_msg(self._receive)

    def _receive(self, _: object, content: object, __: object) -> None:
        if content == {"kind": "built"} and self.page is not None:
            for widget in walk(self.page):
                if widget is not self:
                    widget.send_state([name for name in widget.keys if not name.startswith("_")])  # no code or style


def styled_page(*children: w.Widget, **layout: str) -> w.VBox:
    """Return a column of widgets in the dashboard's style."""
    start = PageStart()
    style = w.HTML(f"<style>{(HERE / 'style.css').read_text(encoding='utf-8')}</style>", layout={"display": "none"})
    page = start.page = w.VBox([start, style, *children], layout=layout)
    page.add_class("wb")
    return page


def walk(widget: w.Widget) -> Iterator[w.Widget]:
    """Yield a widget and its descendants."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walk(child)
