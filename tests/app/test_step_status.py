"""What each step says it needs, and which one comes next."""

import workbench as wb
from workbench.app.session import Session
from workbench.app.step_status import step_statuses


def statuses(session):
    return [step.status for step in step_statuses(session)]


def test_before_a_network_is_open():
    assert statuses(Session()) == ["next", *["missing"] * 6]


def test_step_by_step(session):
    assert statuses(session)[:4] == ["open", "open", "open", "next"] or session.plan.plan.saves_nothing
    session.plan.replan(planner="budget", macs_ratio=1.5)
    assert statuses(session) == ["open", "open", "open", "next", "missing", "missing", "missing"]
    session.recover.decompose()
    session.recover.calibrate()
    found = statuses(session)
    assert found[:3] == ["done"] * 3
    assert "missing" not in found
    session.take_home.make("weights")
    assert statuses(session)[6] == "done"
    session.plan.choose_ranks("3", rank_in=2, rank_out=2)
    assert statuses(session)[3] == "next"
    session.undo()
    assert session.recover.as_planned


def test_a_plan_is_compared_and_not_a_slider(session):
    """Fault 13: the number on the slider is rounded; the plan is what counts."""
    session.plan.replan(planner="budget", macs_ratio=1.5)
    session.recover.decompose()
    session.plan.replan(macs_ratio=1.5 + 1e-9)
    assert session.recover.as_planned


def test_a_plan_that_saves_nothing_is_what_comes_next(session):
    for part in session.plan.plan:
        session.plan.keep_layer(part.name)
    assert statuses(session)[2:4] == ["next", "missing"]
    assert isinstance(session.plan.plan, wb.Plan)
