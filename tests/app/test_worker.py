"""One queue, one thread: order, cancelling, short jobs, errors."""

import asyncio
import threading
from functools import partial

import pytest

from tests.app import conftest
from workbench.app.worker import Job, JobKind, JobState, Worker
from workbench.progress import Cancelled

FAULT = "Exporting stopped because of a fault in the workbench (RuntimeError); see the log."


async def worker():
    return Worker()


on_a_loop = partial(conftest.on_a_loop, begin=worker)


async def ended(*jobs: Job) -> None:
    while any(job.active for job in jobs):
        await asyncio.sleep(0.005)


@on_a_loop
async def test_jobs_run_in_order_in_one_other_thread_and_traits_change_in_the_loop_s(worker):
    threads, seen, values = set(), set(), []
    worker.observe(lambda _: seen.add(threading.get_ident()))

    def work(number):
        def function(job):
            threads.add(threading.get_ident())
            job.report(0.5, "half")
            return number

        return function

    jobs = [worker.submit(JobKind.GALLERY, "count", work(n), values.append) for n in range(5)]
    for job in jobs:
        job.observe(lambda _: seen.add(threading.get_ident()))
    assert worker.jobs == tuple(jobs)
    await ended(*jobs)
    assert values == [0, 1, 2, 3, 4]
    assert len(threads) == 1
    assert seen == {threading.get_ident()} != threads
    assert worker.jobs == ()
    assert {job.state for job in jobs} == {JobState.DONE}
    assert {job.progress for job in jobs} == {1.0}


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
    await ended(running)
    assert (running.state, running.error, ran) == (JobState.CANCELLED, "", [])


@on_a_loop
async def test_only_short_jobs_run_between_the_epochs_of_a_long_one(worker):
    order, queued, started = [], threading.Event(), threading.Event()

    def long(job):
        started.set()
        queued.wait()
        order.append("epoch 1")
        job.let_short_jobs_run()
        order.append("epoch 2")

    first = worker.submit(JobKind.TRAIN, "train", long)
    await asyncio.to_thread(started.wait)
    other = worker.submit(JobKind.EXPORT, "export", lambda _: order.append("export"))
    short = worker.submit(JobKind.GALLERY, "gallery", lambda _: order.append("gallery"), short=True)
    queued.set()
    await ended(first, other, short)
    assert order == ["epoch 1", "gallery", "epoch 2", "export"]


@pytest.mark.parametrize(
    ("error", "state", "said", "level"),
    [
        (ValueError("no images"), JobState.FAILED, "No images.", "WARNING"),
        (
            OSError(28, "No space left on device", "/srv/a/runs.sqlite"),
            JobState.FAILED,
            "runs.sqlite: No space left on device.",
            "WARNING",
        ),
        (FileNotFoundError(2, "No such file", "/a/b.json"), JobState.FAILED, "b.json: No such file.", "WARNING"),
        (ValueError("weights.pt is no file"), JobState.FAILED, "weights.pt is no file.", "WARNING"),
        (ValueError("cannot read /home/user/secret/a.png"), JobState.FAILED, "Cannot read a.png.", "WARNING"),
        (ValueError(""), JobState.FAILED, "ValueError.", "WARNING"),
        (KeyError("no layer x"), JobState.FAILED, "No layer x.", "WARNING"),
        (RuntimeError("boom"), JobState.FAILED, FAULT, "ERROR"),
        (Cancelled(), JobState.CANCELLED, "", None),
    ],
)
def test_how_a_job_fails(caplog, error, state, said, level):
    def fail(_):
        raise error

    job = Worker().submit(JobKind.EXPORT, "Exporting", fail)
    assert job.state is state
    assert job.error == said
    assert [(r.levelname, r.exc_info is not None) for r in caplog.records] == ([(level, True)] if level else [])


def test_a_value_that_cannot_be_taken_fails_the_job(caplog):
    job = Worker().submit(JobKind.EXPORT, "Exporting", lambda _: 1, lambda value: value.missing)
    assert job.state is JobState.FAILED
    assert "AttributeError" in job.error
    assert caplog.records[-1].exc_info


def test_without_a_loop_a_job_has_ended_when_submit_returns():
    taken = []
    job = Worker().submit(JobKind.OPEN, "Opening", lambda job: job.report(0.3, "x") or 7, taken.append)
    assert (job.state, taken) == (JobState.DONE, [7])


@on_a_loop
async def test_many_reports_become_few_traits_and_the_last_is_shown(worker):
    seen, go = [], threading.Event()

    def work(job):
        for i in range(2000):
            job.report(i / 2000, f"step {i}")
        go.wait()

    job = worker.submit(JobKind.TRAIN, "train", work)
    job.observe(lambda change: seen.append(change["new"]), "note")
    while "step 1999" not in seen:
        await asyncio.sleep(0.01)
    go.set()
    await ended(job)
    assert len(seen) < 60
