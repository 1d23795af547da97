"""Search for the largest ratio of MACs at a tolerated loss: the next ratio, the time limit, and a text of each try."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.progress import Cancelled, Progress, part
from workbench.tables import times

MIN_MACS_RATIO = 1.05
"""Smallest original / compressed MACs that is tried."""
MIN_RATIO_STEP = 1.03
"""Smallest quotient of two ratios of MACs that are tried one after the other."""
PREPARATION_SHARE, TRY_SHARE = 0.1, 0.75
"""Share of the progress before the first try, and share of the remaining progress that each try takes."""
GRACE_SHARE = 0.05
"""Share of the time limit by which a step may exceed it."""


class OutOfTimeError(Cancelled):
    """Raised by the progress of a try to stop it when the time limit is over."""


class Clock:
    """Progress callback of a search, with its elapsed and remaining time.

    With a time limit the share done is elapsed / limit; without one it is as reported, and the first try, often the
    last, takes most of it.
    """

    def __init__(self, report: Progress, minutes: float | None) -> None:
        self.limit_s = math.inf if minutes is None else 60 * minutes
        self.is_strict = False  # whether a step that exceeds the limit is stopped
        self._report, self._start_s, self._share = report, time.perf_counter(), 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._start_s

    @property
    def remaining(self) -> float:
        """Seconds until the limit; infinite without one."""
        return self.limit_s - self.elapsed

    def try_progress(self, number: int, is_last: bool) -> Progress:
        """Return the progress callback of a try, numbered from 1."""
        remaining = (1 - PREPARATION_SHARE) * (1 - TRY_SHARE) ** (number - 1)
        return part(self, 1 - remaining, 1.0 if is_last else 1 - remaining * (1 - TRY_SHARE), f"try {number}")

    def __call__(self, share: float, note: str) -> None:
        """Report progress; raise `OutOfTimeError` if the clock is strict and the limit is over."""
        elapsed = self.elapsed
        if self.is_strict and elapsed > (1 + GRACE_SHARE) * self.limit_s:
            raise OutOfTimeError
        self._share = max(self._share, share if self.limit_s == math.inf else min(1.0, elapsed / self.limit_s))
        self._report(self._share, note)


def with_time_limit(report: Progress, limit_s: float) -> Progress:
    """Return a progress callback that raises `OutOfTimeError` after `limit_s` seconds."""
    start_s = time.perf_counter()

    def report_in_time(share: float, note: str) -> None:
        if time.perf_counter() - start_s > limit_s:
            raise OutOfTimeError
        report(share, note)

    return report_in_time


@dataclass(frozen=True)
class Try:
    """Result of one plan that was tried."""

    macs_ratio: float
    good: bool  # whether the loss is tolerated
    certain: bool = False  # whether the whole interval of the loss is tolerated
    loss: str = ""  # in words
    tuning_note: str = ""  # why fine-tuning was left out or discarded


def next_ratio(tries: Sequence[Try], *, allow_larger: bool, expected: float | None = None) -> float | None:
    """Return the ratio of MACs to try next; None if none is worth a try.

    While every try loses too much, it is the ratio with an `expected` tolerable loss if that is clearly smaller, else
    the one with half the saving. After a good try, if `allow_larger`, it lies between the largest good ratio and the
    smallest bad one above it: the `expected` ratio, else their middle. If none is bad, it at most doubles the saving.
    """
    good = max((t.macs_ratio for t in tries if t.good), default=None)
    bad = min((t.macs_ratio for t in tries if not t.good and t.macs_ratio > (good or 0.0)), default=None)
    if good is None:
        half = 1 + ((bad or 1.0) - 1) / 2
        ratio = expected if expected is not None and expected * MIN_RATIO_STEP <= (bad or 0.0) else half
        return ratio if ratio >= MIN_MACS_RATIO else None
    if not allow_larger or good < MIN_MACS_RATIO:
        return None
    upper = 1 + 2 * (good - 1) if bad is None else bad
    ratio = upper if bad is None else (good + bad) / 2
    if expected is not None and good < expected < upper:
        ratio = expected
    return ratio if ratio >= MIN_RATIO_STEP * good else None


def best_index(tries: Sequence[Try]) -> int:
    """Return the index of the good try with the largest ratio, certain ones first; the last if none is good."""
    good = [i for i, t in enumerate(tries) if t.good]
    return max(good, key=lambda i: (tries[i].certain, tries[i].macs_ratio)) if good else len(tries) - 1


def try_lines(tries: Sequence[Try], unfinished: str = "", end_reason: str = "") -> tuple[str, ...]:
    """Return a line for each try, the kept one first, and one for an unfinished try or for why the search ended.

    A single try has no line unless its fine-tuning was left out or discarded, or one of these texts is given.
    """
    if len(tries) == 1 and not tries[0].tuning_note and not unfinished and not end_reason:
        return ()
    best, lines = best_index(tries), []
    for i, t in enumerate(tries):
        outcome = "kept" if t.good else "kept, although more is lost than is tolerated"
        if i != best:
            drawback = "saves less" if t.macs_ratio < tries[best].macs_ratio else "is less sure"
            outcome = f"{drawback} than try {best + 1}" if t.good else "taken back"
        parts = (f"MACs {times(t.macs_ratio)} fewer", t.loss, t.tuning_note, outcome)
        lines.append(f"try {i + 1}: {', '.join(filter(None, parts))}")
    end = f"try {len(tries) + 1}: {unfinished}" if unfinished else f"ended: {end_reason}" if end_reason else ""
    return (lines.pop(best), *lines, *([end] if end else []))
