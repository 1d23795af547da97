"""A whole session on a running event loop: anything in any order, overlapping, and nothing is corrupted."""

import asyncio
import tempfile
from contextlib import suppress
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import workbench as wb
from tests.helpers.machines import machine
from tests.helpers.sessions import Overlaps, ThreadPerJob, Untraceable, batch_normed, idle, state_of, tiny_data, trained
from workbench.app.session import Session
from workbench.app.steps.plan.settings import PlanSettings
from workbench.runs.scoring import scored_stage
from workbench.runs.store import RunStore

NAMES = ("batch_normed", "untraceable")
MODELS = {}  # what the user gave, by the network's name; made anew for every example


def give(name, weights=None, progress=None):
    return wb.Network(MODELS[name], input_shape=(1, 8, 8), name=name, source=f"given as {name}")


@pytest.fixture(autouse=True)
def _small(monkeypatch, quick_speed):
    """No torchvision, no large networks of the paper, no seconds of timing."""
    monkeypatch.setattr("workbench.app.steps.choose.model.load_network", give)
    monkeypatch.setattr("workbench.catalog.paper.table.PUBLISHED", {})
    for delay in ("plan.model.VERIFY_DELAY_S", "compare.preview.DELAY_S"):
        monkeypatch.setattr(f"workbench.app.steps.{delay}", 0.01)
    monkeypatch.setattr("workbench.app.steps.plan.model.measure_times", modelled)


def modelled(network, spectra, progress=None):
    """Times of the layers on a machine whose closed form is known."""
    network.model(torch.rand(1, 1, 8, 8))
    return replace(machine(spectra, overhead=1e-6), network=network.name)


def press_rule(path, **strategies):
    """A rule that presses what calls a verb of the session."""

    def press(self, **values):
        self.press(attrgetter(path)(self.session), **values)

    press.__name__ = press.__qualname__ = path.replace(".", "_")
    return rule(**strategies)(press)


class SessionMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        MODELS.update(batch_normed=batch_normed(), untraceable=trained(Untraceable()).train())
        self.before = {name: state_of(model) for name, model in MODELS.items()}
        self.data, self.overlaps, self.jobs = tiny_data(), Overlaps(), set()
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name) / "runs.sqlite"
        self.loop = asyncio.new_event_loop()
        self.patch = pytest.MonkeyPatch()
        self.patch.setenv("WORKBENCH_RUNS", str(self.file))
        self.patch.setattr("workbench.app.worker.computing", self.overlaps)

        async def begin():
            session = Session(give("batch_normed"), self.data)
            session.worker.observe(lambda change: self.jobs.update(change["new"]), "jobs")
            session.speed.runtimes = ("eager",)
            session.preview.active = True
            session.choose.open()
            await idle(session)
            return session

        self.session = self.loop.run_until_complete(begin())
        self.checked = {}

    def press(self, verb, *arguments, **more):
        async def pressed():
            verb(*arguments, **more)
            await asyncio.sleep(0)

        self.loop.run_until_complete(pressed())

    decompose = press_rule("recover.decompose")
    calibrate = press_rule("recover.calibrate")
    compress_for_me = press_rule("recover.compress_for_me", minutes=st.sampled_from([1e-3, 0.02]))
    learn_from, epochs = st.sampled_from(["labels", "both", "original"]), st.integers(1, 3)
    finetune = press_rule("recover.finetune", learn_from=learn_from, epochs=epochs)
    from_scratch = press_rule("recover.from_scratch", epochs=st.just(1))
    sweep = press_rule("recover.sweep", ratios=st.just([1.3, 1.7]), recovery=st.just("calibrate"))
    step = press_rule("preview.step", change=st.sampled_from([-1, 1]))
    next_changed = press_rule("preview.next_changed")
    rank_curve = press_rule("rank_curve.measure")
    paper = press_rule("paper.compute")
    importance = press_rule("plan.measure_importance")
    measure = press_rule("speed.measure")
    export = press_rule("take_home.make", kind=st.sampled_from(["weights", "report"]))
    undo, redo = press_rule("undo"), press_rule("redo")
    open = press_rule("choose.open", network=st.sampled_from(NAMES))
    planners, ratios = st.sampled_from(["evbmf", "budget"]), st.sampled_from([1.2, 1.5, 2.0, 50.0])
    replan = press_rule("plan.replan", planner=planners, macs_ratio=ratios)

    @rule(place=st.integers(0, 2), rank=st.integers(1, 9))
    def edit(self, place, rank):
        plan = self.session.plan.plan
        self.press(self.session.plan.choose_ranks, plan.layers[place].name, rank_out=rank)

    @rule()
    def keep_layer(self):
        self.press(self.session.plan.keep_layer, self.session.look.picked)

    @rule(place=st.integers(0, 4))
    def resume(self, place):
        stored = self.session.recover.stored
        self.press(self.session.recover.resume, stored[place % len(stored)].number if stored else 0)

    @rule(changed_first=st.booleans())
    def gallery(self, changed_first):
        self.press(self.session.gallery.set_trait, "changed_first", changed_first)
        self.press(self.session.gallery.other_images)

    @rule(ratio=st.sampled_from([1.1, 1.5]))
    def time_layers(self, ratio):
        self.press(self.session.plan.replan, planner="time", time_ratio=ratio)
        self.press(self.session.plan.time_layers)

    @rule(place=st.integers(0, 5))
    def cancel(self, place):
        jobs = self.session.worker.jobs
        if jobs:
            self.press(jobs[place % len(jobs)].cancel)

    @rule(seconds=st.sampled_from([0.005, 0.05, 0.2]))
    def wait(self, seconds):
        self.loop.run_until_complete(asyncio.sleep(seconds))

    @rule()
    def settle(self):
        self.loop.run_until_complete(idle(self.session))
        self.check_runs()

    @invariant()
    def given_models_are_unchanged(self):
        for name, model in MODELS.items():
            assert self.before[name] == state_of(model), f"{name} was changed"

    @invariant()
    def no_overlap_and_no_fault(self):
        assert self.overlaps.count == 0, "two computations overlapped"
        for job in self.jobs:
            assert "fault in the workbench" not in job.error, f"{job.title}: {job.error}"

    @invariant()
    def page_belongs_to_the_open_network(self):
        session = self.session
        plan, network, run = session.plan.plan, session.choose.network, session.recover.run
        assert (plan.network, session.look.picked in {part.name for part in plan}) == (network.name, True)
        assert run is None or run.network.original is network

    def check_runs(self):
        """Plan, settings, weights and scores of every stored run belong together, and of those of the session."""
        if not self.file.exists():
            return
        store = RunStore(self.file)
        for run in store.runs():
            if self.checked.get(run.number) == (run.weights_hash, run.stages):
                continue
            self.checked[run.number] = (run.weights_hash, run.stages)
            made = store.load(run, give(run.network_name))
            scores = scored_stage(made, self.data, run.last.name).scores  # a sweep scores no test images
            assert run.last.scores.items() <= scores.items(), f"run {run.number}, {run.last.name}: {scores}"
            planned = PlanSettings.of(run.settings)
            if planned.planner == "budget":
                assert f"MACs x{planned['macs_ratio']:.4g}" in run.plan.policy
            elif planned.planner == "evbmf":
                spectra = wb.analyze(give(run.network_name))
                assert planned.plan(spectra, edited=run.plan).same_decisions(run.plan)
        for run in self.session.recover.runs:
            stored = store[run.number]
            assert (stored.last.name, stored.last.scores) == (run.last.name, run.last.scores)
            assert run.network.plan.same_decisions(run.plan)
            made, images = store.load(run, run.network.original), self.data.test.images
            assert torch.equal(made.model(images), run.network.model(images))

    def teardown(self):
        async def end():
            for job in self.session.worker.jobs:
                job.cancel()
            await idle(self.session)

        try:
            self.loop.run_until_complete(end())
            self.check_runs()
            self.given_models_are_unchanged()
            self.no_overlap_and_no_fault()
        finally:
            self.patch.undo()
            self.loop.close()
            self.folder.cleanup()


class Long(SessionMachine):
    export = press_rule("take_home.make", kind=st.sampled_from(["weights", "report", "onnx"]))


@pytest.mark.parametrize(
    ("machine", "examples", "steps"),
    [(SessionMachine, 8, 30), pytest.param(Long, 20, 40, marks=pytest.mark.slow)],
)
def test_a_session_driven_at_random_corrupts_nothing(machine, examples, steps):
    limits = {"max_examples": examples, "stateful_step_count": steps, "deadline": None, "database": None}
    phases = (Phase.explicit, Phase.generate) if machine is SessionMachine else tuple(Phase)
    more = {"suppress_health_check": list(HealthCheck), "derandomize": True, "phases": phases}
    run_state_machine_as_test(machine, settings=settings(**limits, **more))


def test_the_machine_fails_if_the_single_worker_is_bypassed(monkeypatch):
    monkeypatch.setattr("workbench.app.session.Worker", ThreadPerJob)
    machine = SessionMachine()
    with pytest.raises(AssertionError, match="overlapped"):  # noqa: PT012
        for _ in range(20):
            machine.decompose()
            machine.gallery(changed_first=False)
            machine.importance()
            machine.wait(0.05)
            machine.no_overlap_and_no_fault()
    with suppress(Exception):  # whatever was corrupted
        machine.teardown()
