"""Graphs against the model that they were traced from; what an export silences, and what it does not."""

import logging
import sys
import threading
import warnings

import pytest
import torch
from torch import nn

import workbench as wb
from tests.exporters.conftest import EIGENVALUES
from tests.helpers.networks import Computes
from workbench.exporters.export import export
from workbench.exporters.onnx import onnx_bytes
from workbench.exporters.tracing import ExportError, quiet_libraries, trace

POOL = torch.ops.aten.adaptive_avg_pool2d.default


@pytest.mark.parametrize(("size", "left"), [((4, 6), 0), ((4, 3), 1), ((8, 12), 1), (1, 1)])
def test_a_pool_whose_maps_have_that_size_already_is_left_out(size, left):
    model = nn.Sequential(nn.Conv2d(3, 5, 1), nn.AdaptiveAvgPool2d(size), nn.ReLU(), nn.Flatten())
    x = torch.randn(2, 3, 4, 6)
    for dynamic_batch in (False, True):
        program = trace(model, x, dynamic_batch=dynamic_batch)
        assert len(program.graph.find_nodes(op="call_function", target=POOL)) == left
        assert torch.equal(program.module()(x), model(x))


def test_what_no_file_can_hold_is_refused_in_one_sentence(monkeypatch, model, inputs):
    with pytest.raises(ExportError, match=r"^the model cannot be traced.*depends on the values in its input[^\n]*$"):
        trace(Computes(lambda _, x: x if x.sum() > 0 else -x), torch.rand(1, 3))
    with pytest.raises(ExportError, match=r"^the model cannot be translated to ONNX: [^\n]*eig[^\n]*$"):
        onnx_bytes(EIGENVALUES, torch.rand(3, 3))
    monkeypatch.setattr("workbench.exporters.onnx.MAX_MODEL_BYTES", 100)
    with pytest.raises(ExportError, match="holds 2 GB at most"):
        onnx_bytes(model, inputs)


def test_what_other_threads_log_during_an_export_arrives(model, tmp_path, caplog):
    written, ended, streams = [], threading.Event(), set()

    def log():
        while not ended.wait(0.02):
            logging.getLogger("workbench").error("job %d failed", len(written))
            written.append(f"job {len(written)} failed")
            streams.add(sys.stderr)

    thread = threading.Thread(target=log)
    thread.start()
    try:
        export(wb.Network(model, (3, 9, 11)), tmp_path / "net.onnx")
    finally:
        ended.set()
        thread.join()
    assert [record.getMessage() for record in caplog.records if record.name == "workbench"] == written
    assert written
    assert streams == {sys.stderr}


def test_only_the_libraries_are_silenced_and_only_for_a_while(caplog):
    def levels():
        return {name: logging.getLogger(name).level for name in ("torch", "torch.onnx", "onnxscript", "torchao")}

    before, filters = levels(), list(warnings.filters)
    with quiet_libraries():
        for name in ("torch", "torch.onnx", "onnxscript._internal", "torchao.kernel", "somewhere.else"):
            logging.getLogger(name).error("an error")
        with pytest.warns(UserWarning, match="of ours"):
            warnings.warn("one of ours", stacklevel=1)
        warnings.warn_explicit("one of theirs", UserWarning, "file.py", 1, "torch.export.thing")
    assert [record.name for record in caplog.records] == ["somewhere.else"]
    assert levels() == before
    assert list(warnings.filters) == filters
