"""Notes between processes that the workbench computes, so that a timing can tell whether it was disturbed.

A process that computes holds a lock on a file of its own in the cache folder, which several machines may share.
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
    """Reports progress and looks for other processes meanwhile; `disturbed` is "", or a sentence if one was seen."""

    def __init__(self, report: Progress) -> None:
        self.disturbed, self._report = "", report

    def look(self) -> None:
        """Look for other processes now."""
        self.disturbed = self.disturbed or (DISTURBED if others_computing() else "")

    def report(self, share: float, note: str) -> None:
        """Report progress, and look."""
        self._report(share, note)
        self.look()


@contextmanager
def watching(progress: Progress | bool | None = None) -> Iterator[Watch]:
    """Tell others that this process computes, and look for them at the beginning, at reports and at the end."""
    with computing():
        watch = Watch(reporter(progress))
        watch.look()
        yield watch
        watch.look()
