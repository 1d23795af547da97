import gc
from itertools import count

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.measure import latency as module
from workbench.measure.latency import LEAST, MOST, Latency, Speed, latency, speed, timed
from workbench.measure.runtimes import AbsentRuntimeError, Runner


def runner(log, name, seconds):
    def clock():
        log.append(name)
        return next(seconds) if hasattr(seconds, "__next__") else seconds

    return Runner(lambda: torch.zeros(1), clock)


def test_turns_are_taken_and_their_order_changes():
    log = []
    samples = timed({"a": runner(log, "a", 0.1), "b": runner(log, "b", 0.2)}, seconds=2.5)
    assert {name: len(values) for name, values in samples.items()} == {"a": 8, "b": 8}
    rounds = log[-16:]
    pairs = [tuple(rounds[i : i + 2]) for i in range(0, 16, 2)]
    assert pairs == [("a", "b"), ("b", "a")] * 4


@pytest.mark.parametrize(("once", "rounds"), [(10.0, LEAST), (1e-6, MOST)])
def test_there_are_neither_too_few_rounds_nor_too_many(once, rounds):
    assert len(timed({"a": runner([], "a", once)}, seconds=1.0)["a"]) == rounds


def test_warm_up_does_not_count():
    assert timed({"a": runner([], "a", iter([9.0, 8.0, *[0.1] * 100]))}, seconds=1.0)["a"].max() == 0.1


def test_the_collector_rests_and_comes_back():
    seen = []
    timed({"a": Runner(lambda: torch.zeros(1), lambda: seen.append(gc.isenabled()) or 1.0)}, seconds=1.0)
    assert seen[-LEAST:] == [False] * LEAST
    assert gc.isenabled()


def samples(**seconds):
    return Latency("eager", 1, 1, False, {name: np.array(values) for name, values in seconds.items()})


def test_medians_quartiles_and_their_ratio():
    found = samples(a=[0.04, 0.02, 0.03, 0.02, 0.9], b=[0.01, 0.01, 0.01, 0.01, 0.01])
    assert found.ms("a") == pytest.approx(30)
    assert found.spread("a") == pytest.approx((20, 40))
    assert found.speedup("a", "b") == pytest.approx(3)
    assert found.speedup_spread("a", "b") == pytest.approx((2, 4))
    drifting = samples(a=[0.02, 0.04, 0.08], b=[0.01, 0.02, 0.04])  # a busy machine slows both: the ratio stays
    assert drifting.speedup_spread("a", "b") == pytest.approx((2, 2))
    assert "PyTorch, batch 1, 1 thread" in str(found)
    assert "20 to 40" in found._repr_html_()


def test_real_networks_are_timed_and_left_as_they_were(network, plan):
    smaller = wb.decompose(network, plan)
    before = torch.get_num_threads()
    found = latency([network, smaller], batch=2, threads=2, channels_last=True, seconds=0.1)
    assert list(found.samples) == ["digits_vgg", "digits_vgg, compressed"]
    assert all((values > 0).all() and len(values) >= LEAST for values in found.samples.values())
    assert found.how == "PyTorch, batch 2, 2 threads, channels last"
    assert torch.get_num_threads() == before


def test_progress_goes_up_and_can_stop_it(network):
    told = []
    latency([network], seconds=0.05, progress=lambda share, note: told.append((share, note)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert told[0][1] == "preparing digits_vgg for PyTorch"

    class EnoughError(Exception):
        pass

    def stop(share, note):
        raise EnoughError

    with pytest.raises(EnoughError):
        latency([network], seconds=0.05, progress=stop)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"batch": 0}, "batch must be"), ({"threads": 1.5}, "threads must be"), ({"runtime": "tpu"}, "no runtime 'tpu'")],
)
def test_settings_that_make_no_sense(network, settings, message):
    with pytest.raises(ValueError, match=message):
        latency([network], **settings)
    with pytest.raises(ValueError, match="no networks to time"):
        latency([])
    with pytest.raises(TypeError, match="this takes a Network"):
        latency([network.model])


@pytest.fixture
def fake(monkeypatch):
    """Runtimes with known times: compressed takes a quarter in PyTorch, half elsewhere, which is faster altogether."""
    seconds = {"eager": (0.4, 0.1), "onnxruntime": (0.1, 0.05)}

    def prepare(model, inputs, runtime, **settings):
        if runtime not in seconds:
            raise AbsentRuntimeError(f"{runtime} is not installed here.")
        return Runner(lambda: torch.zeros(1), lambda: seconds[runtime][next(order[runtime]) % 2])

    order = {name: count() for name in seconds}

    def turn(runners, *_):
        return {name: np.full(7, r.clock()) for name, r in runners.items()}

    monkeypatch.setattr(module, "prepare", prepare)
    monkeypatch.setattr(module, "timed", turn)


def test_speed_is_beside_what_was_counted(network, plan, fake):
    smaller = wb.decompose(network, plan)
    found = speed(network, smaller, ("eager", "onnxruntime", "executorch"))
    eager, onnx = found.rows()
    ratio = plan.macs_ratio
    assert (eager["runtime"], eager["dense_ms"], eager["speedup"]) == ("eager", pytest.approx(400), pytest.approx(4))
    assert eager["realised"] == pytest.approx(4 / ratio)
    assert onnx["realised"] == pytest.approx(2 / ratio)
    assert eager["spread"] == pytest.approx((4, 4))
    assert "x4.00 to x4.00" in str(found)
    assert found.best_realised == pytest.approx(2 / ratio)  # 100 ms / 50 ms, not 400 / 50
    assert found.absent == {"executorch": "executorch is not installed here."}
    assert "executorch is not installed here." in str(found)
    assert f"{100 * 4 / ratio:.0f} %" in found._repr_html_()
    assert isinstance(found, Speed)


def test_speed_needs_a_plan_and_a_runtime(network, plan, fake):
    with pytest.raises(ValueError, match="digits_vgg has no plan"):
        speed(network, network)
    with pytest.raises(ValueError, match="cuda is not installed here"):
        speed(network, wb.decompose(network, plan), ("cuda",))
