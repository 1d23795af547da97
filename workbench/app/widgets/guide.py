"""The bar of steps at the top of the page."""

from pathlib import Path
from typing import Any

import traitlets

from workbench.app.session import Session
from workbench.app.widgets.base import PageWidget

HERE = Path(__file__).parent


class Guide(PageWidget):
    """Shows the steps; answers heartbeats, and passes on the browser's number and the keys for undo and redo."""

    _esm = HERE / "guide.js"
    steps: traitlets.List[Any] = traitlets.List().tag(sync=True)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.on_msg(self._receive)

    def _receive(self, _: object, content: Any, __: object) -> None:
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "beat":
            self.send({"kind": "beat"})
        elif kind == "here":
            self._session.autosave.begin(content.get("browser"))
        elif kind == "undo":
            self._session.undo()
        elif kind == "redo":
            self._session.redo()
