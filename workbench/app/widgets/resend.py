"""Send the state of all widgets again once a page is built.

Changes between the moment in which a page asks for the widgets and the moment in which it has built them are lost now
and then (a card stayed empty in one load of five on a busy machine).
"""

from collections.abc import Iterator

import ipywidgets as w

from workbench.app.widgets.base import PageWidget

ESM = """
export default { render({ model }) { model.send({ kind: "built" }); } };
"""


class Resend(PageWidget):
    """Invisible; sends the state of all widgets below `page` again whenever a page has been built."""

    _esm = ESM

    def __init__(self) -> None:
        super().__init__(layout={"display": "none"})
        self.page: w.Widget | None = None
        self.on_msg(self._receive)

    def _receive(self, _: object, content: object, __: object) -> None:
        if self.page is None or content != {"kind": "built"}:
            return
        for widget in below(self.page):
            if widget is not self:
                names = [name for name in widget.keys if not name.startswith("_")]  # neither code nor styles
                widget.send_state(names)


def below(widget: w.Widget) -> Iterator[w.Widget]:
    """Yield a widget and all that it contains."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from below(child)
