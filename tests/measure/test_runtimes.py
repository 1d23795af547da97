import contextlib

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.measure.runtimes import AbsentRuntimeError, image_batch, missing, prepare, torch_threads


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 36, 4))


@pytest.fixture(scope="module")
def inputs():
    return torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("runtime", "channels_last"),
    [
        ("eager", False),
        ("eager", True),
        ("onnxruntime", False),
        ("executorch", False),
    ],
)
def test_every_runtime_computes_what_pytorch_does(model, inputs, runtime, channels_last):
    assert missing(runtime) == ""
    wanted = model.eval()(inputs).detach()
    runner = prepare(model.train(), inputs, runtime, channels_last=channels_last)
    assert model.training
    torch.testing.assert_close(runner.run().cpu(), wanted, rtol=1e-3, atol=1e-4)
    assert runner.clock() > 0


def test_what_is_absent_says_how_to_get_it(model, inputs, monkeypatch):
    for name in ("onnx", "executorch"):
        monkeypatch.setattr(f"workbench.exporters.{name}.missing", lambda name=name: f"{name} is not installed.")
    assert missing("eager") == ""
    assert missing("onnxruntime") == "onnx is not installed."
    with pytest.raises(AbsentRuntimeError, match="executorch is not installed"):
        prepare(model, inputs, "executorch")
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


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with contextlib.suppress(ZeroDivisionError), torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        _ = 1 / 0
    assert torch.get_num_threads() == before
    for threads in (0, -1, 1.5, True, "1"):
        with pytest.raises(ValueError, match="threads is a whole number of at least 1"), torch_threads(threads):
            pass
