"""Send the widgets' state again once a page is built: one load in five misses a change made meanwhile."""

from collections.abc import Iterator

import ipywidgets as w

from workbench.app.widgets.base import PageWidget, script


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


def below(widget: w.Widget) -> Iterator[w.Widget]:
    """Yield a widget and all that it contains."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from below(child)
