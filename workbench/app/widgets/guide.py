"""The rail: the seven steps, of which one is shown, the switch for experts, and the session's log."""

from typing import Any

import traitlets

from workbench.app.session import Session
from workbench.app.widgets.base import PageWidget, script


class Guide(PageWidget):
    """Shows one step at a time; answers heartbeats, and receives the browser's id and the keys for undo and redo."""

    _esm = script("guide.js")
    steps: traitlets.List[Any] = traitlets.List().tag(sync=True)
    shown = traitlets.Int(1, min=1, max=7).tag(sync=True)  # number of the step that is shown
    log: traitlets.List[str] = traitlets.List().tag(sync=True)  # the newest line last

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        traitlets.dlink((session.history, "lines"), (self, "log"), list)
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
