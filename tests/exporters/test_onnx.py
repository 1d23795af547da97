"""ONNX files against the PyTorch model they were made from, run by ONNX Runtime."""

import pytest
import torch

from workbench.exporters.onnx import INPUT, onnx_bytes
from workbench.exporters.tracing import ExportError


@pytest.mark.parametrize(("dynamic_batch", "n"), [(False, 2), (True, "n")])
def test_the_file_computes_what_the_model_does(model, inputs, capfd, dynamic_batch, n):
    content = onnx_bytes(model, inputs, metadata={"name": "é"}, dynamic_batch=dynamic_batch)
    assert capfd.readouterr() == ("", "")
    session = pytest.importorskip("onnxruntime").InferenceSession(content, providers=["CPUExecutionProvider"])
    for given in (inputs, inputs[:1])[: 1 + dynamic_batch]:
        outputs = torch.from_numpy(session.run(None, {INPUT: given.numpy()})[0])
        assert torch.allclose(outputs, model(given).detach(), atol=1e-6, rtol=0)
    assert session.get_modelmeta().custom_metadata_map == {"name": "é"}
    assert (session.get_inputs()[0].shape, session.get_outputs()[0].shape) == ([n, 3, 9, 11], [n, 5])
    assert b"site-packages" not in content  # nor any other folder of this machine
    assert b".py" not in content


def test_what_onnx_cannot_hold_is_refused_in_one_sentence(monkeypatch, model, inputs, eigenvalues):
    with pytest.raises(ExportError, match=r"^the model cannot be translated to ONNX: [^\n]*eig[^\n]*$"):
        onnx_bytes(eigenvalues, torch.rand(3, 3))
    monkeypatch.setattr("workbench.exporters.onnx.MAX_MODEL_BYTES", 100)
    with pytest.raises(ExportError, match="holds 2 GB at most"):
        onnx_bytes(model, inputs)
