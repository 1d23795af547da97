"""What a session has kept is there after its kernel has ended, however it ended."""

import errno
import json
import os
import subprocess
import sys
import time

import ipywidgets as w
import pytest

import workbench as wb
from tests.app.test_panels import find, html
from tests.app.test_state import done
from workbench.app import saved_sessions as module
from workbench.app.autosave import Keeper
from workbench.app.saved_sessions import Saved, Sessions, sessions_folder
from workbench.app.state import State
from workbench.app.widgets.guide import offer_box

BROWSER, OTHER = "0123456789abcdef" * 2, "f" * 32


def opened():
    state = State()
    assert state.open()
    state.job.wait(60)
    return state


def come(state, browser=BROWSER):
    keeper = Keeper(state)
    keeper.arrived(browser)
    return keeper


def test_a_session_is_offered_once_its_kernel_is_gone(state):
    first = come(state)
    assert first.offer is None
    assert list(sessions_folder().glob("*.json")) == []  # there is nothing to go on with yet
    state.selected = "features.10"
    state.choose_ranks(rank_in=5, rank_out=6)
    plan = state.plan
    assert first.sessions.file.exists()

    second = come(opened())
    assert second.offer is None
    assert second.elsewhere  # it is open in another tab
    assert come(opened(), OTHER).offer is None

    first.sessions.end()
    third = come(opened())
    assert "digits_vgg on digits, just now" in third.offer.saved.describe()
    third.accept()
    assert third.state.plan == plan
    assert third.state.selected == "features.10"
    assert not first.sessions.file.exists()
    assert third.sessions.file.exists()
    third.state.undo()
    assert third.state.plan != plan


def test_the_run_and_another_network_come_back(state):
    keeper = come(state)
    state.replan(planner="budget", layers="all", macs_ratio=4.0)
    done(state, state.compress())
    done(state, state.calibrate())
    keeper.sessions.end()

    again = State(wb.load_network("resnet20", weights=None), wb.load_data("digits"))
    assert again.open()
    again.job.wait(60)
    keeper = come(again)
    box = offer_box(again, keeper)
    assert box.layout.display == "flex"
    assert "run 1" in html(box)
    find(box, w.Button, "Go on").click()
    again.job.wait(60)  # opens the network, and after that the run
    assert keeper.problem == ""
    assert again.network.name == "digits_vgg"
    assert again.planning == state.planning
    assert again.plan == state.plan
    assert again.latest.stage == "calibrated"
    assert again.latest.score == state.latest.score
    assert again.compressed_as_planned
    assert box.layout.display == "none"


KILLED = """
import sys
from workbench.app.autosave import Keeper
from workbench.app.state import State
state = State()
state.open(); state.job.wait(60)
Keeper(state).arrived(sys.argv[1])
state.compress(); state.job.wait(60)
state.observe(lambda _: print(len(state.curve), flush=True), "curve")
state.finetune(epochs=int(sys.argv[2]), learning_rate=1e-3, schedule="cosine")
state.job.wait()
"""


@pytest.mark.slow
def test_training_that_was_killed_goes_on_to_the_same_weights(state):
    """The kernel is killed after some epochs; another one goes on, and ends as one that was never disturbed."""
    command = [sys.executable, "-c", KILLED, BROWSER, "6"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as kernel:
        while kernel.stdout.readline().strip() != "2":
            assert kernel.poll() is None
        kernel.kill()
    keeper = come(state)
    assert keeper.offer.saved.doing == "Fine-tuning run 1"
    assert keeper.offer.checkpoint.exists()
    assert "was cut off and can go on" in html(offer_box(state, keeper))
    keeper.accept()
    for _ in range(3):
        state.job.wait(120)
    assert keeper.problem == ""
    assert [epoch.epoch for epoch in state.curve] == [1, 2, 3, 4, 5, 6]
    assert state.latest.stage == "fine-tuned"
    assert not keeper.sessions.checkpoint.exists()
    assert state.training == {}

    undisturbed = opened()
    done(undisturbed, undisturbed.compress())
    done(undisturbed, undisturbed.finetune(epochs=6, learning_rate=1e-3, schedule="cosine"))
    theirs, ours = (s.smaller.model.state_dict() for s in (undisturbed, state))
    assert all((theirs[key] == ours[key]).all() for key in theirs)


def test_begin_anew(state):
    first = come(state)
    state.choose_ranks(rank_in=3)
    first.sessions.end()
    again = come(opened())
    box = offer_box(again.state, again)
    find(box, w.Button, "Begin anew").click()
    assert again.offer is None
    assert not first.sessions.file.exists()
    assert come(opened()).offer is None


def test_a_full_disk_is_said_and_harms_nothing(state, monkeypatch):
    keeper = come(state)

    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "write_atomically", full)
    state.choose_ranks(rank_in=3)
    assert state.plan["features.3"].rank_in == 3
    assert keeper.problem.startswith("This session is not kept, only its runs:")
    assert "No space left" in keeper.problem
    monkeypatch.undo()
    state.choose_ranks(rank_in=4)
    assert keeper.problem == ""


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe\x00",
        b'{"version": 99}',
        b'{"version": 1, "browser": "%s"}' % BROWSER.encode(),
        b'{"version": 1, "surprise": 1}',
    ],
)
def test_damaged_files_are_left_out(state, damage):
    sessions_folder().mkdir(parents=True)
    (sessions_folder() / "x.json").write_bytes(damage)
    assert come(state).offer is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("plan", "no plan"),
        ("planning", {"planner": "magic"}),
        ("planning", {"macs_ratio": -1.0}),
        ("planning", {"strength": "strong"}),
        (
            "training",
            {"stage": "fine-tuned", "epochs": 10**9, "learning_rate": 1, "schedule": "step", "learn_from": ""},
        ),
        ("number", 99),
        ("choice", {"network": "../../etc/passwd", "data": "digits", "weights": "default"}),
        ("choice", {"network": "digits_vgg", "data": "digits", "weights": "mine.pth"}),
        ("choice", {"surprise": "digits_vgg"}),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(state, name, value):
    good = Saved(BROWSER, {"network": "digits_vgg", "data": "digits", "weights": "default"}, {}, state.plan.to_json())
    sessions_folder().mkdir(parents=True)
    file = sessions_folder() / "x.json"
    file.write_text(json.dumps({"version": 1, **vars(good), name: value}))
    keeper = come(state)
    plan = state.plan
    keeper.accept()
    for _ in range(3):
        state.job.wait(60)
    assert keeper.problem.endswith(".")
    assert "Traceback" not in keeper.problem
    assert state.plan == plan
    state.choose_ranks(rank_in=3)
    assert state.plan["features.3"].rank_in == 3


def test_old_sessions_are_removed(state):
    folder = sessions_folder()
    folder.mkdir(parents=True)
    for suffix in (".json", ".checkpoint"):
        (folder / f"x{suffix}").write_text("{}")
    old = time.time() - 86400 * (module.DAYS + 1)
    os.utime(folder / "x.json", (old, old))
    come(state)
    assert list(folder.glob("x*")) == []


def test_without_a_page_nothing_is_kept(state):
    Keeper(state)
    state.choose_ranks(rank_in=3)
    assert not sessions_folder().exists()


def test_a_folder_that_cannot_be_made(state, tmp_path):
    (tmp_path / "file").write_text("")
    keeper = Keeper(state, Sessions(tmp_path / "file" / "sessions"))
    keeper.arrived(BROWSER)
    state.choose_ranks(rank_in=3)
    assert "not kept" in keeper.problem
