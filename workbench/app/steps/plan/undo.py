"""Undo and redo of edits."""

import time
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
MAX_EDITS = 200
"""Edits that can be undone."""
MERGE_WITHIN_S = 1.5
"""Seconds: edits of the same thing that follow each other faster are one, as when a slider is dragged."""


@dataclass
class UndoHistory(Generic[T]):
    """States before each edit, and after those that were undone."""

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

    def record(self, words: str, before: T, key: str = "") -> None:
        """Record an edit before it is made.

        Parameters
        ----------
        words : what it does.
        before : the state now.
        key : names what is edited; quick edits with the same key are undone together, those with "" never.
        """
        now = time.monotonic()
        same = bool(key) and key == self._key and now - self._when < MERGE_WITHIN_S and bool(self._before)
        self._key, self._when = key, now
        self._after.clear()
        if same:
            self._before[-1] = (words, self._before[-1][1])
        else:
            self._before = [*self._before[1 - MAX_EDITS :], (words, before)]

    def undo(self, now: T) -> T:
        """Return the state before the last edit; `now` comes back by :meth:`redo`."""
        return self._move(self._before, self._after, now)

    def redo(self, now: T) -> T:
        """Return the state before the last undo."""
        return self._move(self._after, self._before, now)

    def clear(self) -> None:
        """Forget all edits."""
        self._before.clear()
        self._after.clear()
        self._key = ""

    def _move(self, source: list[tuple[str, T]], target: list[tuple[str, T]], now: T) -> T:
        words, state = source.pop()
        target.append((words, now))
        self._key = ""
        return state
