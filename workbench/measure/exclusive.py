"""Notes between processes that the workbench computes, so that a timing can tell whether it was disturbed.

A process that computes holds a lock on a file of its own in the cache folder; the system releases the lock of a process
that dies. The file's name has the machine's name, because several machines may share the folder.
"""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from workbench.plan.cache import folder
from workbench.progress import Progress, reporter

LOOK_INTERVAL_S = 0.25
"""Shortest time between two looks for other processes, so that looking costs a timing nothing."""
DISTURBED = "another session of the workbench was computing"


def _own_file() -> Path:
    return folder() / "computing" / f"{platform.node()}-{os.getpid()}.lock"


@contextmanager
def computing() -> Iterator[None]:
    """Tell other processes that this one computes, if the cache folder can be written to; contexts may be nested."""
    file = _own_file()
    with ExitStack() as stack:
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(file, timeout=1, thread_local=False, is_singleton=True))
        yield


def others_computing() -> bool:
    """Return whether another process on this machine is inside :func:`computing`; files of dead ones are removed."""
    own = _own_file()
    for file in own.parent.glob(f"{platform.node()}-*.lock"):
        if file != own:
            try:
                with FileLock(file, timeout=0):
                    file.unlink(missing_ok=True)
            except Timeout:
                return True
            except OSError:
                continue
    return False


class Watch:
    """Looks for other processes during a timing; `disturbed` is "", or a sentence if another one was seen."""

    def __init__(self, report: Progress) -> None:
        self.disturbed = ""
        self._report, self._next_look = report, 0.0

    def look(self) -> None:
        """Look for other processes now."""
        self._next_look = time.monotonic() + LOOK_INTERVAL_S
        if not self.disturbed and others_computing():
            self.disturbed = DISTURBED

    def report(self, share: float, note: str) -> None:
        """Report progress, and look if the last look was some time ago."""
        self._report(share, note)
        if time.monotonic() >= self._next_look:
            self.look()


@contextmanager
def watching(progress: Progress | bool | None = None) -> Iterator[Watch]:
    """Tell others that this process computes, and look for them at the beginning, at reports and at the end."""
    watch = Watch(reporter(progress))
    with computing():
        watch.look()
        yield watch
        watch.look()
