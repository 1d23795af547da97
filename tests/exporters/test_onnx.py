"""ONNX files against the PyTorch model they were made from, run by ONNX Runtime."""

import pytest
import torch

from workbench.exporters.onnx import INPUT, onnx_bytes
from workbench.exporters.tracing import ExportError


def test_the_file_computes_what_the_model_does(model, inputs, capfd):
    content = onnx_bytes(model, inputs, metadata={"name": "é"})
    assert capfd.readouterr() == ("", "")
    session = pytest.importorskip("onnxruntime").InferenceSession(content, providers=["CPUExecutionProvider"])
    outputs = torch.from_numpy(session.run(None, {INPUT: inputs.numpy()})[0])
    with torch.no_grad():
        assert torch.allclose(outputs, model(inputs), atol=1e-6, rtol=0)
    assert session.get_modelmeta().custom_metadata_map == {"name": "é"}
    assert session.get_inputs()[0].shape == [2, 3, 9, 11]
    assert b"site-packages" not in content  # nor any other folder of this machine
    assert b".py" not in content


def test_what_onnx_cannot_hold_is_refused_in_one_sentence(monkeypatch, model, inputs, eigenvalues):
    with pytest.raises(ExportError, match=r"^the model cannot be translated to ONNX: [^\n]*eig[^\n]*$"):
        onnx_bytes(eigenvalues, torch.rand(3, 3))
    monkeypatch.setattr("workbench.exporters.onnx.MAX_MODEL_BYTES", 100)
    with pytest.raises(ExportError, match="holds 2 GB at most"):
        onnx_bytes(model, inputs)
