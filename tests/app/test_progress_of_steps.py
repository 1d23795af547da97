"""What the page says comes next."""

from dataclasses import asdict, replace

import ipywidgets as w
import pytest

import workbench as wb
from tests.app.test_panels import find, html
from tests.app.test_state import done
from workbench.app.autosave import Keeper
from workbench.app.progress_of_steps import NAMES, journey, points_lost
from workbench.app.state import State
from workbench.app.steps.recover.view import advice_text
from workbench.app.steps.speed.model import Speeds
from workbench.app.steps.take_home.model import Exports
from workbench.app.widgets.guide import Guide, guide_panel


def next_of(state, **known):
    steps = journey(state, **known)
    assert tuple(step.name for step in steps) == NAMES
    assert all(step.words.endswith(".") for step in steps)
    return next((step for step in steps if step.status == "next"), None)


def test_before_anything_is_open():
    steps = journey(State())
    assert [step.status for step in steps] == ["next", *["missing"] * 6]


def test_step_by_step(state):
    assert next_of(state).name == "Compress and recover"
    assert [step.status for step in journey(state)][4:] == ["missing"] * 3
    done(state, state.compress())
    assert "Calibrate" in next_of(state).words
    done(state, state.calibrate())
    step = next_of(state)
    assert step.name == "Speed and energy"
    assert "99.0 → " in journey(state)[3].words  # on the validation images
    assert next_of(state, timed=True).name == "Take it home"
    assert next_of(state, timed=True, exported=True) is None
    state.choose_ranks(rank_in=2)
    assert next_of(state).name == "Compress and recover"
    assert "changed" in next_of(state).words


def test_fine_tuning_that_made_it_worse_is_not_ticked(state):
    done(state, state.compress())
    done(state, state.calibrate())
    score = replace(state.latest.validation, top1=state.latest.validation.top1 - 5)
    state.results = (*state.results, replace(state.latest, stage="fine-tuned", validation=score))
    step = next_of(state)
    assert step.name == "Compress and recover"
    assert step.words.endswith("worse than before: press Compress, and Fine-tune with a smaller learning rate.")


def test_one_stage_is_little_to_compare(state):
    done(state, state.compress())
    step = journey(state)[4]
    assert "recover it, or compress by another plan" in step.words
    done(state, state.calibrate())
    assert journey(state)[4].words == "2 measured stages beside the original."


def test_a_plan_that_saves_nothing(state):
    for part in state.plan:
        state.selected = part.name
        state.keep_layer()
    assert next_of(state).name == "Plan"
    assert "saves nothing" in next_of(state).words
    assert advice_text(state).startswith("<b>This plan saves nothing yet.</b>")


def test_what_comes_with_the_page_is_not_ticked(state):
    assert [step.status for step in journey(state)][:4] == ["open", "open", "open", "next"]
    done(state, state.compress())
    assert [step.status for step in journey(state)][:4] == ["done", "done", "done", "next"]


def test_nothing_is_to_be_brought_back_where_nothing_was_lost(state):
    state.replan(planner="budget", macs_ratio=1.1)
    done(state, state.compress())
    lost = state.original.score.top1 - state.latest.score.top1
    assert points_lost(state) == lost
    assert (journey(state)[3].status == "done") == (lost <= 0)


def test_the_guide_shows_them_and_answers(state, monkeypatch):
    keeper = Keeper(state)
    panel = guide_panel(state, Speeds(state), Exports(state), keeper)
    guide = find(panel, Guide)[0]
    assert guide.steps == [asdict(step) for step in journey(state)]
    undo, redo = find(panel, w.Button, "Undo"), find(panel, w.Button, "Redo")
    assert undo.disabled
    assert redo.disabled
    first = state.plan
    state.choose_ranks(rank_in=3)
    assert "features.3" in undo.tooltip
    undo.click()
    assert state.plan == first
    redo.click()
    assert state.plan != first
    guide._heard(None, {"kind": "undo"}, [])
    assert state.plan == first
    guide._heard(None, {"kind": "redo"}, [])
    assert state.plan != first
    sent = []
    monkeypatch.setattr(guide, "send", sent.append)
    for content in ({"kind": "beat"}, {"kind": "unknown"}, {}, "nonsense", None, {"kind": "here", "browser": "../x"}):
        guide._heard(None, content, [])
    assert sent == [{"kind": "beat"}]
    assert keeper.browser == ""


def test_compress_for_me(state):
    panel = guide_panel(state, Speeds(state), Exports(state))
    find(panel, w.Button, "Compress for me").click()
    state.job.wait(120)
    assert state.job.error == ""
    assert "For you: compressing digits_vgg" in html(panel)
    first = [r.stage for r in state.results]
    assert first[:3] == ["original", "decomposed", "calibrated"]
    assert state.latest.number == 1
    assert state.original.score.top1 - state.latest.score.top1 <= 1.0
    assert state.latest.cost.macs < state.original.cost.macs / 5
    stored = wb.RunStore(state._history.store.path)[1]
    assert [s.name for s in stored.stages if s.split == "validation"] == first


def test_compress_for_me_says_that_it_took_another_plan(state):
    state.plan = state.plan.keep(*(part.name for part in state.plan))
    done(state, state.compress_for_me())
    assert state.job.error == ""
    assert state.notice == f"The plan saved nothing: this one is for MACs x{state.plan.macs_ratio:.2f} fewer."
    assert state.plan.macs_ratio >= 2
    assert state.compressed_as_planned


@pytest.mark.slow
def test_compress_for_me_saves_less_if_much_is_lost(state):
    """Ranks so small that nothing brings the accuracy back; a gentler budget does."""
    for part in state.plan:
        state.selected = part.name
        state.choose_ranks(rank_out=1)
    hard = state.plan
    state.replan(macs_ratio=9.0)
    done(state, state.compress_for_me())
    assert state.job.error == ""
    numbers = [r.number for r in state.results if r.stage == "decomposed"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 2
    costs = [r.cost.macs for r in state.results if r.stage == "decomposed"]
    assert costs == sorted(costs)
    assert state.planning.planner == "budget"
    assert state.compressed_as_planned
    assert state.notice.startswith("More than 1 point of accuracy was lost: this one is for MACs x")
    state.undo()
    assert state.plan != state.smaller.plan
    while state.undoable:
        state.undo()
    assert state.plan != hard


def test_compress_for_me_cancelled(state):
    assert state.compress_for_me()
    state.job.cancel()
    state.job.wait(60)
    assert "cancelled" in state.job.note
    assert state.job.error == ""
    done(state, state.compress())
    assert state.job.error == ""
