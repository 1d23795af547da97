"""Send the widgets' state again once a page is built: one load in five misses a change made meanwhile."""

from collections.abc import Iterator

import ipywidgets as w

from workbench.app.widgets.base import HERE, PageWidget, script


class PageStart(PageWidget):
    """Invisible; names the controls of its page, and sends the state of all widgets below `page` when it is built."""

    _esm = script("page_start.js")

    def __init__(self) -> None:
        super().__init__(layout={"display": "none"})
        self.page: w.Widget | None = None
        self.on_msg(self._receive)

    def _receive(self, _: object, content: object, __: object) -> None:
        if content == {"kind": "built"} and self.page is not None:
            for widget in below(self.page):
                if widget is not self:
                    widget.send_state([name for name in widget.keys if not name.startswith("_")])  # no code or style


def styled_page(*children: w.Widget, **layout: str) -> w.VBox:
    """Return widgets below each other, in the looks of the dashboard."""
    start = PageStart()
    style = w.HTML(f"<style>{(HERE / 'style.css').read_text(encoding='utf-8')}</style>", layout={"display": "none"})
    page = start.page = w.VBox([start, style, *children], layout=layout)
    page.add_class("wb")
    return page


def below(widget: w.Widget) -> Iterator[w.Widget]:
    """Yield a widget and all that it contains."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from below(child)
