"""Report the progress of long functions, estimate their remaining time, and cancel them.

The share that a function reports is roughly its share of the time, so that the remaining time can be computed.
"""

import sys
import time
from collections.abc import Callable

Progress = Callable[[float, str], None]
"""Called with (share done, 0 to 1; note) at each step of a long function. It may raise `Cancelled`."""

BAR_WIDTH, NOTE_WIDTH = 30, 44
"""Characters of the progress bar in a terminal, and of the note after it."""

ESTIMATE_AFTER_S, MIN_ESTIMATE_SHARE = 2.0, 0.01
"""Smallest elapsed seconds and share from which the remaining time is estimated."""


class Cancelled(Exception):  # noqa: N818 - not an error
    """Raised by a progress callback to stop a long function."""


def reporter(progress: Progress | bool | None) -> Progress:
    """Return a progress callback: for True a bar on standard error, for None or False one that does nothing."""
    if progress is None or progress is False:
        return lambda share, note: None
    if progress is True:
        return ProgressBar()
    if not callable(progress):
        raise TypeError(f"progress is a function of (share, note), True or None, not a {type(progress).__name__}")
    return progress


def part(report: Progress, begin: float, end: float, name: str = "") -> Progress:
    """Return a callback for one part of a function, from share `begin` to `end`; `name` precedes each note."""

    def report_part(share: float, note: str) -> None:
        report(begin + (end - begin) * share, ": ".join(filter(None, (name, note))))

    return report_part


def remaining_seconds(share: float, elapsed: float) -> float | None:
    """Return the remaining seconds of a function after `elapsed` seconds; None if it is too early to estimate them."""
    if elapsed < ESTIMATE_AFTER_S or share < MIN_ESTIMATE_SHARE:
        return None
    return elapsed * max(0.0, 1 - share) / share


def remaining_text(seconds: float) -> str:
    """Return the remaining time as text, like "about 1 min 20 s left"."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"about {f'{minutes} min {seconds:02d} s' if minutes else f'{seconds} s'} left"


class ProgressBar:
    """Draws the share, the note and the remaining time on standard error, which a notebook shows below the cell."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def __call__(self, share: float, note: str) -> None:
        """Overwrite the line with the current progress."""
        seconds = remaining_seconds(share, time.perf_counter() - self._start) if share < 1 else None
        filled = round(BAR_WIDTH * min(1.0, max(0.0, share)))
        bar = "#" * filled + "." * (BAR_WIDTH - filled)
        remaining = "" if seconds is None else remaining_text(seconds)
        line = f"\r[{bar}] {share:4.0%} {note[:NOTE_WIDTH]:{NOTE_WIDTH}} {remaining:24}"
        sys.stderr.write(line + ("\n" if share >= 1 else ""))
        sys.stderr.flush()
