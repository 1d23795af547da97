"""One queue, one thread: order, cancelling, short jobs, errors."""

import asyncio
import threading
from functools import partial

import pytest

from tests.app import conftest
from tests.helpers.sessions import idle
from workbench.app.worker import OUT_OF_MEMORY, Job, JobKind, JobState, Worker
from workbench.progress import Cancelled

FAULT = "Exporting stopped because of a fault in the workbench (RuntimeError); see the log."
NO_MEMORY = f"Exporting {OUT_OF_MEMORY}"


async def worker():
    return Worker()


on_a_loop = partial(conftest.on_a_loop, begin=worker)


@on_a_loop
async def test_jobs_run_in_order_in_one_other_thread_and_traits_change_in_the_loop_s(worker):
    threads, seen, values = set(), set(), []
    worker.observe(lambda _: seen.add(threading.get_ident()))

    def work(number, job):
        threads.add(threading.get_ident())
        job.report(0.5, "half")
        return number

    jobs = [worker.submit(JobKind.GALLERY, "count", partial(work, n), values.append) for n in range(5)]
    for job in jobs:
        job.observe(lambda _: seen.add(threading.get_ident()))
    assert worker.jobs == tuple(jobs)
    await idle(worker)
    assert values == [0, 1, 2, 3, 4]
    assert len(threads) == 1
    assert seen == {threading.get_ident()} != threads
    assert (worker.jobs, {(job.state, job.progress) for job in jobs}) == ((), {(JobState.DONE, 1.0)})


@on_a_loop
async def test_a_waiting_job_is_taken_back_and_a_running_one_stops_at_its_next_report(worker):
    started, ran = threading.Event(), []

    def endless(job):
        started.set()
        while True:
            job.report(0.1)

    running = worker.submit(JobKind.TRAIN, "train", endless)
    waiting = worker.submit(JobKind.EXPORT, "export", ran.append, ran.append)
    await asyncio.to_thread(started.wait)
    waiting.cancel()
    assert waiting.state is JobState.CANCELLED
    assert worker.jobs == (running,)
    running.cancel()
    await idle(worker)
    assert (running.state, running.error, ran) == (JobState.CANCELLED, "", [])


@on_a_loop
async def test_a_preview_waits_for_what_the_user_presses(worker):
    gate, order = threading.Event(), []
    worker.submit(JobKind.SPEED, "first", lambda job: gate.wait(10))
    for kind in (JobKind.PREVIEW, JobKind.EXPORT, JobKind.PREVIEW, JobKind.SPEED):
        worker.submit(kind, "next", lambda job: order.append(job.kind))
    gate.set()
    await idle(worker)
    assert order == [JobKind.EXPORT, JobKind.SPEED, JobKind.PREVIEW, JobKind.PREVIEW]


@on_a_loop
async def test_only_short_jobs_run_between_the_epochs_of_a_long_one(worker):
    order, queued, started = [], threading.Event(), threading.Event()

    def long(job):
        started.set()
        queued.wait()
        order.append("epoch 1")
        job.let_short_jobs_run()
        order.append("epoch 2")

    worker.submit(JobKind.TRAIN, "train", long)
    await asyncio.to_thread(started.wait)
    worker.submit(JobKind.EXPORT, "export", lambda _: order.append("export"))
    worker.submit(JobKind.GALLERY, "gallery", lambda _: order.append("gallery"), short=True)
    queued.set()
    await idle(worker)
    assert order == ["epoch 1", "gallery", "epoch 2", "export"]


def test_a_report_is_shown_though_the_one_before_is_taken_meanwhile():
    worker, posted = Worker(), []
    job = Job(worker, JobKind.TRAIN, "train")
    worker.post = lambda change, delay_s: posted.append(change)
    job.state = JobState.RUNNING

    class Share(float):
        def __float__(self):
            posted.pop()()
            return 0.5

    job.report(0.1)
    job.report(Share())
    for change in posted:
        change()
    assert (job.progress, len(posted)) == (0.5, 1)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("error", "said", "logged"),
    [
        (ValueError("no images"), "No images.", ["WARNING"]),
        (OSError(28, "No space left", "/srv/a/runs.sqlite"), "runs.sqlite: No space left.", ["WARNING"]),
        (ValueError("weights.pt is no file"), "weights.pt is no file.", ["WARNING"]),
        (ValueError("cannot read /home/user/secret/a.png"), "Cannot read a.png.", ["WARNING"]),
        (ValueError(""), "ValueError.", ["WARNING"]),
        (KeyError("no layer x"), "No layer x.", ["WARNING"]),
        (MemoryError(), NO_MEMORY, ["WARNING"]),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), NO_MEMORY, ["WARNING"]),
        (RuntimeError("boom"), FAULT, ["ERROR"]),
        (Cancelled(), "", []),
    ],
)
def test_how_a_job_fails(caplog, error, said, logged, late):
    """In its function, or when its value is taken."""

    def fail(_):
        raise error

    job = Worker().submit(JobKind.EXPORT, "Exporting", *([str, fail] if late else [fail]))
    assert (job.state, job.error) == (JobState.FAILED if said else JobState.CANCELLED, said)
    assert [record.levelname for record in caplog.records if record.exc_info] == logged
