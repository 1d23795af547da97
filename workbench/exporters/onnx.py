"""Export a model to ONNX, which ONNX Runtime, browsers and most phone toolchains read; run ONNX files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workbench.exporters.tracing import ExportError, first_line, is_installed, quiet_libraries, trace

INPUT, OUTPUT = "input", "output"
MAX_MODEL_BYTES = 2**31 - 2**20  # bytes of parameters and buffers that fit into one protobuf, with room for the graph


def missing() -> str:
    """Return why ONNX cannot be used here and how to install it, in one sentence; "" if it can."""
    if is_installed("onnx", "onnxscript", "onnxruntime"):
        return ""
    return "ONNX is not installed here: pip install -e '.[onnx]'"


def onnx_bytes(
    model: nn.Module, example: Tensor, *, metadata: Mapping[str, str] | None = None, dynamic_batch: bool = False
) -> bytes:
    """Return a copy of the model in eval mode as an ONNX protobuf that holds its parameters.

    The example's shape (n, ...), any n if `dynamic_batch`, and dtype become the file's.
    """
    size = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    if size > MAX_MODEL_BYTES:
        raise ExportError(f"one ONNX file holds 2 GB at most, this model has {size / 1e9:.1f} GB of weights")
    program = trace(model, example, dynamic_batch=dynamic_batch)
    try:
        with quiet_libraries():
            made = torch.onnx.export(program, dynamo=True, verbose=False, input_names=[INPUT], output_names=[OUTPUT])
            assert made is not None
            proto = made.model_proto
    except Exception as error:
        raise ExportError(f"the model cannot be translated to ONNX: {first_line(error)}") from error
    _remove_source_paths(proto)
    if dynamic_batch:
        _name_batch(proto)
    for key, value in (metadata or {}).items():
        proto.metadata_props.add(key=key, value=value)
    return bytes(proto.SerializeToString())


def load_onnx(content: str | Path | bytes, *, threads: int = 0) -> Callable[[Tensor], Tensor]:
    """Return an ONNX file, or its content, as a function that runs it here on the CPU; 0 threads for one a core."""
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # fatal errors only
        given = content if isinstance(content, bytes) else str(content)
        session = onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ExportError(f"ONNX Runtime cannot load this file: {first_line(error)}") from error
    name = session.get_inputs()[0].name

    def run(inputs: Tensor) -> Tensor:
        try:
            return torch.from_numpy(session.run(None, {name: inputs.numpy()})[0])
        except Exception as error:
            raise ExportError(f"the ONNX file does not run on {tuple(inputs.shape)}: {first_line(error)}") from error

    return run


def _name_batch(proto: Any) -> None:
    """Call the number of inputs "n", instead of the tracer's s31 or s77."""
    taken = proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param == taken:
                dim.dim_param = "n"


def _remove_source_paths(proto: Any) -> None:
    """Remove each node's trace, which names files of this machine."""
    graph = proto.graph
    for items in (graph.node, graph.input, graph.output, graph.value_info, graph.initializer, [graph]):
        for item in items:
            del item.metadata_props[:]
