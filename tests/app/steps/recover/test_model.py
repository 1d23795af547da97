"""Compress and recover: every result is a run whose plan, settings and weights belong together."""

import asyncio
from unittest.mock import Mock

import pytest
import torch

import workbench as wb
from tests.app.conftest import on_a_loop, small_session
from tests.helpers.sessions import batch_normed, idle, state_of, tiny_data
from workbench.app.session import Session
from workbench.runs import attempt


@on_a_loop
async def test_a_run_s_settings_are_its_plan_s(session):
    """Fault 3: the budget is moved while the run is made."""
    session.plan.replan(planner="budget", macs_ratio=1.5)
    planned = session.plan.plan
    session.recover.decompose()
    session.plan.replan(macs_ratio=2.5)
    await idle(session)
    run = session.recover.run
    assert (run.settings["macs_ratio"], session.recover.as_planned) == (1.5, False)
    assert run.plan is planned
    session.recover.resume(run.number)
    await idle(session)
    assert session.plan.settings["macs_ratio"] == 1.5
    assert session.plan.plan.same_decisions(planned)


def test_nothing_is_chosen_by_test_images():
    """Fault 5: with test images alone, the first plan is the result, however much is lost."""
    session = small_session(data=tiny_data(train=0, validation=0), opened=True)
    session.plan.replan(planner="budget", macs_ratio=3.0)
    assert session.recover.compress_for_me(minutes=0.05).error == ""
    assert [[stage.name for stage in run.stages] for run in session.recover.runs] == [["original", "decomposed"]]
    assert "no images for training or validation" in session.recover.sweep([1.5], "none").error
    assert session.recover.calibrate().error


def test_the_given_network_is_unchanged_and_the_gallery_waits_its_turn():
    """Faults 1 and 2: batch norm in train mode, other images while the network is fine-tuned."""
    model, shown = batch_normed(), []
    before = state_of(model)

    async def run():
        session = small_session(model, opened=True)
        await idle(session)
        session.recover.decompose()
        await idle(session)
        job = session.recover.finetune(epochs=3, learn_from="both")
        session.gallery.observe(lambda _: shown.append(job.active), "gallery")
        while job.active:
            session.gallery.other_images()
            await asyncio.sleep(0.01)
        await idle(session)
        assert shown  # in between the epochs, or after
        assert not any(module._forward_hooks for module in session.recover.compressed.model.modules())

    asyncio.run(run())
    assert before == state_of(model)
    assert model.training


@on_a_loop
async def test_undo_while_another_network_opens_stays_on_that_network(session):
    """Fault 8."""
    session.choose.open(network="digits_vgg", data="digits")
    while session.choose.opening:
        session.plan.choose_ranks(session.plan.plan.layers[1].name, rank_out=3)
        await asyncio.sleep(0.01)  # lets the worker have the interpreter
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


def test_a_run_knows_how_it_was_fine_tuned(session):
    session.recover.decompose()
    session.recover.finetune(epochs=1, learning_rate=0.01, learn_from="labels")
    used = session.recover.stored[-1].settings
    assert [used[name] for name in ("epochs", "learning_rate", "schedule", "teacher")] == [1, 0.01, "step", False]
    session.recover.finetune(epochs=2, learn_from="original")
    assert session.recover.stored[-1].settings["distilled_epochs"] == 2


def test_a_sweep_leaves_out_what_is_out_of_reach_and_says_so(session):
    assert "out of reach" in session.recover.sweep([1.3, 1.6, 95.0], "calibrate").error
    made = [(run.settings["macs_ratio"], run.last.name) for run in session.recover.runs]
    assert made == [(1.3, "calibrated"), (1.6, "calibrated")]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_sweep_on_a_cluster_of_two_workers(monkeypatch):
    distributed = pytest.importorskip("distributed")

    async def run(session, cluster):
        recover, arrived = session.recover, []
        recover.observe(lambda change: arrived.append(len(change["new"])), ["runs"])
        job = recover.sweep([1.3, 1.6, 1.9], "calibrate")
        await idle(session)
        assert job.error == ""
        assert arrived == [1, 2, 3]
        assert sorted(run.settings["macs_ratio"] for run in recover.runs) == [1.3, 1.6, 1.9]
        assert {run.last.name for run in recover.runs} == {"calibrated"}
        assert sum(worker.state.executed_count for worker in cluster.workers.values()) == 3
        assert len(recover.stored) == 3

    options = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster:
        monkeypatch.setenv("WORKBENCH_DASK_SCHEDULER", cluster.scheduler_address)
        on_a_loop(lambda session: run(session, cluster))()


def test_a_cluster_that_does_not_answer(session, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("workbench.runs.sweep.CONNECT_TIMEOUT_S", 0.2)
    monkeypatch.setenv("WORKBENCH_DASK_SCHEDULER", "tcp://127.0.0.1:9")
    assert "Dask scheduler at tcp://127.0.0.1:9 does not answer" in session.recover.sweep([1.3], "none").error


def test_a_run_that_is_not_stored_is_no_stored_one(unstored, monkeypatch, tmp_path):
    recover = unstored.recover
    recover.decompose()
    recover.store_measured(-1, {"latency": 1})
    assert (recover.run.label, unstored.autosave._state().number) == ("unstored run 1", 0)
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs.sqlite"))
    unstored.plan.choose_ranks("3", rank_in=2, rank_out=2)
    recover.decompose()
    assert [(run.number, run.measured) for run in recover.runs] == [(-1, {"latency": 1}), (1, {})]
    assert unstored.autosave._state().number == 1


def test_a_run_is_stored_at_its_next_stage(unstored, monkeypatch, tmp_path):
    recover = unstored.recover
    recover.decompose()
    recover.calibrate()
    recover.store_measured(-1, {"latency": 1})
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs.sqlite"))
    recover.calibrate()
    assert [(run.number, run.last.name, run.measured) for run in recover.runs] == [(1, "calibrated", {"latency": 1})]
    assert [run.last.name for run in recover.stored] == ["calibrated"]


def test_compress_for_me_without_a_store_makes_one_run_a_try(unstored):
    assert unstored.recover.compress_for_me(minutes=0.02).error == ""
    runs = unstored.recover.runs
    assert len({id(run.plan) for run in runs}) == len(runs)
    assert {run.last.name for run in runs} <= {"calibrated", "fine-tuned"}


@pytest.mark.parametrize(("history", "state"), [((), "cancelled"), (("an epoch",), "done")])
def test_a_distillation_without_an_epoch_is_no_stage(session, monkeypatch, history, state):
    """It is one where nothing better was found."""
    recover = session.recover
    distilled = lambda network, *_, **__: network.with_model(network.model, history=history)  # noqa: E731
    monkeypatch.setattr("workbench.app.steps.recover.model.distill", distilled)
    recover.decompose()
    assert recover.finetune(learn_from="original").state == state
    assert recover.run.last.name == ("distilled" if history else "decomposed")


def test_compress_for_me_leaves_no_checkpoint(session, monkeypatch, tmp_path):
    session.recover.checkpoint = tmp_path / "checkpoint"
    session.recover.checkpoint.touch()
    monkeypatch.setattr("workbench.app.steps.recover.model.compress", Mock(side_effect=ValueError("diverged")))
    assert session.recover.compress_for_me().error == "Diverged."
    assert not session.recover.checkpoint.exists()


class TwoInputs(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(8, 12, 3)

    def forward(self, a, b):
        return self.conv(a + b).mean((2, 3))


def test_a_network_that_does_not_fit_its_data_is_planned_and_compressed_unscored():
    network = wb.Network(TwoInputs(), example=(torch.zeros(1, 8, 8, 8), torch.zeros(1, 8, 8, 8)))
    session = Session(network, tiny_data())
    assert session.choose.open().error == ""
    assert session.choose.misfit
    session.plan.choose_ranks("conv", rank_in=2, rank_out=2)
    assert session.recover.decompose().error == ""
    assert session.recover.compress_for_me(minutes=0.05).error == ""
    assert [(run.plan["conv"].rank_out, run.last.score) for run in session.recover.runs] == [(2, None)] * 2
    assert session.recover.sweep([1.3], "none").error.lower() == session.choose.misfit
    assert session.recover.finetune().error


def test_a_training_curve_begins_at_the_score_that_the_training_began_with(session):
    recover = session.recover
    recover.decompose()
    recover.calibrate()
    recover.finetune(epochs=2, learn_from="labels")
    assert (len(recover.curve), recover.start) == (2, recover.run.stage("calibrated").score)
    recover.finetune(epochs=1, learn_from="labels")
    assert (len(recover.curve), recover.start) == (1, recover.runs[-1].stages[-2].score)
    recover.from_scratch(epochs=1, learn_from="labels")
    assert (len(recover.curve), recover.start) == (1, None)


def test_the_curve_of_compress_for_me_is_that_of_the_run_that_is_kept(session, monkeypatch):
    monkeypatch.setattr(attempt, "points_lost", Mock(side_effect=[9.0, 2.0, 1.0]))  # fine-tuning helps
    monkeypatch.setattr("workbench.runs.compress.MAX_TRIES_IN_MINUTES", 1)
    assert session.recover.compress_for_me(minutes=5.0).error == ""
    run = session.recover.run
    assert [str(stage.name) for stage in run.stages] == ["original", "decomposed", "calibrated", "fine-tuned"]
    assert session.recover.curve == run.network.history != ()
    assert session.recover.start == run.stages[2].score
