"""Receive files from the user's machine in pieces: a message of more than 10 MB breaks the connection."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import traitlets

from workbench.app.server.serve import setting
from workbench.app.widgets.base import PageWidget, readable, script

DEFAULT_LIMIT_MIB = 1024  # VGG-16 has 528; ``$WORKBENCH_UPLOAD_MIB`` replaces it
MAX_FILES = 20_000  # in one upload
UNREADABLE_MESSAGE = "what the page sent makes no sense here; choose the file again"


class Upload(PageWidget):
    """A button, a progress bar and a cancel button; files can be dropped and pasted too.

    `received` is called with the file's path and the user's name for it; of several files, with their folder, which
    keeps their subfolders, and a text with their number.
    """

    _esm = script("upload.js")
    label = traitlets.Unicode().tag(sync=True)
    hint = traitlets.Unicode().tag(sync=True)
    accept = traitlets.Unicode().tag(sync=True)
    several = traitlets.Bool(False).tag(sync=True)
    area = traitlets.Unicode().tag(sync=True)  # CSS selector of the part of the page that takes drops; "": all
    disabled = traitlets.Bool(False).tag(sync=True)
    problem = traitlets.Unicode()  # why the last file was refused

    def __init__(
        self,
        label: str,
        hint: str,
        suffixes: tuple[str, ...],
        received: Callable[[Path, str], None],
        *,
        several: bool = False,
        area: str = "",
    ) -> None:
        super().__init__(label=label, hint=hint, accept=",".join(suffixes), several=several, area=area)
        self._suffixes, self._received = suffixes, received
        self._folder = tempfile.TemporaryDirectory(prefix="workbench-upload-", ignore_cleanup_errors=True)
        self._file: BinaryIO | None = None  # being written
        self._files: list[tuple[str, int]] = []  # safe path and size of each of several files
        self._name, self._size, self._count = "", 0, 0
        self.on_msg(self._receive)

    def keep_only(self, *used: Path | None) -> None:
        """Remove all complete files except those in use."""
        open_path = Path(self._file.name) if self._file is not None else None
        with suppress(OSError):  # the file is still open, or the folder is gone
            for path in list(Path(self._folder.name).iterdir()):
                if path not in (*used, open_path):
                    _remove(path)

    def _receive(self, _: object, content: dict[str, Any], buffers: list[Any]) -> None:
        """Handle one message of the page, and answer whether to continue."""
        try:
            answer = {"ok": self._handle(content, buffers)}
        except (ValueError, OSError) as error:
            self._stop()
            self.problem = f"The upload was stopped: {getattr(error, 'strerror', None) or error}"
            answer = {"ok": False}
        if content.get("kind") != "stop":
            self.send(answer)

    def _handle(self, content: dict[str, Any], buffers: list[Any]) -> bool:
        match content.get("kind"):
            case "begin":
                self._begin(content.get("files"))
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
            case _ if self.problem:  # the rest of a refused file
                return False
            case _:
                raise ValueError(UNREADABLE_MESSAGE)
        return True

    def _begin(self, files: Any) -> None:
        self._stop()
        self.problem = ""
        limit, max_files = upload_limit(), MAX_FILES if self.several else 1
        if not isinstance(files, list) or not 1 <= len(files) <= max_files:
            raise ValueError(f"1 to {max_files} files are taken at a time")
        if not all(isinstance(file, list) and len(file) == 2 and isinstance(file[0], str) for file in files):
            raise ValueError(UNREADABLE_MESSAGE)
        named_files = [(readable(name), size) for name, size in files]
        for name, size in named_files:
            if not name.lower().endswith(self._suffixes):
                raise ValueError(f"{name or 'the file'} is none of the kinds {', '.join(self._suffixes)}")
            if not isinstance(size, int) or size <= 0:
                raise ValueError(f"{name} is empty, or has no size; upload it again")
        several, size = len(named_files) > 1, sum(size for _, size in named_files)
        name = f"{len(named_files)} files" if several else named_files[0][0]
        suffix = "" if several else next(s for s in self._suffixes if name.lower().endswith(s))
        if size > limit * 2**20:
            verb = "have" if several else "has"
            raise ValueError(f"{name} {verb} {size / 2**20:.0f} MiB, at most {limit} are taken here")
        self._name, self._size, self._count = name, size, self._count + 1
        self._files = [(safe_path(path), length) for path, length in files] if several else []
        path = Path(self._folder.name) / f"upload{self._count}{suffix}"
        self._file = path.open("w+b")

    def _end(self) -> None:
        assert self._file is not None
        if self._file.tell() != self._size:
            raise ValueError(f"{self._name} did not arrive whole; upload it again")
        path = _split(self._file, self._files) if self._files else Path(self._file.name)
        self._file.close()
        self._file = None
        try:
            self._received(path, self._name)
        except ValueError:  # it was refused
            _remove(path)
            raise

    def _stop(self) -> None:
        """Remove the file that is being written."""
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)
            self._file = None


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def safe_path(path: str) -> str:
    """Return a path from the page as a relative path without "..", of names that every file system takes."""
    parts = [
        "".join(c if c.isalnum() or c in " ._-+()" else "_" for c in part)[-100:].lstrip(" ").rstrip(". ")
        for part in PurePosixPath(path.replace("\\", "/")).parts
    ]
    return "/".join(part for part in parts[-8:] if part) or "file"


def _split(file: BinaryIO, files: Sequence[tuple[str, int]]) -> Path:
    """Split a file into the concatenated files in it; return their folder, which replaces the file."""
    folder = Path(f"{file.name}-files")
    file.seek(0)
    try:
        for number, (name, size) in enumerate(files):
            target = folder / name
            if target.exists():
                target = target.with_name(f"{number}-{target.name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as out:
                out.write(file.read(size))
    except OSError:  # such as a full disk
        shutil.rmtree(folder, ignore_errors=True)
        raise
    Path(file.name).unlink()
    return folder


def upload_limit() -> int:
    """Return the size limit of a file, in mebibytes."""
    return setting("WORKBENCH_UPLOAD_MIB", DEFAULT_LIMIT_MIB)
