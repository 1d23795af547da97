"""Detect other processes of the workbench that compute on this machine and so disturb measurements.

While a process computes, it holds a lock on a file in the cache folder. The file's name has the machine, since several
machines may share the folder, and the process id.
"""

import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from workbench.plan.cache import folder
from workbench.progress import Progress, reporter

DISTURBED = "another session of the workbench was computing"


def _lock_file() -> Path:
    return folder() / "computing" / f"{platform.node()}-{os.getpid()}.lock"


@contextmanager
def computing() -> Iterator[None]:
    """Hold the lock of this process, if the cache folder is writable; contexts may be nested."""
    file = _lock_file()
    with ExitStack() as stack:
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(file, timeout=1, thread_local=False, is_singleton=True))
        yield


def others_computing() -> bool:
    """Return whether another process on this machine is inside :func:`computing`; remove the files of ended ones."""
    own = _lock_file()
    for file in own.parent.glob(f"{platform.node()}-*.lock"):
        try:
            if file != own:
                with FileLock(file, timeout=0):
                    file.unlink(missing_ok=True)
        except Timeout:
            return True
        except OSError:
            continue
    return False


class Watch:
    """Reports progress and checks for other computing processes; `disturbed` is a message if one was found, else ""."""

    def __init__(self, report: Progress) -> None:
        self.disturbed, self._report = "", report

    def check(self) -> None:
        """Check for other computing processes."""
        self.disturbed = self.disturbed or (DISTURBED if others_computing() else "")

    def report(self, share: float, note: str) -> None:
        """Report progress, then check for other computing processes."""
        self._report(share, note)
        self.check()


@contextmanager
def watching(progress: Progress | bool | None = None) -> Iterator[Watch]:
    """Hold the lock of this process, and check for others at the beginning, at each progress report and at the end."""
    with computing():
        watch = Watch(reporter(progress))
        watch.check()
        yield watch
        watch.check()
