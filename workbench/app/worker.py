"""Run the computations of a session one after the other, in one thread; only the event loop's thread writes traits.

No computation disturbs another's timing or sees its hooks. In a script, where no event loop runs, a job runs at once.
"""

import asyncio
import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

from traitlets import Enum, Float, HasTraits, Tuple, Unicode

from workbench.app.errors import sentence
from workbench.measure.exclusive import computing
from workbench.progress import Cancelled, remaining_seconds

log = logging.getLogger(__name__)
T = TypeVar("T")
Entry = tuple["Job", Callable[["Job"], Any], Callable[[Any], None] | None]

REPORT_INTERVAL_S = 0.1  # between two updates of the progress traits
# Time for a running job to stop when the interpreter exits: torch crashes if it is cut off, and Jupyter waits 2.5 s.
EXIT_WAIT_S = 2.0
OUT_OF_MEMORY = "needs more memory than there is: take a smaller network or smaller pictures, or close other programs."


class JobKind(StrEnum):
    """What a job computes."""

    OPEN = "open"
    LIST_NETWORKS = "list networks"
    IMPORTANCE = "importance"
    LAYER_TIMES = "layer times"
    AUTOMATIC = "automatic"
    DECOMPOSE = "decompose"
    CALIBRATE = "calibrate"
    TRAIN = "train"
    FROM_SCRATCH = "from scratch"
    SWEEP = "sweep"
    RESUME = "resume"
    GALLERY = "gallery"
    PREVIEW = "preview"
    RANK_CURVE = "rank curve"
    PAPER = "paper"
    SPEED = "speed"
    EXPORT = "export"


COMPRESSING = (JobKind.AUTOMATIC, JobKind.DECOMPOSE, JobKind.CALIBRATE, JobKind.TRAIN, JobKind.FROM_SCRATCH)


class JobState(StrEnum):
    """States of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Job(HasTraits):
    """A computation, its state and its progress."""

    kind = Enum(list(JobKind))
    state = Enum(list(JobState), JobState.WAITING)
    title = Unicode()
    progress = Float(0.0)  # share done, 0 to 1
    note = Unicode()  # the current part of the work, or how the job ended
    remaining_s = Float(-1.0)  # estimated; -1 while unknown
    error = Unicode()  # one sentence if it failed, else ""

    def __init__(self, worker: "Worker", kind: JobKind, title: str, *, short: bool = False) -> None:
        super().__init__(kind=kind, title=title)
        self.short = short
        self.cancelled = False  # whether it is asked to stop
        self.exiting = False  # whether it is asked to stop because the interpreter exits
        self._worker = worker
        self._started = 0.0
        self._report = (0.0, "")
        self._posted = False  # whether the loop's thread has yet to show the last report

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in (JobState.WAITING, JobState.RUNNING)

    def cancel(self) -> None:
        """Stop a running job at its next report, or remove a waiting one from the queue."""
        if self.active:
            self.cancelled = True
            self._worker.take_back(self)

    def report(self, share: float, note: str = "") -> None:
        """Report the progress from the job's function; raise Cancelled if the job is asked to stop."""
        if self.cancelled:
            raise Cancelled
        self._report = (min(1.0, max(0.0, float(share))), note)
        if not self._posted:
            self._posted = True
            self._worker.post(self._show, delay_s=REPORT_INTERVAL_S)

    def let_short_jobs_run(self) -> None:
        """Run the waiting short jobs; a long job calls this where nothing is half-changed, as between two epochs."""
        while entry := self._worker.take_job(lambda job: job.short):
            self._worker.run(*entry)

    def _show(self) -> None:
        """Write the last report to the traits, in the thread of the event loop."""
        self._posted = False  # before the report is read: a later one is posted again
        if self.state is JobState.RUNNING and not self.cancelled:
            share, note = self._report
            remaining_s = remaining_seconds(share, time.perf_counter() - self._started)
            with self.hold_trait_notifications():
                self.progress, self.note = share, note or self.note
                self.remaining_s = -1.0 if remaining_s is None else remaining_s


class Worker(HasTraits):
    """The queue and the thread of a session."""

    jobs = Tuple()  # running and waiting, in the order of submission

    def __init__(self) -> None:
        super().__init__()
        self._loop: asyncio.AbstractEventLoop | None = None
        with suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()
        self._queue: deque[Entry] = deque()
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._current: list[Job] = []

    @property
    def has_loop(self) -> bool:
        """Whether jobs run in the background."""
        return self._loop is not None and not self._loop.is_closed()

    def busy(self, *kinds: JobKind) -> bool:
        """Return whether a job of these kinds waits or runs."""
        return any(job.kind in kinds for job in self.jobs)

    def submit(
        self,
        kind: JobKind,
        title: str,
        function: Callable[[Job], T],
        done: Callable[[T], None] | None = None,
        *,
        short: bool = False,
    ) -> Job:
        """Queue a computation; a `short` one may run between the epochs of a long one, previews run last.

        The function reads and writes no traits. `done` takes its value in the loop's thread, before the job is done.
        """
        job = Job(self, kind, title, short=short)
        self.jobs = (*self.jobs, job)
        if not self.has_loop:
            self.run(job, function, done)
            return job
        with self._lock:
            self._queue.append((job, function, done))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run_queue, name="workbench worker", daemon=True)
                self._thread.start()
                atexit.register(self._exit)
        return job

    def post(self, function: Callable[[], object], *, delay_s: float = 0.0) -> None:
        """Call a function in the thread of the event loop; calls without a delay keep their order."""
        if self._loop is None or self._loop.is_closed():
            function()
            return
        with suppress(RuntimeError):  # the loop was closed meanwhile
            arguments = (self._loop.call_later, delay_s, function) if delay_s else (function,)
            self._loop.call_soon_threadsafe(*arguments)

    def take_back(self, job: Job) -> None:
        """Remove a waiting job from the queue; called by :meth:`Job.cancel`."""
        if self.take_job(lambda other: other is job):
            self._end(job, JobState.CANCELLED, "taken back")
        else:
            job.note = "stopping ..."

    def take_job(self, matches: Callable[[Job], bool]) -> Entry | None:
        """Remove the first matching job from the queue, and return it."""
        with self._lock:
            entry = next((entry for entry in self._queue if matches(entry[0])), None)
            if entry is not None:
                self._queue.remove(entry)
            return entry

    def _run_queue(self) -> None:
        while True:
            with self._lock:
                entry = self.take_job(lambda job: job.kind is not JobKind.PREVIEW) or self.take_job(lambda job: True)
                if entry is None:
                    self._thread = None
                    atexit.unregister(self._exit)
                    return
            self.run(*entry)

    def run(self, job: Job, function: Callable[[Job], Any], done: Callable[[Any], None] | None) -> None:
        """Run one job to its end; its errors become the state and the sentence of the job."""
        job._started = time.perf_counter()
        self._current.append(job)
        self.post(lambda: job.set_trait("state", JobState.RUNNING))

        def compute() -> Any:
            if job.cancelled:
                raise Cancelled
            with computing():
                return function(job)

        try:
            value, state, error = _attempt(job.title, compute)
        finally:
            self._current.pop()
        seconds = time.perf_counter() - job._started

        def deliver() -> None:
            end_state, message = state, error
            if end_state is JobState.DONE and done is not None:
                _, end_state, message = _attempt(job.title, partial(done, value))
            outcome = "stopped" if end_state is JobState.FAILED else str(end_state)
            self._end(job, end_state, f"{outcome} after {seconds:.1f} s", message)

        self.post(deliver)

    def _end(self, job: Job, state: JobState, note: str, error: str = "") -> None:
        with job.hold_trait_notifications():
            job.note, job.error, job.remaining_s = note, error, -1.0
            job.progress = 1.0 if state is JobState.DONE else job.progress
            job.state = state
        self.jobs = tuple(other for other in self.jobs if other is not job)

    def _exit(self) -> None:
        """Stop the running jobs and drop the waiting ones before the interpreter exits."""
        with self._lock:
            self._queue.clear()
        for job in self._current:
            job.exiting = job.cancelled = True
        deadline = time.monotonic() + EXIT_WAIT_S
        while self._current and time.monotonic() < deadline:
            time.sleep(0.02)


def _attempt(title: str, function: Callable[[], Any]) -> tuple[Any, JobState, str]:
    """Call a function; return its value, the resulting state, and a sentence if it failed."""
    try:
        return function(), JobState.DONE, ""
    except Cancelled:
        return None, JobState.CANCELLED, ""
    except Exception as error:
        message = f"{title} {OUT_OF_MEMORY}"
        if isinstance(error, ValueError | OSError | LookupError | ImportError):
            message = sentence(error)
        elif not isinstance(error, MemoryError) and "allocate memory" not in str(error):  # torch raises RuntimeError
            log.exception("%s failed", title)
            reason = f"a fault in the workbench ({type(error).__name__}); see the log."
            return None, JobState.FAILED, f"{title} stopped because of {reason}"
        log.warning("%s stopped", title, exc_info=True)  # because of the input or the machine, not of the workbench
        return None, JobState.FAILED, message
