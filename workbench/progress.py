"""Report the progress of long functions, and cancel them."""

import sys
from collections.abc import Callable

Progress = Callable[[float, str], None]
"""Called with (share done, 0 to 1; note) at each step of a long function. It may raise `Cancelled`."""

BAR_WIDTH = 30
"""Characters of the progress bar in a terminal."""


class Cancelled(Exception):  # noqa: N818 - not an error
    """Raised by a progress callback to stop a long function."""


def reporter(progress: Progress | bool | None) -> Progress:
    """Return a callback: the one given, a progress bar on standard error for True, one that does nothing for None."""
    if progress is None or progress is False:
        return lambda share, note: None
    if progress is True:
        return _draw_bar
    if not callable(progress):
        raise TypeError(f"progress is a function of (share, note), True or None, not a {type(progress).__name__}")
    return progress


def part(report: Progress, begin: float, end: float, name: str = "") -> Progress:
    """Return a callback whose 0 to 1 is the part of the whole from `begin` to `end`; `name` is put before each note."""

    def report_part(share: float, note: str) -> None:
        report(begin + (end - begin) * share, ": ".join(filter(None, (name, note))))

    return report_part


def _draw_bar(share: float, note: str) -> None:
    done = round(BAR_WIDTH * min(1.0, max(0.0, share)))
    bar = "#" * done + "." * (BAR_WIDTH - done)
    sys.stderr.write(f"\r[{bar}] {share:4.0%} {note[:60]:60}" + ("\n" if share >= 1 else ""))
    sys.stderr.flush()
