"""Send a file to the user's machine in pieces: a link would hold it all, or lead to a folder that all can read."""

from pathlib import Path
from typing import Any

import traitlets

from workbench.app.widgets.base import PageWidget, script

PIECE_BYTES = 1 << 20  # of one message


class Download(PageWidget):
    """A button that saves the offered file under its own name; disabled while there is none."""

    _esm = script("download.js")
    label = traitlets.Unicode("Download").tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    size = traitlets.Int(0).tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self._path: Path | None = None
        self.on_msg(self._receive)

    def offer(self, path: Path | None) -> None:
        """Make a file the one that is saved; None for nothing."""
        self._path = path
        with self.hold_sync():
            self.name, self.size = (path.name, path.stat().st_size) if path is not None else ("", 0)

    def _receive(self, _: object, content: dict[str, Any], __: object) -> None:
        """Answer the page's request for the piece at an offset; end an invalid request with the reason."""
        at, piece, problem = content.get("at"), b"", ""
        if self._path is None:
            problem = "There is no file yet: make it first."
        elif not (isinstance(at, int) and 0 <= at < self.size):
            problem = f"{self.name} has {self.size} bytes, and this part is not among them: save it again."
        else:
            try:
                with self._path.open("rb") as file:
                    file.seek(at)
                    piece = file.read(PIECE_BYTES)
            except OSError:  # it went with the network that it was made from
                problem = f"{self.name} is no longer there: make it again."
        self.send({"at": at, "size": len(piece), "problem": problem}, [piece])
