"""Compress and recover: every result is a run whose plan, settings and weights belong together."""

import asyncio
from dataclasses import replace

import pytest
import torch

import workbench as wb
from tests.app.conftest import on_a_loop, small_session
from tests.helpers.sessions import batch_normed, idle, same_state, state_of, tiny_data
from workbench.app.stored_runs import runs_file
from workbench.app.worker import JobState
from workbench.runs.run import StageName


def opened(**more):
    session = small_session(**more)
    session.open()
    return session


def test_every_stage_is_one_run(session):
    recover = session.recover
    recover.decompose()
    recover.calibrate()
    recover.finetune(epochs=2, learn_from="both")
    assert len(recover.curve) == 2
    recover.finetune(epochs=1, learn_from="original")
    recover.from_scratch(epochs=1)
    run, stored = recover.run, recover.stored[0]
    assert [stage.name for stage in run.stages] == [
        *(StageName.ORIGINAL, StageName.DECOMPOSED, StageName.CALIBRATED, StageName.FINE_TUNED),
        *(StageName.DISTILLED, StageName.FROM_SCRATCH),
    ]
    assert (run.number, run.last.name, len(recover.runs)) == (1, StageName.DISTILLED, 1)
    assert recover.as_planned
    assert recover.training == {}
    assert {s.name: s.scores for s in stored.stages} == {s.name: s.scores for s in run.stages}
    recover.calibrate()  # again: it is the last stage, also of the stored run
    assert wb.RunStore(runs_file())[1].last.name == recover.run.last.name == StageName.CALIBRATED


@pytest.mark.parametrize("verb", ["calibrate", "finetune", "from_scratch"])
def test_without_a_compressed_network_there_is_a_sentence(session, verb):
    job = getattr(session.recover, verb)()
    assert job.state is JobState.FAILED
    assert job.error.startswith("Compress the network first")
    assert session.recover.training == {}


@on_a_loop
async def test_a_run_s_settings_are_its_plan_s(session):
    """Fault 3: the budget is moved while the run is made."""
    session.plan.replan(planner="budget", macs_ratio=1.5)
    planned = session.plan.plan
    session.recover.decompose()
    session.plan.replan(macs_ratio=2.5)
    await idle(session)
    assert session.recover.run.settings["macs_ratio"] == 1.5
    assert session.recover.run.plan is planned
    assert not session.recover.as_planned
    session.recover.resume(session.recover.run.number)
    await idle(session)
    assert session.plan.settings["macs_ratio"] == 1.5
    assert session.plan.plan.same_decisions(planned)


def test_a_plan_that_saves_weights_alone_is_not_thrown_away(session):
    """Fault 4."""
    plan = session.plan
    for part in plan.plan:
        plan.keep_layer(part.name)
    plan.choose_ranks("8", rank_out=2)
    assert plan.plan.weights_ratio > 1.02
    edited = plan.plan
    session.recover.compress_for_me()
    assert session.recover.runs[0].plan.same_decisions(edited)


def test_nothing_is_chosen_by_test_images():
    """Fault 5: with test images alone, the first plan is the result, however much is lost."""
    session = opened(data=tiny_data(train=0, validation=0))
    session.plan.replan(planner="budget", macs_ratio=3.0)
    job = session.recover.compress_for_me()
    assert (job.error, len(session.recover.runs)) == ("", 1)
    assert [stage.name for stage in session.recover.run.stages] == [StageName.ORIGINAL, StageName.DECOMPOSED]
    assert "no images for training or validation" in session.recover.sweep([1.5], "none").error
    assert session.recover.calibrate().error


def test_the_given_network_is_unchanged_and_the_gallery_waits_its_turn():
    """Faults 1 and 2: batch norm in train mode, other images while the network is fine-tuned."""
    model = batch_normed()
    before = state_of(model)

    async def run():
        session = opened(model=model)
        await idle(session)
        session.recover.decompose()
        await idle(session)
        job = session.recover.finetune(epochs=3, learn_from="both")
        shown = []
        session.gallery.observe(lambda _: shown.append(job.active), "gallery")
        while job.active:
            session.gallery.other_images()
            await asyncio.sleep(0.01)
        await idle(session)
        assert shown  # in between the epochs, or after
        assert not any(module._forward_hooks for module in session.recover.compressed.model.modules())

    asyncio.run(run())
    assert same_state(before, state_of(model))
    assert model.training


@on_a_loop
async def test_undo_while_another_network_opens_stays_on_that_network(session):
    """Fault 8."""
    session.choose.open(network="digits_vgg", data="digits")
    while session.choose.opening:
        session.plan.choose_ranks(session.plan.plan.layers[1].name, rank_out=3)
        await asyncio.sleep(0)
    session.undo()
    assert session.plan.plan.network == session.choose.network.name == "digits_vgg"
    await idle(session)


@on_a_loop
async def test_trainings_that_wait_and_that_are_cancelled(session):
    """The settings are those of the training that runs; without an epoch all is as it was."""
    recover, seen = session.recover, []
    recover.decompose()
    await idle(session)
    before = recover.run
    recover.finetune(epochs=500).cancel()
    await idle(session)
    assert (recover.run, recover.curve, recover.training) == (before, (), {})
    recover.observe(lambda change: seen.append(change["new"].get("epochs")), "training")
    recover.finetune(epochs=1)
    recover.finetune(epochs=2)
    recover.finetune(epochs=3).cancel()
    await idle(session)
    assert seen == [1, None, 2, None]


def test_sweep_and_resume(session):
    job = session.recover.sweep([1.3, 1.6, 95.0], "calibrate")
    assert "out of reach" in job.error
    runs = session.recover.runs
    assert [run.settings["macs_ratio"] for run in runs] == [1.3, 1.6]
    assert all(run.last.name is StageName.CALIBRATED for run in runs)
    session.recover.resume(runs[1].number)
    assert session.recover.run.number == runs[1].number
    assert session.plan.settings["macs_ratio"] == 1.6
    images = session.choose.data.test.images
    assert torch.equal(session.recover.compressed.model(images), runs[1].network.model(images))
    session.recover.delete(runs[0].number)
    assert [run.number for run in session.recover.stored] == [runs[1].number]
    assert session.recover.resume(77).error


def test_a_network_that_does_not_fit_its_data_is_compressed_unscored():
    wide = wb.Split(torch.rand(4, 3, 9, 9), torch.zeros(4, dtype=torch.long), "test")
    session = opened(data=replace(tiny_data(), test=wide))
    assert session.choose.misfit
    assert session.recover.compress_for_me().error == ""
    assert session.recover.run.last.score is None
    assert session.recover.finetune().error
