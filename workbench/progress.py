"""Report the progress of long functions, estimate how long they still take, and cancel them.

The share that a function reports is about that of its time, so that the remaining seconds follow from it.
"""

import sys
import time
from collections.abc import Callable

Progress = Callable[[float, str], None]
"""Called with (share done, 0 to 1; note) at each step of a long function. It may raise `Cancelled`."""

BAR_WIDTH, NOTE_WIDTH = 30, 44
"""Characters of the progress bar in a terminal, and of the note behind it."""

ESTIMATE_AFTER_S, MIN_ESTIMATE_SHARE = 2.0, 0.01
"""Seconds and share of a function from which on its remaining time is estimated."""


class Cancelled(Exception):  # noqa: N818 - not an error
    """Raised by a progress callback to stop a long function."""


def reporter(progress: Progress | bool | None) -> Progress:
    """Return a callback: the one given, a progress bar on standard error for True, one that does nothing for None."""
    if progress is None or progress is False:
        return lambda share, note: None
    if progress is True:
        return ProgressBar()
    if not callable(progress):
        raise TypeError(f"progress is a function of (share, note), True or None, not a {type(progress).__name__}")
    return progress


def part(report: Progress, begin: float, end: float, name: str = "") -> Progress:
    """Return a callback whose 0 to 1 is the part of the whole from `begin` to `end`; `name` is put before each note."""

    def report_part(share: float, note: str) -> None:
        report(begin + (end - begin) * share, ": ".join(filter(None, (name, note))))

    return report_part


def remaining_seconds(share: float, elapsed: float) -> float | None:
    """Return the seconds that a function still takes after `elapsed` seconds; None while it is too early to tell."""
    if elapsed < ESTIMATE_AFTER_S or share < MIN_ESTIMATE_SHARE:
        return None
    return elapsed * max(0.0, 1 - share) / share


def remaining_text(seconds: float) -> str:
    """Return words like "about 1 min 20 s left"."""
    minutes, left = divmod(round(seconds), 60)
    return f"about {f'{minutes} min {left:02d} s' if minutes else f'{left} s'} left"


class ProgressBar:
    """Draws the share, the note and the remaining time on standard error, which a notebook shows below the cell."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def __call__(self, share: float, note: str) -> None:
        """Draw the line anew, over the one before."""
        left = remaining_seconds(share, time.perf_counter() - self._began) if share < 1 else None
        done = round(BAR_WIDTH * min(1.0, max(0.0, share)))
        bar = "#" * done + "." * (BAR_WIDTH - done)
        words = "" if left is None else remaining_text(left)
        line = f"\r[{bar}] {share:4.0%} {note[:NOTE_WIDTH]:{NOTE_WIDTH}} {words:24}"
        sys.stderr.write(line + ("\n" if share >= 1 else ""))
        sys.stderr.flush()
