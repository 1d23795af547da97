"""Save sessions on disk, and find those that a reload or a crash has left.

A session is a file beside the run store. Its kernel holds a lock on it, which the operating system releases when the
kernel ends: a session that is locked is open in another tab, and one that is not can be continued.
"""

import json
import logging
import re
import time
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from workbench.app.errors import sentence
from workbench.app.stored_runs import runs_file
from workbench.files import write_atomically

log = logging.getLogger(__name__)

VERSION = 2
MAX_AGE_DAYS = 30
"""Age after which a session is removed."""
MAX_BYTES = 4 * 2**20
"""Size of a session file above which it is not read."""


@dataclass(frozen=True)
class SavedSession:
    """What is needed to continue a session.

    Attributes
    ----------
    browser : number that the browser has chosen for itself.
    choice : network, data and weights, by name.
    settings : of the planner.
    plan : as JSON, with its edits.
    selected : name of the picked layer.
    number : the run that was worked on, or 0.
    training : {"stage", and the settings of training} while a network is trained, else empty.
    doing : what was trained, in words, or "".
    when : seconds since 1970.
    """

    browser: str
    choice: dict[str, str]
    settings: dict[str, Any]
    plan: str
    selected: str = ""
    number: int = 0
    training: dict[str, Any] = field(default_factory=dict)
    doing: str = ""
    when: float = 0.0

    def describe(self) -> str:
        """Return words like "digits_vgg on digits, run 2, 5 minutes ago"."""
        minutes = max(0.0, time.time() - self.when) / 60
        ago = "just now" if minutes < 1 else f"{minutes:.0f} minutes ago" if minutes < 90 else ""
        ago = ago or (f"{minutes / 60:.0f} hours ago" if minutes < 2880 else f"{minutes / 1440:.0f} days ago")
        run = f", run {self.number}" if self.number else ""
        return f"{self.choice.get('network', '')} on {self.choice.get('data', '')}{run}, {ago}"


class SavedSessions:
    """The session file of this kernel, and those that other kernels have left.

    Attributes
    ----------
    problem : why the session is not saved, in a sentence, or "".
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or sessions_folder()
        self.name = uuid.uuid4().hex
        self.problem = ""
        self._lock: FileLock | None = None
        self._written = ""

    @property
    def file(self) -> Path:
        """Where this session is saved."""
        return self.folder / f"{self.name}.json"

    @property
    def checkpoint(self) -> Path:
        """Where the training of this session is saved."""
        return self.folder / f"{self.name}.checkpoint"

    def save(self, saved: SavedSession) -> None:
        """Write the session; `problem` says what goes wrong."""
        values = asdict(saved)
        same = json.dumps({**values, "when": 0})
        if same == self._written:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._lock is None:
                lock = _lock(self.file)
                lock.acquire()
                self._lock = lock
            write_atomically(self.file, json.dumps({"version": VERSION, **values}).encode())
            self._written, self.problem = same, ""
        except (OSError, Timeout) as error:
            log.warning("the session is not saved: %s", error)
            self.problem = f"This session is not saved, only its runs: {sentence(error)}"

    def left_by(self, browser: str) -> tuple["LeftSession | None", bool]:
        """Return the newest session that this browser has left, and whether it has one open in another tab."""
        found, open_ = None, False
        for file in self._files():
            saved = _read(file)
            if saved is None or saved.browser != browser:
                continue
            if _locked(file):
                open_ = True
            elif found is None:
                found = LeftSession(file, saved)
        return found, open_

    def _files(self) -> list[Path]:
        """Return the files of other kernels, the newest first, and remove old ones."""
        files = []
        try:
            for file in self.folder.glob("*.json"):
                when = file.stat().st_mtime
                if time.time() - when > 86400 * MAX_AGE_DAYS and not _locked(file):
                    LeftSession.remove_file(file)
                elif file != self.file:
                    files.append((when, file))
        except OSError as error:
            log.warning("sessions cannot be read: %s", error)
        return [file for _, file in sorted(files, reverse=True)]

    def end(self) -> None:
        """Release the session, as the end of the kernel does."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None


@dataclass(frozen=True)
class LeftSession:
    """A session that no kernel has open."""

    file: Path
    saved: SavedSession

    @property
    def checkpoint(self) -> Path:
        """The file of its training; it need not exist."""
        return self.file.with_suffix(".checkpoint")

    def remove(self) -> None:
        """Remove the session."""
        self.remove_file(self.file)

    @staticmethod
    def remove_file(file: Path) -> None:
        """Remove one file of the session; a file that does not exist is ignored."""
        for suffix in (".json", ".checkpoint", ".json.lock"):
            try:
                file.with_suffix(suffix).unlink(missing_ok=True)
            except OSError as error:
                log.warning("%s cannot be removed: %s", file.name, error)


def sessions_folder() -> Path:
    """Return the folder of sessions, beside the run store."""
    runs = runs_file()
    return runs.with_name(f"{runs.name}.sessions")


def is_browser(name: object) -> bool:
    """Return whether that can be the number of a browser."""
    return isinstance(name, str) and re.fullmatch(r"[0-9a-f]{32}", name) is not None


def _lock(file: Path) -> FileLock:
    return FileLock(file.with_suffix(".json.lock"), timeout=0)


def _locked(file: Path) -> bool:
    """Return whether a kernel has this session open."""
    lock = _lock(file)
    try:
        lock.acquire()
    except (Timeout, OSError):
        return True
    lock.release()
    return False


def _read(file: Path) -> SavedSession | None:
    """Read a session; None if the file is none. Nothing in it is trusted."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ValueError("it is too large")
        values = json.loads(file.read_text(encoding="utf-8"))
        if values.pop("version") != VERSION:
            raise ValueError("it is of another version")
        saved = SavedSession(**values)
        wanted: dict[str, type | tuple[type, ...]] = {"number": int, "when": (int, float)}
        wanted |= dict.fromkeys(("browser", "plan", "selected", "doing"), str)
        wanted |= dict.fromkeys(("choice", "settings", "training"), dict)
        wrong = [name for name, kind in wanted.items() if not isinstance(getattr(saved, name), kind)]
        if wrong or not all(isinstance(value, str) for value in saved.choice.values()):
            raise ValueError(f"{wrong[0] if wrong else 'choice'} makes no sense")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        log.warning("the session %s is left out: %s", file.name, error)
        return None
    return saved
