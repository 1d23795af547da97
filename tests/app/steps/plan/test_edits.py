"""Undo and redo, by themselves and as edits of a plan."""

from hypothesis import given
from hypothesis import strategies as st

from workbench.app.steps.plan import edits as module
from workbench.app.steps.plan.edits import Edits


@given(st.lists(st.sampled_from(["edit", "undo", "redo"]), max_size=60))
def test_undo_and_redo_walk_along_what_was_there(steps):
    edits, past, now, future = Edits(), [], 0, []
    for i, step in enumerate(steps, start=1):
        if step == "edit":
            edits.remember(f"edit {i}", now)
            past, now, future = [*past, now], i, []
        elif step == "undo" and edits.undoable:
            now, past, future = edits.undo(now), past[:-1], [*future, now]
        elif step == "redo" and edits.redoable:
            now, past, future = edits.redo(now), [*past, now], future[:-1]
        assert bool(edits.undoable) == bool(past)
        assert bool(edits.redoable) == bool(future)
    for there in reversed(past):
        now = edits.undo(now)
        assert now == there


def test_a_drag_is_one_edit_and_a_pause_makes_two(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    edits = Edits()
    for value in range(5):
        edits.remember("ranks", value, "ranks a")
        clock[0] += 0.2
    assert edits.undo(5) == 0
    assert edits.undoable == ""
    edits.remember("ranks", 0, "ranks a")
    clock[0] += 10
    edits.remember("ranks", 1, "ranks a")
    edits.remember("other ranks", 2, "ranks b")
    assert [edits.undo(3), edits.undo(2), edits.undo(1)] == [2, 1, 0]


def test_only_so_many_are_remembered():
    edits = Edits()
    for value in range(module.MOST + 50):
        edits.remember("an edit", value)
    count = 0
    while edits.undoable:
        edits.undo(None)
        count += 1
    assert count == module.MOST


def test_edits_of_a_plan(state):
    first = state.plan
    state.choose_ranks(rank_in=4)
    state.choose_ranks(rank_in=3)
    by_hand = state.plan
    assert state.undoable == "the ranks of features.3"
    state.replan(planner="budget", macs_ratio=3.0, layers="all")
    state.selected = "classifier.2"
    state.undo()
    assert state.plan == by_hand
    assert state.planning.planner == "evbmf"
    state.undo()
    assert state.plan == first
    assert state.selected == "features.3"  # what has changed is looked at
    assert state.undoable == ""
    state.undo()
    assert state.plan == first
    state.redo()
    assert state.plan == by_hand
    state.keep_layer()
    assert state.plan["features.3"].decision == "keep"
    assert state.redoable == ""
    state.undo()
    state.reset_plan()
    assert state.plan == first
    state.undo()
    assert state.plan == by_hand


def test_what_cannot_be_is_no_edit(state):
    state.choose_ranks(rank_in=4000)
    assert state.notice
    assert state.undoable == ""


def test_another_network_has_nothing_to_undo(state):
    state.choose_ranks(rank_in=3)
    assert state.open(network="digits_vgg", weights="random")
    state.job.wait(60)
    assert (state.undoable, state.redoable) == ("", "")
    state.undo()
    assert not any(part.by_hand for part in state.plan)
