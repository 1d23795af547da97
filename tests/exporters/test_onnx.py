"""ONNX files against the PyTorch model they were made from, run by ONNX Runtime."""

import pytest
import torch

from workbench.exporters.onnx import onnx_bytes
from workbench.exporters.tracing import ExportError


def test_what_onnx_cannot_hold_is_refused_in_one_sentence(monkeypatch, model, inputs, eigenvalues):
    with pytest.raises(ExportError, match=r"^the model cannot be translated to ONNX: [^\n]*eig[^\n]*$"):
        onnx_bytes(eigenvalues, torch.rand(3, 3))
    monkeypatch.setattr("workbench.exporters.onnx.MAX_MODEL_BYTES", 100)
    with pytest.raises(ExportError, match="holds 2 GB at most"):
        onnx_bytes(model, inputs)
