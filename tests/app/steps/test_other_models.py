"""Choose, compare, speed and take home: what a verb gives, and what it says where it cannot."""

import asyncio

import pytest
import torch

import workbench as wb
from tests.helpers.sessions import batch_normed, idle, tiny_data
from workbench.app.session import Session
from workbench.app.worker import JobState
from workbench.measure.roofline import Roofline


@pytest.fixture
def compressed(session):
    session.plan.replan(planner="budget", macs_ratio=1.5)
    session.recover.decompose()
    return session


def test_an_opening_replaces_the_one_that_runs_and_a_failed_one_leaves_what_is_open():
    async def run():
        session = Session(wb.Network(batch_normed(), input_shape=(1, 8, 8), name="small"), tiny_data())
        first = session.choose.open()
        second = session.choose.open(network="digits_vgg", data="digits")
        await idle(session)
        assert (first.state, second.state) == (JobState.CANCELLED, JobState.DONE)
        waiting = session.compare.paper.compute()
        session.choose.open(network="no_such_network")
        assert session.choose.choice.network == "no_such_network"
        waiting.cancel()
        await idle(session)
        assert session.choose.choice.network == session.choose.network.name == "digits_vgg"
        assert "no_such_network" in session.choose.job.error

    asyncio.run(run())


def test_other_data_keep_the_network_and_its_plan(session):
    session.plan.choose_ranks("3", rank_out=5)
    network, plan = session.choose.network, session.plan.plan
    session.choose.open(data="digits")
    assert (session.choose.network, session.plan.plan) == (network, plan)
    assert session.choose.data.name == "digits"
    assert session.choose.misfit  # it has three classes


def test_the_gallery_follows_the_networks(compressed):
    gallery = compressed.compare.gallery
    assert all(picture.after is not None for picture in gallery.gallery.pictures)
    first = [picture.index for picture in gallery.gallery.pictures]
    gallery.other_images()
    assert [picture.index for picture in gallery.gallery.pictures] != first
    assert gallery.filters is not None or gallery.why_no_filters


def test_the_rank_curve_is_of_the_picked_layer_and_goes_with_the_network(session):
    session.look.pick("3")
    session.compare.rank_curve.measure()
    curve = session.compare.rank_curve
    assert (curve.layer, len(curve.points)) == ("3", 7)
    assert curve.points[0].agreement.n == 15  # of the validation images
    session.choose.open(data="digits")
    assert (curve.layer, curve.points) == ("", ())


def test_the_paper_s_table_has_the_open_network(session, monkeypatch):
    monkeypatch.setattr("workbench.catalog.paper.table.PUBLISHED", {})
    paper = session.compare.paper
    paper.layers = "default"
    assert paper.fully_connected
    paper.compute()
    assert "small" in str(paper.table)
    assert "15 images" in paper.note


def test_speed_is_stored_unless_it_was_disturbed(compressed, monkeypatch):
    monkeypatch.setattr("workbench.app.steps.speed.model.TIMING_S", 0.01)
    monkeypatch.setattr("workbench.app.steps.speed.model.roofline", lambda n: Roofline(1e9, 1e9, n, "test"))
    speed = compressed.speed
    speed.runtimes = ("eager",)
    monkeypatch.setattr("workbench.measure.exclusive.others_computing", lambda: True)
    speed.measure()
    assert speed.findings.disturbed
    assert compressed.recover.run.measured == {}
    monkeypatch.setattr("workbench.measure.exclusive.others_computing", lambda: False)
    speed.measure()
    assert compressed.recover.run.measured["latency"][0]["runtime"] == "eager"
    assert compressed.compare.stored[0].measured.keys() == {"latency", "best_realised", "machine", "energy"}
    compressed.recover.calibrate()
    assert speed.findings is not None  # of the same run
    compressed.recover.decompose()
    assert speed.findings is None
    speed.runtimes = ()
    assert "at least one runtime" in speed.measure().error


@pytest.mark.parametrize(("kind", "suffix"), [("weights", ".zip"), ("report", ".html")])
def test_files_are_made_and_go_with_their_network(compressed, kind, suffix):
    assert compressed.take_home.make(kind).error == ""
    file = compressed.take_home.file(kind)
    assert file.path.name == f"small-run1-decomposed{suffix}"
    assert file.path.stat().st_size
    compressed.recover.calibrate()
    assert compressed.take_home.made == ()


@pytest.mark.parametrize("verb", [lambda s: s.speed.measure(), lambda s: s.take_home.make("weights")])
def test_without_a_compressed_network(session, verb):
    assert verb(session).error.startswith("Compress the network first")


def test_a_file_of_a_network_that_has_gone_is_a_sentence():
    async def run():
        session = Session(wb.Network(batch_normed(), input_shape=(1, 8, 8), name="small"), tiny_data())
        session.open()
        await idle(session)
        session.recover.decompose()
        await idle(session)
        session.recover.calibrate()
        job = session.take_home.make("weights")
        await idle(session)
        assert "became another one" in job.error
        assert torch.is_tensor(session.choose.data.test.images)

    asyncio.run(run())
