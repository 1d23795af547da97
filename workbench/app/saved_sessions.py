"""Save sessions as files that their kernels lock, and find those that ended by a reload or a crash."""

import json
import logging
import time
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from workbench.app.errors import sentence
from workbench.app.stored_runs import runs_file
from workbench.files import write_atomically
from workbench.runs.run import StageName

log = logging.getLogger(__name__)

VERSION = 3
MAX_AGE_DAYS = 30  # after which a session is removed
MAX_BYTES = 4 * 2**20  # of a session file that is read


@dataclass(frozen=True)
class SavedSession:
    """The state that is needed to continue a session."""

    browser: str  # random id that the browser keeps
    choice: dict[str, str]  # network, data and weights, by name
    settings: dict[str, Any]  # of the planner
    plan: str  # as JSON, with its edits
    picked: str = ""  # name of the layer
    number: int = 0  # of the current run, or 0
    training: dict[str, Any] = field(default_factory=dict)  # {"stage", settings ...} while a network is trained
    minutes: float = 0.0  # of *Compress for me* while it runs, else 0
    when: float = field(default=0.0, compare=False)  # seconds since 1970
    file: Path = field(default=Path(), compare=False)

    def describe(self) -> str:
        """Return words like "digits_vgg on digits, run 2, 5 minutes ago"."""
        minutes = max(0.0, time.time() - self.when) / 60
        size, name = (1, "minutes") if minutes < 90 else (60, "hours") if minutes < 2880 else (1440, "days")
        ago = f"{minutes / size:.0f} {name} ago" if minutes >= 1 else "just now"
        run = f", run {self.number}" if self.number else ""
        return f"{self.choice.get('network', '')} on {self.choice.get('data', '')}{run}, {ago}"

    @property
    def is_from_scratch(self) -> bool:
        """Whether the network is trained from scratch."""
        return self.training.get("stage") == StageName.FROM_SCRATCH

    @property
    def interrupted_work(self) -> str:
        """The work that the end of the session interrupted, in words, or ""."""
        if self.minutes:
            return "Compress for me"
        verb = "Training from scratch" if self.is_from_scratch else "Fine-tuning"
        return f"{verb} run {self.number}" if self.training else ""

    @property
    def checkpoint(self) -> Path:
        """The file with the state of its training; it may not exist."""
        return self.file.with_suffix(".checkpoint")

    def remove(self) -> None:
        """Remove the files of the session."""
        for suffix in (".json", ".checkpoint", ".json.lock"):
            try:
                self.file.with_suffix(suffix).unlink(missing_ok=True)
            except OSError as error:
                log.warning("%s cannot be removed: %s", self.file.name, error)


class SavedSessions:
    """The session file of this kernel, and those of other kernels."""

    def __init__(self) -> None:
        runs = runs_file()
        self.file = runs.with_name(f"{runs.name}.sessions") / f"{uuid.uuid4().hex}.json"
        self.checkpoint = self.file.with_suffix(".checkpoint")
        self._other_entries: set[tuple[float, Path]] = set()  # (time written, file) of other browsers
        self._lock = _lock(self.file)
        self._written: SavedSession | None = None

    def save(self, saved: SavedSession) -> str:
        """Write the session if it has changed; return a sentence if that fails, else ""."""
        if saved == self._written:
            return ""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            if not self._lock.is_locked:
                self._lock.acquire()
            values = {"version": VERSION, **asdict(saved), "when": time.time()}
            del values["file"]
            write_atomically(self.file, json.dumps(values).encode())
            self._written = saved
        except (OSError, Timeout) as error:
            log.warning("the session is not saved: %s", error)
            return f"This session is not saved, only its runs: {sentence(error)}"
        return ""

    def find_ended(self, browser: str) -> tuple[SavedSession | None, bool]:
        """Return this browser's newest session that has ended, and whether another one is open in a tab."""
        sessions = []
        for entry in self._files():
            saved = _read(entry[1]) if entry not in self._other_entries else None
            if saved is not None and saved.browser == browser:
                sessions.append(saved)
            else:
                self._other_entries.add(entry)
        ended = [saved for saved in sessions if not _is_locked(saved.file)]
        return next(iter(ended), None), len(ended) < len(sessions)

    def _files(self) -> list[tuple[float, Path]]:
        """Return (time written, file) of other kernels' sessions, newest first; remove files that are too old."""
        files = []
        try:
            for file in self.file.parent.glob("*.json"):
                when = file.stat().st_mtime
                if time.time() - when > 86400 * MAX_AGE_DAYS and not _is_locked(file):
                    SavedSession("", {}, {}, "", file=file).remove()
                elif file != self.file:
                    files.append((when, file))
        except OSError as error:
            log.warning("sessions cannot be read: %s", error)
        return sorted(files, reverse=True)


def _lock(file: Path) -> FileLock:
    return FileLock(file.with_suffix(".json.lock"), timeout=0)


def _is_locked(file: Path) -> bool:
    """Return whether a kernel has this session open."""
    try:
        with _lock(file):
            return False
    except (Timeout, OSError):
        return True


def _read(file: Path) -> SavedSession | None:
    """Return the session in a file, or None if the file is invalid."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ValueError("it is too large")
        values = json.loads(file.read_text(encoding="utf-8"))
        if values.pop("version") != VERSION:
            raise ValueError("it is of another version")
        saved = SavedSession(**values, file=file)
        kinds = {str: ("browser", "plan", "picked"), dict: ("choice", "settings", "training"), int: ("number",)}
        invalid = [n for kind, names in kinds.items() for n in names if not isinstance(getattr(saved, n), kind)]
        if invalid or not all(isinstance(saved.choice[key], str) for key in ("network", "data", "weights")):
            raise ValueError(f"{invalid or 'choice'} makes no sense")
        return saved if all(isinstance(number, int | float) for number in (saved.when, saved.minutes)) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        log.warning("the session %s is left out: %s", file.name, error)
        return None
