"""Work in the background: progress, cancel, and errors as values. No widgets.

The work runs in a thread, but traits change in the thread that made the Job only (in a notebook the kernel's main
loop, which also handles what the page sends): two threads that change one widget lose updates now and then.
"""

import asyncio
import atexit
import logging
import re
import threading
import time
from collections.abc import Callable
from pathlib import PurePath

from traitlets import Bool, Float, HasTraits, Unicode

log = logging.getLogger(__name__)


class Cancelled(Exception):  # noqa: N818 - not an error
    """Raised inside the work when the user has asked to stop."""


PAUSE = 0.1
"""Seconds between two reports of progress that are passed on."""

FOLDERS = re.compile(r"(?<![\w./:<])/(?:[^\s/'\"<>]+/)+(?=[^\s/'\"<>])|\b[A-Za-z]:\\(?:[^\s\\'\"]+\\)+")
"""The folders before the last name of an absolute path."""


class Job(HasTraits):
    """One piece of work at a time, in a thread of its own.

    Traits
    ------
    title : what is going on, in words; stays after the end.
    running : whether it is.
    progress : share done, 0 to 1.
    note : what it is doing just now, or how it ended.
    error : one sentence if it failed, else "".
    """

    title = Unicode()
    running = Bool(False)
    progress = Float(0.0)
    note = Unicode()
    error = Unicode()

    def __init__(self) -> None:
        super().__init__()
        self._cancel = threading.Event()
        self._under_way, self._ended = 0, threading.Condition()
        self._told = 0.0
        self.leaving = False  # whether the interpreter ends; nobody has asked to stop then
        try:
            self.loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:  # a script or a test: nobody else changes the traits
            self.loop = None

    def start(self, title: str, work: Callable[["Job"], None]) -> bool:
        """Run ``work(self)`` in a thread; False if something else is still running."""
        if self.running:
            return False
        self._cancel.clear()
        with self.hold_trait_notifications():  # nobody sees the new title beside how the work before it ended
            self._set(title=title, note="", error="", progress=0.0, running=True)
        atexit.register(self._leave)
        with self._ended:
            self._under_way += 1
        threading.Thread(target=self._counted, args=(work,), name=title, daemon=True).start()
        return True

    def _leave(self) -> None:
        """Let the work end before the interpreter does: torch does not like to be cut off."""
        self.leaving = True
        self._cancel.set()
        self.wait(5)

    def _counted(self, work: Callable[["Job"], None]) -> None:
        try:
            self._run(work)
        finally:
            with self._ended:
                self._under_way -= 1
                self._ended.notify_all()

    def _run(self, work: Callable[["Job"], None]) -> None:
        started = time.perf_counter()
        end = {"error": ""}
        try:
            work(self)
            end |= {"note": f"done in {time.perf_counter() - started:.1f} s"}
        except Cancelled:
            end |= {"note": f"cancelled after {time.perf_counter() - started:.1f} s"}
        except (ValueError, OSError, LookupError) as error:
            log.warning("%s stopped", self.title, exc_info=True)  # what was given is at fault, not the workbench
            end |= {"note": "stopped", "error": sentence(error)}
        except Exception as error:
            log.exception("%s failed", self.title)
            fault = f"{self.title} stopped because of a fault in the workbench ({type(error).__name__})"
            end |= {"note": "stopped", "error": f"{fault}; the log has the details."}
        atexit.unregister(self._leave)
        self.post(lambda: self._set(**end, running=False))

    def _set(self, **traits: object) -> None:
        for name, value in traits.items():
            self.set_trait(name, value)

    def post(self, change: Callable[[], None]) -> None:
        """Have `change` called in the thread that may change traits; calls keep their order."""
        if self.loop is None or self.loop.is_closed():
            change()
        else:
            self.loop.call_soon_threadsafe(change)

    def beside(self, work: Callable[[], None]) -> None:
        """Do something that nobody waits for in a thread of its own; at once where there is no loop to post to."""
        if self.loop is None or self.loop.is_closed():
            work()  # two threads that change traits at the same time lose some
        else:
            threading.Thread(target=work).start()

    def cancel(self) -> None:
        """Ask the work to stop; it does at its next step."""
        if self.running:
            self.note = "stopping ..."
            self._cancel.set()

    def cancelled(self) -> bool:
        """Whether somebody has asked to stop."""
        return self._cancel.is_set()

    def tell(self, share: float, note: str = "") -> None:
        """Say how far the work is; too many reports without a note are thinned out."""
        now = time.perf_counter()
        if not note and now - self._told < PAUSE:
            return
        self._told = now
        said = {"note": note} if note and not self.cancelled() else {}
        progress = min(1.0, max(0.0, float(share)))
        self.post(lambda: self._set(progress=progress, **said))

    def report(self, share: float, note: str = "") -> None:
        """The same, and raise Cancelled if the work is to stop."""
        if self.cancelled():
            raise Cancelled
        self.tell(share, note)

    def part(self, begin: float, end: float, name: str = "") -> "Part":
        """A part of the work, to be handed to something that reports from 0 to 1."""
        return Part(self, begin, end, name)

    def wait(self, timeout: float | None = None) -> None:
        """Until the work has ended, and what it may have begun at its end: for scripts and tests.

        In a cell, what it found appears after the cell.
        """
        with self._ended:
            self._ended.wait_for(lambda: not self._under_way, timeout)


class Part:
    """A part of a job: what is reported as 0 to 1 is a share of the whole."""

    def __init__(self, job: Job, begin: float, end: float, name: str) -> None:
        self._job, self._begin, self._end, self._name = job, begin, end, name

    def _of_all(self, share: float, note: str) -> tuple[float, str]:
        return self._begin + (self._end - self._begin) * share, f"{self._name}: {note}" if note and self._name else note

    def tell(self, share: float, note: str = "") -> None:
        """As :meth:`Job.tell`."""
        self._job.tell(*self._of_all(share, note))

    def report(self, share: float, note: str = "") -> None:
        """As :meth:`Job.report`."""
        self._job.report(*self._of_all(share, note))

    def post(self, change: Callable[[], None]) -> None:
        """As :meth:`Job.post`."""
        self._job.post(change)

    def cancelled(self) -> bool:
        """As :meth:`Job.cancelled`."""
        return self._job.cancelled()

    def part(self, begin: float, end: float, name: str = "") -> "Part":
        """A part of this part."""
        names = ", ".join(filter(None, (self._name, name)))
        return Part(self._job, self._of_all(begin, "")[0], self._of_all(end, "")[0], names)

    @property
    def leaving(self) -> bool:
        """Whether the interpreter ends."""
        return self._job.leaving


def sentence(error: BaseException) -> str:
    """The message of an error as one sentence for people; a file's or a network's name keeps its case.

    The folders of an absolute path are left out: whoever looks at the page may not be whose machine this is.
    """
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if isinstance(error, OSError) and error.strerror:
        name = PurePath(str(error.filename)).name if error.filename else ""
        text = f"{name}: {error.strerror}" if name else error.strerror
    text = "".join(filter(str.isprintable, " ".join(text.split())))
    text = FOLDERS.sub("", text) or type(error).__name__
    first = text.split()[0]
    text = text if set(first[:-1]) & set("._0123456789") else text[0].upper() + text[1:]
    return text + ("" if text.endswith((".", "!", "?")) else ".")
