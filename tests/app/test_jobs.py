import asyncio
import threading
import time

import pytest

from workbench.app.jobs import Cancelled, Job, sentence


def finished(job, title, work):
    assert job.start(title, work)
    job.wait(10)
    return job


def test_progress_notes_and_the_end():
    job, seen = Job(), []
    job.observe(lambda change: seen.append((change["name"], change["new"])), ["progress", "note", "running"])

    def work(job):
        job.report(0.5, "half")
        job.report(7, "more than all")

    finished(job, "Working", work)
    assert ("progress", 0.5) in seen
    assert ("note", "half") in seen
    assert job.progress == 1
    assert not job.running
    assert job.note.startswith("done in")
    assert job.error == ""


def test_nobody_sees_a_new_title_beside_the_end_of_the_work_before():
    """Whoever reads "Second: done" may press the next button."""
    job, seen = finished(Job(), "First", lambda _: None), []
    ended = job.note = "done in 7.0 s"
    job.observe(lambda _: seen.append((job.title, job.note, job.error, job.running)))
    finished(job, "Second", lambda j: j.report(0.5, "half"))
    assert {row[0] for row in seen} == {"Second"}
    assert ended not in {note for _, note, _, _ in seen}
    assert ("Second", "", "", True) in seen
    assert seen[-1][3] is False
    assert ("Second", "half", "", True) in seen


def test_one_at_a_time():
    job, gate = Job(), threading.Event()
    assert job.start("first", lambda _: gate.wait(10))
    assert job.running
    assert not job.start("second", lambda _: None)
    assert job.title == "first"
    gate.set()
    job.wait(10)
    assert finished(job, "second", lambda _: None).title == "second"


def test_cancel_reaches_the_work_within_a_second():
    job, started = Job(), threading.Event()

    def work(job):
        while True:
            job.report(0.1)
            started.set()
            time.sleep(0.005)

    job.start("Endless", work)
    assert started.wait(5)
    asked = time.perf_counter()
    job.cancel()
    job.wait(5)
    assert time.perf_counter() - asked < 1
    assert not job.running
    assert job.note.startswith("cancelled after")
    assert job.error == ""


def test_cancel_without_work_does_nothing():
    job = Job()
    job.cancel()
    assert not job.cancelled()


def test_errors_are_one_sentence_and_the_log_has_the_rest(caplog):
    def bad_input(_):
        raise ValueError("the file is empty")

    def fault(_):
        raise ZeroDivisionError("division by zero")

    job = finished(Job(), "Reading", bad_input)
    assert job.error == "The file is empty."
    assert not job.running
    assert "Traceback" in caplog.text
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    job = finished(job, "Dividing", fault)
    assert job.error == (
        "Dividing stopped because of a fault in the workbench (ZeroDivisionError); the log has the details."
    )
    assert finished(job, "Again", lambda _: None).error == ""


def test_traits_change_in_the_thread_that_made_the_job():
    """Under an event loop, as in a kernel, the worker only posts."""
    threads = set()

    async def session():
        job, ended = Job(), asyncio.Event()

        def seen(change):
            threads.add(threading.current_thread())
            if change["name"] == "running" and not change["new"]:
                ended.set()

        job.observe(seen, ["progress", "note", "running"])
        job.start("Working", lambda j: [j.report(i / 9, f"step {i}") for i in range(9)])
        await asyncio.wait_for(ended.wait(), 10)
        return job

    job = asyncio.run(session())
    assert threads == {threading.main_thread()}
    assert job.note.startswith("done in")


def test_waiting_includes_what_begins_at_the_end_of_the_work():
    for _ in range(50):  # that the work ends before `start` does is a matter of chance
        job, done = Job(), []

        def again(_, job=job, done=done):
            if not job.running and len(done) < 3:
                job.start(f"Number {len(done)}", lambda _: [time.sleep(0.002), done.append(1)])

        job.observe(again, ["running"])
        finished(job, "First", lambda _: None)
        assert len(done) == 3
    job.start("Long", lambda j: [time.sleep(0.01) for _ in iter(j.cancelled, True)])
    job.wait(0.05)
    assert job.running
    job.cancel()
    job.wait(10)
    assert not job.running


def test_nothing_changes_traits_beside_the_work_where_there_is_no_loop():
    """Two threads that hold back a page's notifications at the same time lose some of them."""
    places = []
    job = finished(Job(), "Working", lambda j: j.beside(lambda: places.append(threading.current_thread().name)))
    assert places == ["Working"]
    assert not job.running


def test_under_a_loop_the_work_does_not_wait_for_what_is_beside_it():
    async def session():
        job, goes_on, done = Job(), threading.Event(), asyncio.Event()

        def beside():
            assert goes_on.wait(10)
            job.post(done.set)

        job.start("Working", lambda j: j.beside(beside))
        job.wait(10)  # although `beside` is not through
        goes_on.set()
        await asyncio.wait_for(done.wait(), 10)

    asyncio.run(session())


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("a b\n c"), "A b c."),
        (KeyError("no layer 'x'"), "No layer 'x'."),
        (OSError("Disk full!"), "Disk full!"),
        (ValueError(), "ValueError."),
        (ValueError("there is no folder /home/ann/data/cats"), "There is no folder cats."),
        (ValueError("'/srv/a b/c.png' is no sound image"), "'a b/c.png' is no sound image."),
        (ValueError(r"C:\Users\ann\x.pth is damaged"), "x.pth is damaged."),
        (ValueError("see https://example.org/a/b for 1/2 of it"), "See https://example.org/a/b for 1/2 of it."),
        (ValueError("../../a.png leads out"), "../../a.png leads out."),
        (FileNotFoundError(2, "No such file or directory", "/srv/runs/a.bin"), "a.bin: No such file or directory."),
        (OSError(28, "No space left on device"), "No space left on device."),
        (ValueError("a\u202eb\0c"), "Abc."),
    ],
)
def test_sentences(error, text):
    assert sentence(error) == text


def test_cancelled_is_no_error():
    def work(job):
        raise Cancelled

    assert finished(Job(), "Stopping", work).error == ""
