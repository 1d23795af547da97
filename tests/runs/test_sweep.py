import os
import pickle
import signal
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import pytest
import torch

import workbench as wb
from tests.helpers.networks import few, same
from tests.helpers.progress import Told
from workbench.runs.run import StageName
from workbench.runs.store import RunStore
from workbench.runs.sweep import sweep


@pytest.fixture(scope="module", name="few")
def _few(data):
    return few(data, 100)


@pytest.fixture(scope="module")
def plans(spectra):
    plan = wb.evbmf_plan(spectra)
    return [plan.with_ranks("features.3", rank_in=rank, rank_out=rank) for rank in (4, 8, 16, 24)]


def test_one_after_the_other_into_a_store(network, plans, few, tmp_path):
    store = RunStore(tmp_path / "runs.db")
    stored, runs, told = [], [], Told()
    for run in sweep(network, plans[:2], few, epochs=1, store=store, progress=told):
        runs.append(run.number)
        stored.append(len(store))
    assert stored == runs == [1, 2]
    assert (store[1].settings["teacher"], store[1].settings["epochs"]) == (False, 1)
    assert told[-1][0] == 1


@pytest.mark.parametrize("threads", [0, 2])
def test_one_that_fails_stops_no_other(network, plans, few, threads):
    layers = tuple(replace(p, layer=replace(p.layer, name=f"x{p.name}")) for p in plans[1])
    todo = [plans[0], replace(plans[1], layers=layers), plans[2]]  # the second is of another network
    with ThreadPoolExecutor(2) as executor:
        found = {id(r.plan): r for r in sweep(network, todo, few, executor=executor if threads else None)}
    first, second, third = (found[id(plan)] for plan in todo)
    assert first.last.name == third.last.name == "decomposed"
    assert second.network is None
    assert second.error.startswith("the plan has a layer xfeatures.0, which digits_vgg has not")


def halved(compressed, data):
    """A step: all weights of the last layer halved."""
    state = {k: v / 2 if k.startswith("classifier.2") else v for k, v in compressed.model.state_dict().items()}
    return wb.rebuild(compressed.original, compressed.plan, state)


def test_steps_before_fine_tuning(network, plans, few):
    (run,) = sweep(network, plans[:1], few, steps={StageName.CALIBRATED: halved})
    assert [s.name for s in run.stages] == ["original", "decomposed", "calibrated"]
    assert "calibrated" in run.network.source
    assert run.network.fitted
    (run,) = sweep(network, plans[:1], few, steps={StageName.CALIBRATED: lambda compressed, data: 1 / 0})
    assert run.error == "ZeroDivisionError: division by zero"


@pytest.mark.slow
def test_a_process_pool(network, plans, few, tmp_path):
    """Every plan has come, with the network that decompose and finetune make of it."""
    store = RunStore(tmp_path / "runs.db")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        runs = list(sweep(network, plans[:3], few, epochs=1, executor=executor, store=store))
    assert sorted(map(id, (run.plan for run in runs))) == sorted(map(id, plans[:3]))
    for run in runs:
        fallen = wb.decompose(network, run.plan)
        expected = wb.finetune(fallen, few, epochs=1)
        state = run.network.model.state_dict()
        assert all(torch.allclose(v, state[k], rtol=1e-4, atol=1e-5) for k, v in expected.model.state_dict().items())
        scores = [wb.score(network, few.validation), wb.score(fallen, few.validation), expected.history[-1].validation]
        names = ("original", "decomposed", "fine-tuned")
        assert {s.name: s.score for s in run.stages} == dict(zip(names, scores, strict=True))
        assert same(store.load(run, network).model.state_dict(), state)
        assert store[run.number].settings["epochs"] == 1


def first_class(network, split):
    """A metric: share of the images that get the first class."""
    return float((network.run(network.inputs(split.images)).argmax(1) == 0).double().mean())


def test_without_labels_or_by_a_metric(network, plans, few):
    bare = wb.Split.unlabelled(few.validation.images[:50], "validation")
    (run,) = sweep(network, plans[:1], replace(few, validation=bare))
    assert [stage.score.kind for stage in run.stages] == ["agreement"] * 2
    assert run.score() == wb.score(run.network, bare)
    (run,) = sweep(network, plans[:1], few, metric=first_class)
    assert [stage.score.kind for stage in run.stages] == ["first_class"] * 2
    assert run.score().top1 == first_class(run.network, few.validation)
    none = wb.Split.unlabelled(bare.images[:0])
    (run,) = sweep(network, plans[:1], wb.Data(none, none, few.test))
    assert "cannot be scored on data: give images to choose by, or a metric" in run.error


def dies(compressed, data):
    if compressed.plan["features.3"].rank_in == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    return compressed


def test_a_worker_that_dies_is_said(network, plans, few):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        found = list(sweep(network, plans[:3], few, steps={StageName.CALIBRATED: dies}, executor=executor))
    errors = {id(run.plan): run.error for run in found}
    assert errors[id(plans[0])] == ""
    assert errors[id(plans[1])].startswith("its worker process died (killed, or out of memory) before it was done")
    assert len(found) == 3


def test_a_store_that_fails_loses_no_network(network, plans, few, tmp_path):
    store = RunStore(tmp_path / "runs.db", wait=0.1)
    store.path.unlink()
    (run,) = sweep(network, plans[:1], few, store=store)
    assert run.error.startswith("the run is not stored: runs.db cannot be opened")
    assert run.network is not None
    assert run.number == 0


def test_settings_that_make_no_sense_and_what_cannot_be_sent(network, plans, few, monkeypatch):
    with pytest.raises(ValueError, match="say for how long to fine-tune"):
        sweep(network, plans, few, teacher=network)
    with pytest.raises(TypeError, match="no setting speed"):
        sweep(network, plans, few, epochs=1, speed=2)
    for address in ("", "tcp://", "tcp://host", "host:port"):
        with pytest.raises(ValueError, match=f"^'{address}' is no address of a Dask scheduler"):
            list(sweep(network, plans, few, executor=address))
    monkeypatch.setattr("workbench.runs.sweep.cloudpickle", pickle)
    own = network.with_model(network.model, preprocessing=lambda images: images)
    with pytest.raises(ValueError, match="digits_vgg cannot be sent to other processes"), ThreadPoolExecutor(1) as pool:
        list(sweep(own, plans, few, executor=pool))


def slow(compressed, data):
    """A step that gives time to kill its worker."""
    time.sleep(0.5)
    return compressed


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_dask_with_a_worker_killed(network, plans, few, tmp_path):
    distributed = pytest.importorskip("distributed")
    store, runs = RunStore(tmp_path / "runs.db"), []
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    options |= {"local_directory": str(tmp_path), "silence_logs": 50}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        victim = next(iter(client.run(os.getpid).values()))
        steps = {StageName.CALIBRATED: slow}
        for run in sweep(network, plans + plans, few, steps=steps, executor=client, store=store):
            if not runs:
                os.kill(victim, signal.SIGKILL)
            runs.append(run)
    assert [run.error for run in runs] == [""] * 8
    assert len(store) == 8
    for run in runs:
        assert run.score() == wb.score(wb.decompose(network, run.plan), few.validation)
