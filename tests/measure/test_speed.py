from itertools import count

import numpy as np
import pytest
import torch

import workbench as wb
from tests.helpers.runners import FakeRunner
from workbench.exporters.tracing import ExportError
from workbench.measure import exclusive, runtimes
from workbench.measure import latency as module
from workbench.measure.runtimes import FILE_RUNTIMES, AbsentRuntimeError


@pytest.fixture
def fake(monkeypatch, request):
    """Runtimes with known times: compressed takes a quarter in PyTorch, half elsewhere, which is faster altogether."""
    error = getattr(request, "param", AbsentRuntimeError)
    seconds = {"eager": (0.4, 0.1), "onnxruntime": (0.1, 0.05)}
    order = {name: count() for name in seconds}

    def prepare(model, inputs, runtime, **settings):
        if runtime not in seconds:
            raise error(f"{runtime} is not installed here.")
        return FakeRunner(seconds[runtime][next(order[runtime]) % 2])

    monkeypatch.setattr(runtimes, "prepare", prepare)
    monkeypatch.setattr(module, "time_in_turns", lambda clocks, *_: {n: np.full(7, c()) for n, c in clocks.items()})


@pytest.mark.parametrize("fake", [AbsentRuntimeError, ExportError], indirect=True)
def test_speed_is_beside_what_was_counted(smaller, fake):
    found = wb.speed(smaller, ("eager", "onnxruntime", "executorch"))
    eager, onnx = found.records
    ratio = smaller.plan.macs_ratio
    assert (eager["runtime"], eager["dense_ms"], eager["speedup"]) == ("eager", pytest.approx(400), pytest.approx(4))
    assert eager["realised"] == pytest.approx(4 / ratio)
    assert onnx["realised"] == pytest.approx(2 / ratio)
    assert eager["spread"] == pytest.approx((4, 4))
    assert found.fastest == (onnx, onnx)
    assert found.best_speedup == pytest.approx(2)
    assert found.best_realised == pytest.approx(2 / ratio)  # 100 ms / 50 ms, not 400 / 50
    assert found.absent == {"executorch": "executorch is not installed here."}
    for words in ("original", "x4.00 to x4.00", "executorch is not", f"{400 / ratio:.0f} %"):
        assert words in str(found)
    with pytest.raises(ValueError, match="executorch is not installed here"):
        wb.speed(smaller, ("executorch",))


def test_a_disturbed_timing_says_so(smaller, fake, monkeypatch):
    assert wb.speed(smaller, ("eager",)).disturbed == ""
    monkeypatch.setattr(exclusive, "others_computing", lambda: True)
    found = wb.speed(smaller, ("eager",))
    assert found.disturbed == found.latencies["eager"].disturbed == "another session of the workbench was computing"
    assert found.disturbed in str(found)
    profile = wb.profile(smaller, repeats=1)
    assert profile.disturbed
    assert profile.disturbed in str(profile)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", [name for name in FILE_RUNTIMES if not runtimes.missing(name)])
def test_int8_files_are_timed_beside_float_ones(smaller, data, runtime):
    images = data.train.images[:60]
    found = wb.speed(smaller, ("eager", runtime), int8=images, seconds=0.01)
    eager, files = found.records
    assert "int8_ms" not in eager
    assert eager["bytes"] == {}
    assert files["int8_speedup"] == pytest.approx(files["dense_ms"] / files["int8_ms"])
    sizes = files["bytes"]
    assert list(sizes) == ["original", "compressed", "int8"]
    assert sizes["int8"] < sizes["compressed"] < sizes["original"]
    # the answers to the half that no range was measured on, as PyTorch gives them
    _, others = wb.Split.unlabelled(images).parted(30)
    wanted = wb.score(smaller, wb.Split.unlabelled(others.images[torch.arange(30)])).top1
    assert found.compared == 30
    assert eager["agreement"] == {"original": 1.0, "compressed": pytest.approx(wanted)}
    assert files["agreement"]["compressed"] == pytest.approx(wanted)
    assert files["agreement"]["int8"] >= wanted - 0.1
    assert [row[1] for row in found.rows] == ["original", "compressed", "original", "compressed", "compressed, int8"]
    assert found.rows[-1][6:] == [f"{sizes['int8'] / 1e6:.2f}", f"{files['agreement']['int8']:.1%}"]


def test_what_has_no_speed(network, smaller, data):
    with pytest.raises(TypeError, match="compressed network"):
        wb.speed(network)
    for images, chosen, batch, why in (
        (data.test, ("eager",), 1, "int8 files run in onnxruntime and executorch: choose one of these runtimes"),
        (data.test.images[:7], ("onnxruntime",), 4, "int8 takes at least 8 images"),
    ):
        with pytest.raises(ValueError, match=why):
            wb.speed(smaller, chosen, int8=images, batch=batch, seconds=0.01)
