"""ExecuTorch programs against the PyTorch model they were made from, run by ExecuTorch's own runtime."""

import sys

import pytest
import torch
from torch import nn

from workbench.exporters import executorch, tracing
from workbench.exporters.executorch import executorch_bytes, load_executorch, set_threads, threads
from workbench.exporters.tracing import ExportError

pytestmark = pytest.mark.skipif(executorch.missing() != "", reason="ExecuTorch has no wheels for this machine")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.LocalResponseNorm(5), nn.Dropout())
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5))


@pytest.fixture(scope="module")
def inputs():
    return torch.rand(2, 3, 9, 11, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def content(model, inputs):
    return executorch_bytes(model, inputs, metadata='{"name": "é"}')


def test_the_program_computes_what_the_model_does(model, inputs, content, tmp_path):
    with torch.no_grad():
        expected = model.eval()(inputs)
    program = load_executorch(content)
    found = program(inputs)
    assert torch.allclose(found, expected, atol=1e-6, rtol=0)
    assert program.metadata == '{"name": "é"}'
    (tmp_path / "model.pte").write_bytes(content)
    assert torch.equal(load_executorch(tmp_path / "model.pte")(inputs), found)


def test_outputs_are_not_overwritten_by_the_next_call(inputs, content):
    program = load_executorch(content)
    first = program(inputs)
    kept = first.clone()
    program(torch.zeros_like(inputs))
    assert torch.equal(first, kept)


def test_the_given_model_is_not_changed(model, inputs):
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    content = executorch_bytes(model, inputs)
    assert all(module.training for module in model.modules())
    assert type(model[3]) is nn.LocalResponseNorm
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert load_executorch(content).metadata == ""


def test_one_normalisation_that_is_used_twice():
    norm = nn.LocalResponseNorm(3, alpha=0.5)
    model = nn.Sequential(norm, nn.Sequential(nn.Conv2d(4, 4, 1), norm))
    x = torch.rand(1, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(x)
    assert torch.allclose(load_executorch(executorch_bytes(model, x))(x), expected, atol=1e-6, rtol=0)


def test_a_model_that_is_nothing_else():
    x = torch.rand(1, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    norm = nn.LocalResponseNorm(3, alpha=0.5)
    assert torch.allclose(load_executorch(executorch_bytes(norm, x))(x), norm(x), atol=1e-6, rtol=0)


def test_without_the_rewriting_the_runtime_has_no_kernel(monkeypatch, model, inputs):
    monkeypatch.setattr(tracing, "_with_flat_normalisations", lambda given: given)
    content = executorch_bytes(model, inputs)
    with pytest.raises(ExportError, match=r"does not run here: the runtime has no kernel for aten::avg_pool3d\.out$"):
        load_executorch(content)


def test_what_does_nothing_does_not_split_the_program():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(196, 5))
    x = torch.rand(1, 3, 9, 9)
    content = executorch_bytes(model, x)
    assert b"adaptive_avg_pool2d" not in content
    with torch.no_grad():
        assert torch.allclose(load_executorch(content)(x), model(x), atol=1e-6, rtol=0)
    model[1] = nn.AdaptiveAvgPool2d((7, 1))
    model[3] = nn.Linear(28, 5)
    assert b"adaptive_avg_pool2d" in executorch_bytes(model, x)  # the name is how the runtime finds it


def test_the_number_of_threads_and_programs_that_were_loaded_before(inputs, content):
    program = load_executorch(content)
    first, before = program(inputs), threads()
    try:
        for number in (1, 2, 3, 1):
            set_threads(number)
            assert threads() == number
            assert torch.allclose(program(inputs), first, atol=1e-6, rtol=0)
    finally:
        set_threads(before)
    with pytest.raises(ValueError, match="1 thread or more, not 0"):
        set_threads(0)


def test_nothing_is_printed(model, inputs, capfd):
    program = load_executorch(executorch_bytes(model, inputs))
    program(inputs)
    set_threads(threads() + 1)
    set_threads(threads() - 1)
    assert capfd.readouterr() == ("", "")


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


def test_what_depends_on_values_is_refused_in_one_sentence():
    class Undecided(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(ExportError, match=r"^the model cannot be traced.*depends on the values in its input[^\n]*$"):
        executorch_bytes(Undecided(), torch.rand(1, 3))


def test_what_has_no_kernel_is_refused_in_one_sentence():
    class Eigen(nn.Module):
        def forward(self, x):
            return torch.linalg.eigvals(x).real

    with pytest.raises(ExportError, match=r"^the model cannot be lowered to ExecuTorch: [^\n]*eig[^\n]*$"):
        executorch_bytes(Eigen(), torch.rand(3, 3))


def test_without_the_library_one_line_says_how_to_get_it(monkeypatch, model, inputs, content):
    assert executorch.missing() == ""
    monkeypatch.setitem(sys.modules, "executorch", None)
    assert executorch.missing() == "ExecuTorch is not installed here: pip install -e '.[mobile]'"
    for call in (lambda: executorch_bytes(model, inputs), lambda: load_executorch(content), threads):
        with pytest.raises(ExportError, match="not installed here"):
            call()
