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
    """States before each edit, and after those that were undone, with what each edit did in words."""

    before: list[tuple[str, T]] = field(default_factory=list)
    after: list[tuple[str, T]] = field(default_factory=list)
    _key: str = ""
    _when: float = 0.0

    def record(self, words: str, before: T, key: str = "") -> None:
        """Record an edit before it is made; quick edits with the same key are undone together, those with "" never."""
        now = time.monotonic()
        same = bool(key) and key == self._key and now - self._when < MERGE_WITHIN_S and bool(self.before)
        self._key, self._when = key, now
        self.after.clear()
        if same:
            self.before[-1] = (words, self.before[-1][1])
        else:
            self.before = [*self.before[1 - MAX_EDITS :], (words, before)]

    def undo(self, now: T) -> T:
        """Return the state before the last edit; `now` comes back by :meth:`redo`."""
        return self._move(self.before, self.after, now)

    def redo(self, now: T) -> T:
        """Return the state before the last undo."""
        return self._move(self.after, self.before, now)

    def _move(self, source: list[tuple[str, T]], target: list[tuple[str, T]], now: T) -> T:
        words, state = source.pop()
        target.append((words, now))
        self._key = ""
        return state
