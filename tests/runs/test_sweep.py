import os
import signal
import sys
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import pytest
import torch

import workbench as wb
from workbench.runs.store import RunStore
from workbench.runs.sweep import sweep


@pytest.fixture(scope="module")
def few():
    data = wb.load_data("digits")
    return replace(data, train=wb.Split(data.train.images[:100], data.train.labels[:100], "train"))


@pytest.fixture(scope="module")
def plans(spectra):
    plan = wb.evbmf_plan(spectra)
    return [plan.with_ranks("features.3", rank_in=rank, rank_out=rank) for rank in (4, 8, 16, 24)]


def bad(plan):
    """A plan of another network."""
    return replace(plan, layers=tuple(replace(p, layer=replace(p.layer, name=f"x{p.name}")) for p in plan))


def check(outcomes, plans, network, data, store=None):
    """Every plan has come, with the network that decompose and finetune make of it."""
    assert sorted(o.index for o in outcomes) == list(range(len(plans)))
    for outcome in outcomes:
        assert outcome.error == ""
        assert outcome.plan is plans[outcome.index]
        expected = wb.decompose(network, outcome.plan)
        fallen = wb.accuracy(expected, data.validation)
        list(wb.finetune(expected, data, epochs=1))
        state = outcome.network.model.state_dict()
        assert all(torch.allclose(v, state[k], rtol=1e-4, atol=1e-5) for k, v in expected.model.state_dict().items())
        scores = {s.name: s.accuracy for s in outcome.run.stages}
        assert list(scores) == ["original", "decomposed", "fine-tuned"]
        assert scores["original"] == wb.accuracy(network, data.validation)
        assert scores["decomposed"] == fallen
        assert scores["fine-tuned"] == outcome.epochs[-1].validation
        assert outcome.network.plan["features.3"].measured_error is not None
        if store is not None:
            again = store.load(outcome.run, network)
            assert all(torch.equal(v, state[k]) for k, v in again.model.state_dict().items())
            assert store[outcome.run.number].settings["epochs"] == 1


def test_one_after_the_other_into_a_store(network, plans, few, tmp_path):
    store = RunStore(tmp_path / "runs.db")
    stored, shares = [], []
    outcomes = []
    for outcome in sweep(network, plans[:2], few, epochs=1, store=store, progress=shares.append):
        outcomes.append(outcome)
        stored.append(len(store))
    assert stored == [1, 2]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    check(outcomes, plans[:2], network, few, store)
    assert [o.index for o in outcomes] == [0, 1]
    assert "plan 1: run 1: digits_vgg" in str(outcomes[0])


@pytest.mark.parametrize("threads", [0, 2])
def test_one_that_fails_stops_no_other(network, plans, few, threads):
    todo = [plans[0], bad(plans[1]), plans[2]]
    with ThreadPoolExecutor(2) as executor:
        found = {o.index: o for o in sweep(network, todo, few, executor=executor if threads else None)}
    assert found[0].run.stages[-1].name == found[2].run.stages[-1].name == "decomposed"
    assert (found[1].run, found[1].network) == (None, None)
    assert found[1].error.startswith("the plan has a layer xfeatures.0, which digits_vgg has not")


def halved(smaller, original, data):
    """A step: all weights of the last layer halved."""
    state = {k: v / 2 if k.startswith("classifier.2") else v for k, v in smaller.model.state_dict().items()}
    return wb.rebuild(original, smaller.plan, state)


def refused(smaller, original, data):
    raise ArithmeticError("no")


def test_steps_before_fine_tuning(network, plans, few):
    (outcome,) = sweep(network, plans[:1], few, steps={"halved": halved}, split="test")
    assert [(s.name, s.split) for s in outcome.run.stages] == [
        ("original", "test"),
        ("decomposed", "test"),
        ("halved", "test"),
    ]
    assert "halved" in outcome.network.source
    (outcome,) = sweep(network, plans[:1], few, steps={"refused": refused})
    assert outcome.error == "ArithmeticError: no"


@pytest.mark.slow
def test_a_process_pool(network, plans, few, tmp_path):
    store = RunStore(tmp_path / "runs.db")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        check(
            list(sweep(network, plans[:3], few, epochs=1, executor=executor, store=store)),
            plans[:3],
            network,
            few,
            store,
        )


def dies(smaller, original, data):
    if smaller.plan["features.3"].rank_in == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    return smaller


def test_a_worker_that_dies_is_said(network, plans, few):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        found = list(sweep(network, plans[:3], few, steps={"step": dies}, executor=executor))
    errors = {o.index: o.error for o in found}
    assert errors[0] == ""
    assert errors[1].startswith("its worker process died (killed, or out of memory) before it was done")
    assert len(found) == 3


def test_cancel_takes_back_what_has_not_begun(network, plans, few):
    begun, go = [], threading.Event()

    def step(smaller, original, data):
        begun.append(smaller)
        go.wait(10)
        return smaller

    class Later(ThreadPoolExecutor):
        def submit(self, work, content, plan):
            return super().submit(step, plan, network, few)

    with Later(1) as executor:
        assert list(sweep(network, plans, few, executor=executor, cancelled=lambda: bool(begun))) == []
        go.set()
    assert len(begun) == 1


def test_cancel_here_stops_in_the_middle(network, plans, few):
    shares = []
    outcomes = sweep(network, plans, few, epochs=1, progress=shares.append, cancelled=lambda: len(shares) > 5)
    assert [o.index for o in outcomes] == [0]


def test_a_store_that_fails_loses_no_network(network, plans, few, tmp_path):
    store = RunStore(tmp_path / "runs.db", wait=0.1)
    store.path.unlink()
    (outcome,) = sweep(network, plans[:1], few, store=store)
    assert outcome.error.startswith("it is done but not stored: runs.db cannot be opened")
    assert outcome.network is not None
    assert outcome.run.number == 0


def test_settings_that_make_no_sense(network, plans, few):
    with pytest.raises(ValueError, match="say for how long to fine-tune"):
        sweep(network, plans, few, teacher=network)
    with pytest.raises(ValueError, match="split is 'train', 'validation' or 'test', not 'best'"):
        sweep(network, plans, few, split="best")
    with pytest.raises(TypeError, match="no setting speed"):
        sweep(network, plans, few, epochs=1, speed=2)


def test_what_cannot_be_sent_is_said(network, plans, few, monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    own = replace(network, preprocessing=lambda images: images)
    with (
        ThreadPoolExecutor(1) as executor,
        pytest.raises(ValueError, match="digits_vgg cannot be sent to other processes"),
    ):
        list(sweep(own, plans, few, executor=executor))


class Slow:
    """A step that gives time to kill its worker."""

    def __call__(self, smaller, original, data):
        time.sleep(0.5)
        return smaller


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_dask_with_a_worker_killed(network, plans, few, tmp_path):
    distributed = pytest.importorskip("distributed")
    store = RunStore(tmp_path / "runs.db")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    options |= {"local_directory": str(tmp_path), "silence_logs": 50}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        victim = next(iter(client.run(os.getpid).values()))
        todo = plans + plans
        outcomes = []
        for outcome in sweep(network, todo, few, steps={"slow": Slow()}, executor=client, store=store):
            if not outcomes:
                os.kill(victim, signal.SIGKILL)
            outcomes.append(outcome)
    assert sorted(o.index for o in outcomes) == list(range(8))
    assert [o.error for o in outcomes] == [""] * 8
    assert len(store) == 8
    for outcome in outcomes:
        expected = wb.accuracy(wb.decompose(network, outcome.plan), few.validation)
        assert outcome.run.stages[-1].accuracy == expected


def test_a_future_that_fails_is_an_outcome(network, plans, few):
    class Broken:
        def submit(self, *_):
            future = Future()
            future.set_exception(MemoryError("too much"))
            return future

    (outcome,) = sweep(network, plans[:1], few, executor=Broken())
    assert outcome.error == "its worker failed: MemoryError: too much"
