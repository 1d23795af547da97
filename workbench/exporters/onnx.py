"""Export a model to ONNX, which ONNX Runtime, browsers and most phone toolchains read; run ONNX files."""

from ast import literal_eval
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from workbench.exporters.int8 import Int8, quantised_onnx
from workbench.exporters.tracing import ExportError, is_installed, quiet_libraries, trace
from workbench.network.network import first_line

INPUT_DTYPES = {"tensor(float16)": "float16", "tensor(double)": "float64"}
"""ONNX Runtime's type of an input -> NumPy dtype that the tensor is cast to."""
MAX_MODEL_BYTES = 2**31 - 2**20
"""Largest size of parameters and buffers in one protobuf (2 GiB), less 1 MiB for the graph."""


def missing() -> str:
    """Return a sentence on how to install the packages that ONNX needs; "" if they are installed."""
    if is_installed("onnx", "onnxscript", "onnxruntime"):
        return ""
    return "ONNX is not installed here: pip install -e '.[onnx]'"


def onnx_bytes(
    model: nn.Module,
    example: Any,
    *,
    metadata: Mapping[str, str] | None = None,
    dynamic_batch: bool = False,
    int8: Int8 | None = None,
) -> bytes:
    """Return a copy of the model in eval mode as an ONNX protobuf that holds its parameters.

    A single input and output are called "input" and "output" in the file. The input has the dtype and shape (n, ...)
    of the example; with `dynamic_batch`, n may vary. Nodes are named after the model's modules. A model that was opened
    from an ONNX file gives that file, with the nodes of changed layers replaced. With `int8` the layers are quantised.
    Raises ExportError if the model cannot be translated, or if `dynamic_batch` is given but the opened file fixes n.
    """
    size = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    if size > MAX_MODEL_BYTES:
        raise ExportError(f"one ONNX file holds 2 GB at most, this model has {size / 1e9:.1f} GB of weights")
    opened: Any = model
    if hasattr(opened, "to_proto"):
        if dynamic_batch and opened.batch:
            reason = f"takes {opened.batch} at a time, and so will this one: leave out dynamic_batch"
            raise ExportError(f"the ONNX file that the network was opened from {reason}")
        proto = opened.to_proto(metadata)
    else:
        proto = _translate(model, example, metadata or {}, dynamic_batch)
    if int8:
        proto = quantised_onnx(proto, int8, model)
    return bytes(proto.SerializeToString())


def _translate(model: nn.Module, example: Any, metadata: Mapping[str, str], dynamic_batch: bool) -> Any:
    program = trace(model, example, dynamic_batch=dynamic_batch)
    names: dict[str, Any] = {"input_names": ["input"]} if isinstance(example, Tensor) else {}
    if len(program.graph_signature.user_outputs) == 1:
        names["output_names"] = ["output"]
    try:
        with quiet_libraries():
            translated = torch.onnx.export(program, dynamo=True, verbose=False, **names)
            assert translated is not None
            proto = translated.model_proto
    except Exception as error:
        raise ExportError(f"the model cannot be translated to ONNX: {first_line(error)}") from error
    _name_nodes(proto)
    _remove_source_paths(proto)
    if dynamic_batch:
        _name_batch(proto)
    for key, value in metadata.items():
        proto.metadata_props.add(key=key, value=value)
    return proto


def load_onnx(content: str | Path | bytes, *, threads: int = 0) -> Callable[[Any], Any]:
    """Return a function (inputs -> outputs) that runs an ONNX file, given by its path or content, on the CPU.

    `threads` is the number of threads of ONNX Runtime, 0 for one per core. Raises ExportError if ONNX Runtime cannot
    load the file.
    """
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # fatal errors only
        source = content if isinstance(content, bytes) else str(content)
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ExportError(f"ONNX Runtime cannot load this file: {first_line(error)}") from error
    graph_inputs = session.get_inputs()

    def run(inputs: Any) -> Any:
        tensors = [leaf for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor)]
        try:
            arrays = {
                v.name: x.numpy().astype(INPUT_DTYPES.get(v.type, x.numpy().dtype))
                for v, x in zip(graph_inputs, tensors, strict=False)
            }
            outputs = [
                torch.from_numpy(v).float() if v.dtype == "float16" else torch.from_numpy(v)
                for v in session.run(None, arrays)
            ]
        except Exception as error:
            shapes = ", ".join(str(tuple(x.shape)) for x in tensors)
            raise ExportError(f"the ONNX file does not run on {shapes}: {first_line(error)}") from error
        return outputs[0] if len(outputs) == 1 else outputs

    return run


def _name_nodes(proto: Any) -> None:
    """Prefix the name of each node, which is unique already, with its module: "features.0/node_conv2d"."""
    constants = {tensor.name for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        weights = [name for name in node.input if name in constants and name.endswith(".weight")]
        scopes = next((e.value for e in node.metadata_props if e.key == "pkg.torch.onnx.name_scopes"), "[]")
        *modules, _ = literal_eval(scopes) or [""]
        if weights:  # the scope of a layer with a folded batch norm is that of the batch norm
            modules.append(weights[0].removesuffix(".weight"))
        if modules and modules[-1]:
            node.name = f"{modules[-1].partition('@')[0]}/{node.name}"


def _name_batch(proto: Any) -> None:
    """Rename the batch dimension to "n"; the tracer names it like "s31" or "s77"."""
    batch = proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param == batch:
                dim.dim_param = "n"


def _remove_source_paths(proto: Any) -> None:
    """Remove the metadata of nodes and tensors, which contain stack traces with paths of this machine."""
    graph = proto.graph
    for items in (graph.node, graph.input, graph.output, graph.value_info, graph.initializer, [graph]):
        for item in items:
            del item.metadata_props[:]
