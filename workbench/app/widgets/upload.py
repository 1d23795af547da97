"""Receive a file from the user's machine in pieces: as one message, more than 10 MB break the connection."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import traitlets

from workbench.app.server.serve import setting
from workbench.app.widgets.base import PageWidget, readable, script

DEFAULT_LIMIT_MIB = 1024  # unless ``$WORKBENCH_UPLOAD_MIB`` says otherwise: VGG-16 has 528


class Upload(PageWidget):
    """A button, a progress bar and a cancel button; `received` gets the file's path and its name on the user's side."""

    _esm = script("upload.js")
    label = traitlets.Unicode().tag(sync=True)
    hint = traitlets.Unicode().tag(sync=True)
    accept = traitlets.Unicode().tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)
    problem = traitlets.Unicode()  # why the last file was not taken

    def __init__(self, label: str, hint: str, suffixes: tuple[str, ...], received: Callable[[Path, str], None]) -> None:
        super().__init__(label=label, hint=hint, accept=",".join(suffixes))
        self._suffixes, self._received = suffixes, received
        self._folder = tempfile.TemporaryDirectory(prefix="workbench-upload-", ignore_cleanup_errors=True)
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._name, self._size, self._count = "", 0, 0
        self.on_msg(self._receive)

    def keep_only(self, used: Path | None) -> None:
        """Remove the last file that came whole, unless it is the one that is used."""
        if self._file is None and self._path is not None and self._path != used:
            self._drop()

    def _receive(self, _: object, content: dict[str, Any], buffers: list[Any]) -> None:
        """Handle one message of the page, and answer whether to continue."""
        try:
            answer = {"ok": self._act(content, buffers)}
        except (ValueError, OSError) as error:
            self._stop()
            self.problem = f"The upload was stopped: {getattr(error, 'strerror', None) or error}"
            answer = {"ok": False}
        if content.get("kind") != "stop":
            self.send(answer)

    def _act(self, content: dict[str, Any], buffers: list[Any]) -> bool:
        match content.get("kind"):
            case "begin":
                self._begin(content.get("name"), content.get("size"))
            case "piece" if self._file is not None and len(buffers) == 1:
                piece = bytes(buffers[0])
                if content.get("at") != self._file.tell() or self._file.tell() + len(piece) > self._size:
                    raise ValueError(f"a piece of {self._name} came in the wrong order; upload it again")
                self._file.write(piece)
            case "end" if self._file is not None:
                self._end()
            case "stop":
                self._stop()
                return False
            case _ if self.problem:  # what follows a file that was refused is no news
                return False
            case _:
                raise ValueError("what the page sent makes no sense here; choose the file again")
        return True

    def _begin(self, name: Any, size: Any) -> None:
        self._close()
        self.problem = ""
        limit = upload_limit()
        name = readable(name) if isinstance(name, str) else ""
        suffix = next((s for s in self._suffixes if name.lower().endswith(s)), None)
        if suffix is None:
            raise ValueError(f"{name or 'the file'} is none of the kinds {', '.join(self._suffixes)}")
        if not isinstance(size, int) or size <= 0:
            raise ValueError(f"{name} is empty, or has no size; upload it again")
        if size > limit * 2**20:
            raise ValueError(f"{name} has {size / 2**20:.0f} MiB, at most {limit} are taken here")
        for old in Path(self._folder.name).iterdir():
            old.unlink()
        self._name, self._size, self._count = name, size, self._count + 1
        self._path = Path(self._folder.name) / f"upload{self._count}{suffix}"
        self._file = self._path.open("wb")

    def _end(self) -> None:
        assert self._file is not None
        assert self._path is not None
        if self._file.tell() != self._size:
            raise ValueError(f"{self._name} did not arrive whole; upload it again")
        self._close()
        try:
            self._received(self._path, self._name)
        except ValueError:  # it was refused
            self._drop()
            raise

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _stop(self) -> None:
        """Leave nothing of a file that is being written."""
        if self._file is not None:
            self._drop()

    def _drop(self) -> None:
        self._close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None


def upload_limit() -> int:
    """Return the size limit of a file, in mebibytes."""
    return setting("WORKBENCH_UPLOAD_MIB", DEFAULT_LIMIT_MIB)
