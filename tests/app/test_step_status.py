"""What each step says it needs, and which one comes next."""

from workbench.app.session import Session
from workbench.app.top_bar import step_statuses


def statuses(session):
    return [step["status"] for step in step_statuses(session)]


def test_step_by_step(session):
    assert statuses(Session()) == ["next", *["missing"] * 6]
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
    session.plan.replan(macs_ratio=1.5 + 1e-9)
    assert session.recover.as_planned  # fault 13: the slider's number is rounded; the plan is what counts


def test_a_plan_that_saves_nothing_is_what_comes_next(session):
    for part in session.plan.plan:
        session.plan.keep_layer(part.name)
    assert statuses(session)[2:4] == ["next", "missing"]
