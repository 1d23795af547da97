"""Choose, compare, speed and take home: what a verb gives, and what it says where it cannot."""

import pytest

from tests.app.conftest import on_a_loop
from tests.helpers.sessions import idle
from workbench.app.worker import JobState
from workbench.measure.roofline import Roofline


@pytest.fixture
def compressed(session):
    session.plan.replan(planner="budget", macs_ratio=1.5)
    session.recover.decompose()
    return session


@on_a_loop
async def test_an_opening_replaces_the_one_that_runs_and_a_failed_one_leaves_what_is_open(session):
    first = session.choose.open(data="digits")
    second = session.choose.open(network="digits_vgg", data="digits")
    await idle(session)
    assert (first.state, second.state) == (JobState.CANCELLED, JobState.DONE)
    waiting = session.paper.compute()
    session.choose.open(network="no_such_network")
    assert session.choose.choice.network == "no_such_network"
    waiting.cancel()
    await idle(session)
    assert session.choose.choice.network == session.choose.network.name == "digits_vgg"
    assert "no_such_network" in session.choose.job.error


def test_other_data_keep_the_network_and_its_plan(session):
    session.plan.choose_ranks("3", rank_out=5)
    network, plan = session.choose.network, session.plan.plan
    session.choose.open(data="digits")
    assert (session.choose.network, session.plan.plan) == (network, plan)
    assert session.choose.data.name == "digits"
    assert session.choose.misfit  # it has three classes


def test_the_rank_curve_is_of_the_picked_layer_and_goes_with_the_network(session):
    curve = session.rank_curve
    session.look.pick("3")
    curve.measure()
    assert (curve.layer, len(curve.points)) == ("3", 7)
    assert curve.points[0].agreement.n == 15  # of the validation images
    session.choose.open(data="digits")
    assert (curve.layer, curve.points) == ("", ())


def test_speed_is_stored_unless_it_was_disturbed(compressed, monkeypatch):
    monkeypatch.setattr("workbench.app.steps.speed.model.TIMING_S", 0.01)
    monkeypatch.setattr("workbench.app.steps.speed.model.roofline", lambda n: Roofline(1e9, 1e9, n, "test"))
    speed, recover = compressed.speed, compressed.recover
    speed.runtimes = ("eager",)
    monkeypatch.setattr("workbench.measure.exclusive.others_computing", lambda: True)
    speed.measure()
    assert speed.findings.disturbed
    assert recover.run.measured == {}
    monkeypatch.setattr("workbench.measure.exclusive.others_computing", lambda: False)
    speed.measure()
    assert recover.run.measured["latency"][0]["runtime"] == "eager"
    assert recover.stored[0].measured.keys() == {"latency", "best_realised", "machine", "energy"}
    recover.calibrate()
    assert speed.findings is not None  # of the same run
    recover.decompose()
    assert speed.findings is None
    speed.runtimes = ()
    assert "at least one runtime" in speed.measure().error


def test_files_are_made_and_go_with_their_network(compressed):
    assert compressed.take_home.make("report").error == ""
    file = compressed.take_home.file("report")
    assert file.path.name == "small-run1-decomposed.html"
    assert file.path.stat().st_size
    compressed.recover.calibrate()
    assert compressed.take_home.made == ()


@on_a_loop
async def test_files_need_a_compressed_network_that_stays(session):
    jobs = [session.speed.measure(), session.take_home.make("weights")]
    session.recover.decompose()
    await idle(session)
    assert all(job.error.startswith("Compress the network first") for job in jobs)
    session.recover.calibrate()
    job = session.take_home.make("weights")
    await idle(session)
    assert "became another one" in job.error
