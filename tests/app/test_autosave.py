"""A saved session can be resumed once its kernel has ended."""

import asyncio
import json
import os
import time

import pytest

import workbench as wb
from tests.helpers.sessions import batch_normed, idle, tiny_data
from workbench.app import saved_sessions
from workbench.app.saved_sessions import SavedSessions
from workbench.app.session import Session

BROWSER, OTHER = "0123456789abcdef" * 2, "f" * 32


@pytest.fixture(autouse=True)
def _no_torchvision(monkeypatch):
    monkeypatch.setattr("workbench.app.steps.choose.model.network_names", list)


def begun(browser=BROWSER):
    """A session of a browser, with the small network open."""
    session = Session(wb.Network(batch_normed(), input_shape=(1, 8, 8), name="small"), tiny_data())
    session.open()
    session.autosave.begin(browser)
    return session


def ended(session):
    session.autosave.sessions.end()


def test_a_session_is_offered_to_its_browser_once_its_kernel_has_ended():
    first = begun()
    assert first.autosave.offer is None
    assert not first.autosave.sessions.file.exists()  # nothing to resume yet
    first.look.pick("3")
    first.plan.choose_ranks("3", rank_in=4, rank_out=5)
    assert first.autosave.sessions.file.exists()
    second = begun()
    assert (second.autosave.offer, second.autosave.elsewhere) == (None, True)
    assert begun(OTHER).autosave.offer is None
    ended(first)
    third = begun()
    assert "small on tiny, just now" in third.autosave.offer.saved.describe()
    third.autosave.accept()
    assert (third.plan.plan, third.look.picked) == (first.plan.plan, "3")
    assert not first.autosave.sessions.file.exists()
    assert third.autosave.sessions.file.exists()
    third.undo()
    assert third.plan.plan.by_hand == ()


def test_the_run_and_the_settings_come_back():
    first = begun()
    first.plan.replan(planner="budget", macs_ratio=1.5)
    first.recover.decompose()
    first.recover.calibrate()
    first.plan.replan(macs_ratio=1.8)
    ended(first)
    second = begun()
    second.autosave.accept()
    assert (second.recover.run.number, second.recover.run.last.name) == (1, "calibrated")
    assert second.plan.settings["macs_ratio"] == 1.8
    assert not second.recover.as_planned
    assert second.autosave.problem == ""


@pytest.mark.parametrize("scratch", [False, True])
def test_training_that_was_cut_off_goes_on(scratch):
    first = begun()
    first.recover.decompose()
    values = {"epochs": 2, "learning_rate": 1e-3, "schedule": "step", "learn_from": "labels"}
    first.recover.training = {"stage": "from scratch" if scratch else "fine-tuned", **values}
    ended(first)
    second = begun()
    assert second.autosave.offer.saved.doing.endswith("run 1")
    second.autosave.accept()
    assert second.recover.run.stages[-1].name == ("from scratch" if scratch else "fine-tuned")
    assert len(second.recover.curve) == 2


def test_declined_it_is_gone_and_its_runs_stay():
    first = begun()
    first.recover.decompose()
    ended(first)
    second = begun()
    second.autosave.decline()
    assert second.autosave.offer is None
    assert not first.autosave.sessions.file.exists()
    assert len(second.compare.stored) == 1


@pytest.mark.parametrize(
    "change", [{"version": 99}, {"plan": 3}, {"choice": {"network": 7}}, {"settings": []}, {"browser": OTHER}, None]
)
def test_files_that_are_no_session_of_this_browser_are_left_out(change):
    first = begun()
    first.recover.decompose()
    ended(first)
    file = first.autosave.sessions.file
    values = json.loads(file.read_text())
    file.write_text("{" if change is None else json.dumps({**values, **change}))
    assert begun().autosave.offer is None


@pytest.mark.parametrize(
    "change", [{"plan": "{}"}, {"settings": {"planner": "magic"}}, {"number": 44}, {"training": {"stage": "x"}}]
)
def test_what_cannot_be_resumed_is_said(change):
    first = begun()
    first.plan.choose_ranks("3", rank_in=4, rank_out=5)
    ended(first)
    file = first.autosave.sessions.file
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    second = begun()
    second.autosave.accept()
    assert "earlier session" in second.autosave.problem
    assert second.plan.plan.network == "small"


def test_old_sessions_are_deleted_and_a_full_disk_is_said(monkeypatch):
    first = begun()
    first.recover.decompose()
    ended(first)
    file = first.autosave.sessions.file
    old = time.time() - 86400 * 365
    os.utime(file, (old, old))
    assert SavedSessions().left_by(BROWSER) == (None, False)
    assert not file.exists()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved_sessions, "write_atomically", full)
    second = begun()
    second.recover.decompose()
    assert "No space left on device" in second.autosave.problem


def test_without_a_browser_s_number_nothing_is_saved():
    for name in (None, "", "../../etc", 7, "f" * 31):
        session = begun(name)
        session.recover.decompose()
        assert not session.autosave.sessions.file.exists()


def test_on_a_loop_each_step_waits_for_the_job_of_the_one_before():
    first = begun()
    first.plan.replan(planner="budget", macs_ratio=1.5)
    first.recover.decompose()
    first.plan.replan(macs_ratio=1.8)
    ended(first)

    async def run():
        session = Session(wb.Network(batch_normed(), input_shape=(1, 8, 8), name="small"), tiny_data())
        session.open()
        session.autosave.begin(BROWSER)
        session.autosave.accept()
        await idle(session)
        assert session.recover.run.number == 1
        assert session.plan.settings["macs_ratio"] == 1.8
        assert session.autosave.problem == ""

    asyncio.run(run())
