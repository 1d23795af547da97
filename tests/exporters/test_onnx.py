"""ONNX files against the PyTorch model they were made from, run by ONNX Runtime."""

import sys

import pytest
import torch
from torch import nn

from workbench.exporters.onnx import INPUT, missing, onnx_bytes
from workbench.exporters.tracing import ExportError


def run(content, inputs):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {INPUT: inputs.numpy()})[0]), session


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.LocalResponseNorm(5), nn.Dropout())
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5))


def test_the_file_computes_what_the_model_does(model):
    x = torch.rand(3, 3, 9, 11, generator=torch.Generator().manual_seed(0))
    model.train()
    content = onnx_bytes(model, x, metadata={"name": "é"})
    assert all(module.training for module in model.modules())
    outputs, session = run(content, x)
    with torch.no_grad():
        expected = model.eval()(x)
    assert torch.allclose(outputs, expected, atol=1e-6, rtol=0)
    assert session.get_modelmeta().custom_metadata_map == {"name": "é"}
    assert session.get_inputs()[0].shape == [3, 3, 9, 11]


def test_any_number_of_images_if_asked_for(model):
    x = torch.rand(4, 3, 9, 11, generator=torch.Generator().manual_seed(0))
    content = onnx_bytes(model, x[:1], dynamic_batch=True)
    with torch.no_grad():
        expected = model.eval()(x)
    for n in (1, 4):
        found, session = run(content, x[:n])
        assert torch.allclose(found, expected[:n], atol=1e-6, rtol=0)
    assert session.get_inputs()[0].shape == ["n", 3, 9, 11]
    assert session.get_outputs()[0].shape == ["n", 5]


def test_the_file_names_no_folder_of_this_machine(model):
    content = onnx_bytes(model, torch.rand(1, 3, 8, 8))
    assert b"site-packages" not in content
    assert b".py" not in content


def test_nothing_is_printed(model, capfd):
    onnx_bytes(model, torch.rand(1, 3, 8, 8))
    assert capfd.readouterr() == ("", "")


def test_what_depends_on_values_is_refused_in_one_sentence():
    class Undecided(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(ExportError, match=r"^the model cannot be traced.*depends on the values in its input[^\n]*$"):
        onnx_bytes(Undecided(), torch.rand(1, 3))


def test_what_onnx_cannot_say_is_refused_in_one_sentence():
    class Eigen(nn.Module):
        def forward(self, x):
            return torch.linalg.eigvals(x).real

    with pytest.raises(ExportError, match=r"^the model cannot be translated to ONNX: [^\n]*eig[^\n]*$"):
        onnx_bytes(Eigen(), torch.rand(3, 3))


def test_a_model_too_large_for_one_file(monkeypatch, model):
    monkeypatch.setattr("workbench.exporters.onnx.MAX_MODEL_BYTES", 100)
    with pytest.raises(ExportError, match="holds 2 GB at most"):
        onnx_bytes(model, torch.rand(1, 3, 8, 8))


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_without_the_library_one_line_says_how_to_get_it(monkeypatch, model, package):
    assert missing() == ""
    monkeypatch.setitem(sys.modules, package, None)
    assert missing() == "ONNX is not installed here: pip install -e '.[onnx]'"
    with pytest.raises(ExportError, match="not installed here"):
        onnx_bytes(model, torch.rand(1, 3, 8, 8))
