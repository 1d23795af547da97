import pytest
import torch
from torch import nn

import workbench as wb
from workbench.measure.runtimes import AbsentRuntimeError, batch_inputs, missing, prepare


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
        pytest.param("executorch", False, marks=pytest.mark.slow),
    ],
)
def test_every_runtime_computes_what_pytorch_does(model, inputs, runtime, channels_last):
    assert missing(runtime) == ""
    wanted = model.eval()(inputs).detach()
    runner = prepare(model.train(), inputs, runtime, channels_last=channels_last)
    assert model.training
    torch.testing.assert_close(runner.run().cpu(), wanted, rtol=1e-3, atol=1e-4)
    assert runner.clock() > 0


@pytest.mark.parametrize(("batch", "wanted"), [(1, [[0, 1]]), (2, [[0, 1], [0, 1]])])
def test_a_batch_repeats_the_first_of_several_examples(batch, wanted):
    example = torch.arange(6.0).reshape(3, 2)
    assert batch_inputs(wb.Network(nn.Flatten(), example=example), batch).tolist() == wanted
    settings = torch.arange(5.0)  # no batch
    tokens, same = batch_inputs(wb.Network(nn.Bilinear(2, 5, 1), example=(example, settings)), batch)
    assert (tokens.tolist(), same.tolist()) == (wanted, settings.tolist())


def test_what_is_absent_says_how_to_get_it(model, inputs, monkeypatch):
    for name in ("onnx", "executorch"):
        monkeypatch.setattr(f"workbench.exporters.{name}.missing", lambda name=name: f"{name} is not installed.")
    assert missing("eager") == ""
    assert missing("onnxruntime") == "onnx is not installed."
    with pytest.raises(AbsentRuntimeError, match="executorch is not installed"):
        prepare(model, inputs, "executorch")
    with pytest.raises(ValueError, match="there is no runtime 'tpu': choose one of eager, "):
        missing("tpu")
