"""The bar of steps at the top of the page."""

from typing import Any

import traitlets

from workbench.app.session import Session
from workbench.app.widgets.base import PageWidget, script


class Guide(PageWidget):
    """Shows the steps; answers heartbeats, and passes on the browser's number and the keys for undo and redo."""

    _esm = script("guide.js")
    steps: traitlets.List[Any] = traitlets.List().tag(sync=True)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.on_msg(self._receive)

    def _receive(self, _: object, content: dict[str, Any], __: object) -> None:
        match content.get("kind"):
            case "beat":
                self.send({"kind": "beat"})
            case "here":
                self._session.autosave.begin(content.get("browser"))
            case "undo":
                self._session.undo()
            case "redo":
                self._session.redo()
