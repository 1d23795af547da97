import contextlib

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.measure.runtimes import (
    RUNTIMES,
    AbsentRuntimeError,
    Runner,
    image_batch,
    missing,
    prepare,
    torch_threads,
)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4)
    )


@pytest.fixture(scope="module")
def inputs():
    return torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("runtime", [name for name in RUNTIMES if name not in {"compile", "cuda"}])
def test_every_runtime_computes_what_pytorch_does(model, inputs, runtime, channels_last):
    assert missing(runtime) == ""
    wanted = model.eval()(inputs).detach()
    runner = prepare(model.train(), inputs, runtime, channels_last=channels_last)
    assert model.training
    torch.testing.assert_close(runner.run(), wanted, rtol=1e-4, atol=1e-5)
    assert runner.clock() > 0


@pytest.mark.slow
def test_compiled_computes_the_same(model, inputs):
    wanted = model.eval()(inputs).detach()
    torch.testing.assert_close(prepare(model, inputs, "compile").run(), wanted, rtol=1e-4, atol=1e-5)


def test_gpu_if_there_is_one(model, inputs):
    if not torch.cuda.is_available():
        with pytest.raises(AbsentRuntimeError, match="no CUDA GPU"):
            prepare(model, inputs, "cuda")
        return
    wanted = model.eval()(inputs).detach()
    runner = prepare(model, inputs, "cuda")
    torch.testing.assert_close(runner.run().cpu(), wanted, rtol=1e-3, atol=1e-4)
    assert 0 < runner.clock() < 10


def test_what_is_absent_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("workbench.exporters.onnx.missing", lambda: "ONNX is not installed here: get it.")
    monkeypatch.setattr("workbench.exporters.executorch.missing", lambda: "ExecuTorch is not installed here: get it.")
    monkeypatch.setattr("workbench.measure.runtimes.shutil.which", lambda _: None)
    assert missing("eager") == ""
    assert missing("onnxruntime") == "ONNX is not installed here: get it."
    assert missing("executorch") == "ExecuTorch is not installed here: get it."
    assert missing("compile") == "torch.compile needs a C++ compiler: install g++ or clang."
    with pytest.raises(ValueError, match="there is no runtime 'tpu': choose one of eager, "):
        missing("tpu")


def test_inputs_are_the_same_every_time(network):
    first, again = image_batch(network, 3), image_batch(network, 3)
    assert first.shape == (3, *network.input_shape)
    assert torch.equal(first, again)
    example = wb.Network(network.model, example=torch.ones(1, *network.input_shape))
    assert torch.equal(image_batch(example, 2), torch.ones(2, *network.input_shape))
    several = wb.Network(network.model, network.input_shape, example=(torch.zeros(1), torch.zeros(1)))
    with pytest.raises(ValueError, match="takes other inputs"):
        image_batch(several)


def test_the_wall_clock():
    calls = []
    assert Runner(lambda: calls.append(1)).clock() >= 0
    assert calls == [1]


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with contextlib.suppress(ZeroDivisionError), torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        _ = 1 / 0
    assert torch.get_num_threads() == before
    for threads in (0, -1, 1.5, True, "1"):
        with pytest.raises(ValueError, match="threads is a whole number of at least 1"), torch_threads(threads):
            pass
