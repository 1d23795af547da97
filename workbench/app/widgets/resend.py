"""The page says that it is there, and gets everything as it is now.

What changes between the moment in which a page asks for the widgets and the moment in which it has built them is lost
now and then (a card that stayed empty in one load of five on a busy machine). So the page reports once it is built.
"""

from collections.abc import Iterator

import ipywidgets as w

from workbench.app.widgets.base import PatientWidget

ESM = """
export default { render({ model }) { model.send({ kind: "arrived" }); } };
"""


class Arrival(PatientWidget):
    """Invisible; sends the state of all widgets below `page` again whenever a page has been built."""

    _esm = ESM

    def __init__(self) -> None:
        super().__init__(layout={"display": "none"})
        self.page: w.Widget | None = None
        self.on_msg(self._heard)

    def _heard(self, _: object, content: object, __: object) -> None:
        if self.page is None or content != {"kind": "arrived"}:
            return
        for widget in below(self.page):
            if widget is not self:
                names = [name for name in widget.keys if not name.startswith("_")]  # no code, no styles
                widget.send_state(names)


def below(widget: w.Widget) -> Iterator[w.Widget]:
    """A widget and all that it holds."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from below(child)
