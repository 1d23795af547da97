"""A saved session can be resumed once its kernel has ended."""

import json
import os
import time
from unittest.mock import Mock

import pytest

from tests.app.conftest import on_a_loop, small_session
from tests.helpers.sessions import idle
from workbench.app import saved_sessions
from workbench.app.saved_sessions import SavedSessions

BROWSER, OTHER = "0123456789abcdef" * 2, "f" * 32


def begun(browser=BROWSER):
    """A session of a browser, with the small network open."""
    session = small_session(opened=True)
    session.autosave.begin(browser)
    return session


def left(act):
    """The file of a session in which that was done, and whose kernel has ended."""
    session = begun()
    act(session)
    session.autosave.sessions._lock.release()
    return session.autosave.sessions.file


def edit(session):
    session.plan.choose_ranks("3", rank_in=4, rank_out=5)


def test_a_session_is_offered_to_its_browser_once_its_kernel_has_ended():
    first = begun()
    file = first.autosave.sessions.file
    assert (first.autosave.offer, file.exists()) == (None, False)  # nothing to resume yet
    first.look.pick("3")
    edit(first)
    assert file.exists()
    second = begun()
    assert (second.autosave.offer, second.autosave.elsewhere) == (None, True)
    assert begun(OTHER).autosave.offer is None
    first.autosave.sessions._lock.release()
    third = begun()
    assert "small on tiny, just now" in third.autosave.offer.describe()
    third.autosave.accept()
    assert (third.plan.plan, third.look.picked) == (first.plan.plan, "3")
    assert (file.exists(), third.autosave.sessions.file.exists()) == (False, True)
    third.undo()
    assert third.plan.plan.by_hand == ()


def test_the_run_and_the_settings_come_back_on_a_loop_too_where_steps_wait_for_jobs():
    def planned_twice(session):
        session.plan.replan(planner="budget", macs_ratio=1.5)
        session.recover.decompose()
        session.recover.calibrate()
        session.plan.replan(macs_ratio=1.8)

    left(planned_twice)

    async def resume(session):
        session.autosave.begin(BROWSER)
        session.autosave.accept()
        await idle(session)
        recover = session.recover
        assert (recover.run.number, recover.run.last.name, recover.as_planned) == (1, "calibrated", False)
        assert (session.plan.settings["macs_ratio"], session.autosave.problem) == (1.8, "")

    on_a_loop(resume)()


@pytest.mark.parametrize("stage", ["from scratch", "fine-tuned"])
def test_training_that_was_cut_off_goes_on(stage):
    def cut_off(session):
        session.recover.decompose()
        values = {"epochs": 2, "learning_rate": 1e-3, "schedule": "step", "learn_from": "labels"}
        session.recover.training = {"stage": stage, **values}

    left(cut_off)
    session = begun()
    assert session.autosave.offer.interrupted_work.endswith("run 1")
    session.autosave.accept()
    assert session.recover.run.stages[-1].name == stage
    assert len(session.recover.curve) == 2


def test_compress_for_me_that_was_cut_off_begins_again_with_its_plan():
    def cut_off(session):
        edit(session)
        session.recover.search_minutes = 0.02

    left(cut_off)
    session, seen = begun(), []
    session.recover.observe(lambda change: seen.append(change["new"]), "search_minutes")
    session.autosave.accept()
    first = session.recover.runs[0].plan["3"]
    assert (first.rank_in, first.rank_out, seen) == (4, 5, [0.02, 0.0])


@pytest.mark.parametrize(
    "change",
    [
        {"version": 99},
        {"plan": 3},
        {"choice": {"network": "small"}},
        {"minutes": "1"},
        {"settings": []},
        {"browser": OTHER},
        None,
    ],
)
def test_files_that_are_no_session_of_this_browser_are_left_out(change):
    file = left(lambda session: session.recover.decompose())
    file.write_text("{" if change is None else json.dumps({**json.loads(file.read_text()), **change}))
    assert begun().autosave.offer is None


@pytest.mark.parametrize(
    "change", [{"plan": "{}"}, {"settings": {"planner": "magic"}}, {"number": 44}, {"training": {"stage": "x"}}]
)
def test_what_cannot_be_resumed_is_said(change):
    file = left(edit)
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    session = begun()
    session.autosave.accept()
    assert "earlier session" in session.autosave.problem
    assert session.plan.plan.network == "small"


def test_old_sessions_are_deleted_and_a_full_disk_is_said(monkeypatch):
    file = left(lambda session: session.recover.decompose())
    old = time.time() - 86400 * 365
    os.utime(file, (old, old))
    assert SavedSessions().find_ended(BROWSER) == (None, False)
    assert not file.exists()

    full = Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr(saved_sessions, "write_atomically", full)
    session = begun()
    session.recover.decompose()
    assert "No space left on device" in session.autosave.problem


def test_sessions_of_other_browsers_are_read_once_until_they_change(monkeypatch):
    file, sessions = left(edit), SavedSessions()
    read = Mock(side_effect=saved_sessions._read)
    monkeypatch.setattr(saved_sessions, "_read", read)
    for _ in range(2):
        assert sessions.find_ended(OTHER) == (None, False)
    assert read.call_count == 1
    file.write_text(json.dumps({**json.loads(file.read_text()), "browser": OTHER}))
    os.utime(file, (time.time() - 60, time.time() - 60))
    assert sessions.find_ended(OTHER)[0].file == file


@pytest.mark.parametrize("name", [None, "", "../../etc", 7, "f" * 31])
def test_without_a_browser_s_number_nothing_is_saved(name):
    session = begun(name)
    edit(session)
    assert not session.autosave.sessions.file.exists()
