"""The plan of a session: planners, edits by hand, undo, budgets of time."""

import numpy as np
import pytest

from workbench.app.steps.plan.model import MAX_EDITS
from workbench.app.steps.plan.settings import PLANNERS, PlanSettings
from workbench.plan.layer_times import LayerTimes, NetworkTimes


def test_settings_and_the_plan_follow_each_other(session):
    plan = session.plan
    plan.replan(planner="budget", macs_ratio=1.5)
    before, by_hand = plan.plan, plan.plan.layers[0].name
    assert before.macs_ratio >= 1.5
    assert plan.plan_settings == plan.settings
    plan.replan(macs_ratio=90.0)  # out of reach: the plan stays, with the settings that made it
    assert (plan.plan, "out of reach" in plan.notice) == (before, True)
    assert (plan.settings["macs_ratio"], plan.plan_settings["macs_ratio"]) == (90.0, 1.5)
    plan.choose_ranks(by_hand, rank_out=3)
    plan.replan(macs_ratio=1.3)
    assert plan.plan[by_hand].rank_out == 3
    plan.reset()
    assert plan.plan.by_hand == ()


def test_each_planner_has_its_own_layers_and_multiples():
    settings = PlanSettings().changed(layers="spatial")
    own = {name: settings.changed(planner=name) for name in PLANNERS}
    assert {name: now["layers"] for name, now in own.items()} == {"evbmf": "spatial", "budget": "all", "time": "all"}
    assert {name: now["rank_multiple"] for name, now in own.items()} == {"evbmf": 1, "budget": 1, "time": 8}


def test_undo_and_redo_pick_the_layer(session):
    plan, first = session.plan, session.plan.plan
    session.look.pick("8")
    plan.choose_ranks("3", rank_in=4, rank_out=5)
    edited = plan.plan
    plan.keep_layer("0")
    session.undo()
    assert (plan.plan, session.look.picked) == (edited, "0")
    session.undo()
    assert (plan.plan, session.look.picked) == (first, "3")
    session.redo()
    assert plan.plan == edited
    plan.reset_layer("3")
    assert plan.plan["3"] == first["3"]


def test_a_budget_of_time_is_verified_on_the_whole_network(session, monkeypatch):
    plan, seen = session.plan, []
    tables = {name: LayerTimes(1.0, (1, 8), (1, 8), np.full((2, 2), 0.3), np.full(2, 0.4)) for name in ("0", "3", "8")}
    times = NetworkTimes("small", "here", tables, 0.1, 0.0)
    monkeypatch.setattr("workbench.app.steps.plan.model.measure_times", lambda *_, **__: times)

    def verified(network, spectra, ratio, **arguments):
        seen.append(ratio)
        return plan.plan.keep("8", reason="kept: the whole network was not faster here")

    monkeypatch.setattr("workbench.app.steps.plan.model.time_plan", verified)
    plan.replan(planner="time", time_ratio=1.2)
    assert "press Time layers" in plan.notice
    assert plan.plan_settings.planner == "evbmf"
    plan.time_layers()
    assert seen == [1.2]
    assert plan.plan["8"].decision == "keep"
    assert plan.plan_settings == plan.settings
    plan.replan(time_ratio=1.25)
    assert plan.notice == ""
    assert seen == [1.2, 1.25]


def test_each_planner_s_settings_come_back():
    for planner in PLANNERS:
        settings = PlanSettings().changed(planner=planner, layers="spatial", macs_ratio=3.0)
        assert PlanSettings.of(settings.used()).used() == settings.used()


@pytest.mark.parametrize("values", [{"planner": "magic"}, {"layers": "some"}, {"macs_ratio": 1e9}, {"strength": "x"}])
def test_stored_settings_that_make_no_sense(values):
    with pytest.raises((ValueError, TypeError)):
        PlanSettings.of({"planner": "budget", **values})


def test_quick_edits_of_one_thing_are_one(session):
    plan, first = session.plan, session.plan.plan
    for rank in range(2, 6):
        plan.choose_ranks("3", rank_in=4, rank_out=rank)
    edited = plan.plan
    session.undo()
    assert (plan.plan, plan.undoable) == (first, "")
    session.redo()
    assert plan.plan == edited
    for _ in range(MAX_EDITS + 9):
        plan.keep_layer("3")
    for left in range(MAX_EDITS, 0, -1):
        assert plan.undoable, left
        plan.undo()
    assert plan.undoable == ""
