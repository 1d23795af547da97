"""Search for the largest ratio of MACs that loses little enough: the next ratio, the time, and a line for each try."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.progress import Cancelled, Progress, part
from workbench.tables import times

MIN_MACS_RATIO = 1.05
"""Smallest original / compressed MACs that is tried."""
MIN_RATIO_STEP = 1.03
"""Smallest quotient of two ratios of MACs that are tried one after the other in a limited time."""
BEGIN_SHARE, FIRST_TRY_SHARE = 0.1, 0.75
"""Share of the progress before the first try without a limit, and share of what remains that each try takes."""
GRACE_SHARE = 0.05
"""Share of the limit by which a search may be late to finish a step."""


class OutOfTimeError(Cancelled):
    """Raised by the progress of a try to stop it, because the minutes are over."""


class Clock:
    """The progress of a search, and how much of its minutes is left.

    With a limit the share done is that of the minutes, whatever is reported; without one the first try, which is often
    the last, has most.
    """

    def __init__(self, report: Progress, minutes: float | None) -> None:
        self.limit = math.inf if minutes is None else 60 * minutes
        self.stops = False  # whether a step is stopped when the minutes are over
        self._report, self._began, self._share = report, time.perf_counter(), 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self._began

    @property
    def left(self) -> float:
        """Seconds that are left; infinite without a limit."""
        return self.limit - self.elapsed

    def of_try(self, number: int, last: bool) -> Progress:
        """Return the callback of a try, numbered from 1; `last` if no other can follow."""
        remaining = (1 - BEGIN_SHARE) * (1 - FIRST_TRY_SHARE) ** (number - 1)
        return part(self, 1 - remaining, 1.0 if last else 1 - remaining * (1 - FIRST_TRY_SHARE), f"try {number}")

    def __call__(self, share: float, note: str) -> None:
        """Report progress; raise `OutOfTimeError` if the minutes are over and the step is to be stopped then."""
        elapsed = self.elapsed
        if self.stops and elapsed > (1 + GRACE_SHARE) * self.limit:
            raise OutOfTimeError
        self._share = max(self._share, share if self.limit == math.inf else min(1.0, elapsed / self.limit))
        self._report(self._share, note)


def until(report: Progress, seconds: float) -> Progress:
    """Return a callback that ends a step, as `Cancelled` does, when it has taken more than `seconds`."""
    began = time.perf_counter()

    def report_until(share: float, note: str) -> None:
        if time.perf_counter() - began > seconds:
            raise OutOfTimeError
        report(share, note)

    return report_until


@dataclass(frozen=True)
class Try:
    """One plan that was tried: its ratio of MACs, whether little enough was lost, and what came of it in words."""

    macs_ratio: float
    good: bool
    shown: bool = False  # whether the images show that, not only suggest it
    loss: str = ""
    taken_back: str = ""  # a step that was taken back, or left out for want of time


def next_ratio(tries: Sequence[Try], *, larger: bool, expected: float | None = None) -> float | None:
    """Return the ratio of MACs to try next; None if none is worth a try.

    While every try lost too much, it is the ratio that is `expected` to lose little enough, or half of the saving if
    nothing is known of that. After that, if a `larger` ratio is looked for, it is the expected one, at most twice the
    saving and between the largest ratio that is good and the smallest above it that is not; else their middle.
    """
    good = max((one.macs_ratio for one in tries if one.good), default=None)
    bad = min((one.macs_ratio for one in tries if not one.good and one.macs_ratio > (good or 0.0)), default=None)
    if good is None:
        half = 1 + ((bad or 1.0) - 1) / 2
        ratio = expected if expected is not None and expected * MIN_RATIO_STEP <= (bad or 0.0) else half
        return ratio if ratio >= MIN_MACS_RATIO else None
    if not larger or good < MIN_MACS_RATIO:
        return None
    upper = 1 + 2 * (good - 1) if bad is None else bad
    ratio = upper if bad is None else (good + bad) / 2
    if expected is not None and good < expected < upper:
        ratio = expected
    return ratio if ratio >= MIN_RATIO_STEP * good else None


def best_of(tries: Sequence[Try]) -> int:
    """Return the index of the try to keep, or the last if none is good.

    Of the good ones it is the one that saves most, among those whose images show it if there are any.
    """
    good = [i for i, one in enumerate(tries) if one.good]
    return max(good, key=lambda i: (tries[i].shown, tries[i].macs_ratio)) if good else len(tries) - 1


def lines(tries: Sequence[Try], unfinished: str = "", ended: str = "") -> tuple[str, ...]:
    """Return a line for each try, for one that was not finished, and for why the search ended, if that is given.

    Without that, there are none if nothing was taken back.
    """
    if len(tries) == 1 and not tries[0].taken_back and not unfinished and not ended:
        return ()
    kept, found = best_of(tries), []
    for i, one in enumerate(tries):
        outcome = "kept" if one.good else "kept, although more is lost than is tolerated"
        if i != kept:
            less = "saves less" if one.macs_ratio < tries[kept].macs_ratio else "is less sure"
            outcome = f"{less} than try {kept + 1}" if one.good else "taken back"
        words = (f"MACs {times(one.macs_ratio)} fewer", one.loss, one.taken_back, outcome)
        found.append(f"try {i + 1}: {', '.join(filter(None, words))}")
    end = f"try {len(tries) + 1}: {unfinished}" if unfinished else f"ended: {ended}" if ended else ""
    return (*found, *([end] if end else []))
