"""Widget that downloads a file from the kernel to the browser in pieces.

A data URL would hold the whole file in memory, and a file served under a URL could be read by other users.
"""

from pathlib import Path
from typing import Any

import traitlets

from workbench.app.widgets.base import PageWidget, script

PIECE_BYTES = 1 << 20  # bytes of the file in one message


class Download(PageWidget):
    """A button that saves the offered file under its own name; disabled if no file is offered."""

    _esm = script("download.js")
    label = traitlets.Unicode("Download").tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    size = traitlets.Int(0).tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self._path: Path | None = None
        self.on_msg(self._receive)

    def offer(self, path: Path | None) -> None:
        """Set the file that the button saves; None disables the button."""
        self._path = path
        with self.hold_sync():
            self.name, self.size = (path.name, path.stat().st_size) if path is not None else ("", 0)

    def _receive(self, _: object, content: dict[str, Any], __: object) -> None:
        """Send the piece at the offset that the page asked for, or the reason why it cannot be sent."""
        offset, piece, problem = content.get("at"), b"", ""
        if self._path is None:
            problem = "There is no file yet: make it first."
        elif not (isinstance(offset, int) and 0 <= offset < self.size):
            problem = f"{self.name} has {self.size} bytes, and this part is not among them: save it again."
        else:
            try:
                with self._path.open("rb") as file:
                    file.seek(offset)
                    piece = file.read(PIECE_BYTES)
            except OSError:  # the file was removed after it had been offered
                problem = f"{self.name} is no longer there: make it again."
        self.send({"at": offset, "size": len(piece), "problem": problem}, [piece])
