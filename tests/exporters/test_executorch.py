"""ExecuTorch programs against the PyTorch model they were made from, run by ExecuTorch's own runtime."""

import pytest
import torch

from tests.exporters.conftest import EIGENVALUES, NO_WHEELS
from workbench.exporters import tracing
from workbench.exporters.executorch import executorch_bytes, load_executorch
from workbench.exporters.tracing import ExportError

pytestmark = NO_WHEELS


@pytest.fixture(scope="module")
def content(model, inputs):
    return executorch_bytes(model, inputs, metadata='{"name": "é"}')


def test_the_program_computes_what_the_model_does(model, inputs, content, tmp_path):
    program = load_executorch(content)
    found = program(inputs)
    assert torch.allclose(found, model(inputs), atol=1e-6, rtol=0)
    assert program.metadata == '{"name": "é"}'
    (tmp_path / "model.pte").write_bytes(content)
    assert torch.equal(load_executorch(tmp_path / "model.pte")(inputs), found)
    before = found.clone()
    program(torch.zeros_like(inputs))
    assert torch.equal(found, before)  # not overwritten by the next call


def test_an_operator_that_the_runtime_lacks_is_named(monkeypatch, model, inputs):
    monkeypatch.setattr(tracing, "_flatten_normalisations", lambda given: None)
    with pytest.raises(ExportError, match=r"the runtime has no kernel for aten::avg_pool3d\.out$"):
        executorch_bytes(model, inputs)
    with pytest.raises(ExportError, match=r"^the model cannot be lowered to ExecuTorch: [^\n]*eig[^\n]*$"):
        executorch_bytes(EIGENVALUES, torch.rand(3, 3))


def test_inputs_of_another_shape_or_kind(inputs, content):
    program = load_executorch(content)
    for wrong in (inputs[:1], inputs.double()):
        with pytest.raises(ExportError, match=r"^this program takes torch.float32 of shape \(2, 3, 9, 11\), not torch"):
            program(wrong)


def test_files_that_are_no_programs(content, tmp_path):
    for damaged in (b"", b"nonsense", content[: len(content) // 2], content[:-40]):
        with pytest.raises(ExportError, match="no ExecuTorch program, or it is damaged"):
            load_executorch(damaged)
    with pytest.raises(ExportError, match=r"nothing\.pte cannot be read: No such file"):
        load_executorch(tmp_path / "nothing.pte")
