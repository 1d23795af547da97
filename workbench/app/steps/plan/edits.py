"""Undo and redo: a plan and its settings as they were before each edit. No widgets."""

import time
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
MOST = 200
"""Edits that can be undone."""
TOGETHER = 1.5
"""Seconds: edits of the same thing that follow each other faster are one, as when a slider is dragged."""


@dataclass
class Edits(Generic[T]):
    """What was there before each edit, and after those that were undone."""

    _before: list[tuple[str, T]] = field(default_factory=list)
    _after: list[tuple[str, T]] = field(default_factory=list)
    _key: str = ""
    _when: float = 0.0

    @property
    def undoable(self) -> str:
        """What the last edit did, in words, or "" if there is none."""
        return self._before[-1][0] if self._before else ""

    @property
    def redoable(self) -> str:
        """What was undone last, in words, or ""."""
        return self._after[-1][0] if self._after else ""

    def remember(self, words: str, before: T, key: str = "") -> None:
        """An edit is about to be made.

        Parameters
        ----------
        words : what it does.
        before : what there is now.
        key : names what is edited; quick edits with the same key are undone together. "" never is.
        """
        now = time.monotonic()
        same = bool(key) and key == self._key and now - self._when < TOGETHER and bool(self._before)
        self._key, self._when = key, now
        self._after.clear()
        if same:
            self._before[-1] = (words, self._before[-1][1])
            return
        self._before = [*self._before[1 - MOST :], (words, before)]

    def undo(self, now: T) -> T:
        """What was there before the last edit; `now` can be had again by :meth:`redo`."""
        words, before = self._before.pop()
        self._after.append((words, now))
        self._key = ""
        return before

    def redo(self, now: T) -> T:
        """What was there before the last undoing."""
        words, after = self._after.pop()
        self._before.append((words, now))
        self._key = ""
        return after

    def forget(self) -> None:
        """There is nothing to undo any more: another network is open."""
        self._before.clear()
        self._after.clear()
        self._key = ""
