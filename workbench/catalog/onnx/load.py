"""Open ONNX files as networks."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.catalog.networks.download import checksum_of
from workbench.catalog.onnx.model import OnnxModel
from workbench.catalog.onnx.node import OnnxError, OpenShapeError, as_float32, onnxruntime_session
from workbench.network.network import Network, first_line

MAX_DIFFERENCE = 1e-3
"""Largest difference from ONNX Runtime, as a share of the largest output, of a file that is opened."""
INTEGERS = {2: torch.uint8, 6: torch.int32, 7: torch.int64, 9: torch.bool}
"""Types of inputs by their numbers in ONNX; all others are computed in float32."""
Input = tuple[tuple[int, ...], torch.dtype]
NOT_INSTALLED = "ONNX files need the package onnx: pip install -e '.[onnx]'"


def load_onnx(
    path: str | Path,
    *,
    input_shape: Sequence[int] | None = None,
    name: str = "",
) -> Network:
    """Open an ONNX file, whose convolutions and constant matrices become layers; all other nodes compute as before.

    The network's outputs are compared with ONNX Runtime's, where that is installed.

    Parameters
    ----------
    input_shape : of one input, without the batch; needed where the file leaves it open.

    Raises
    ------
    OnnxError : a ValueError, in a sentence: damaged, quantised, of inputs whose size is open, or with a node that does
        not run.
    """
    path = Path(path)
    model = OnnxModel(read_proto(path)).eval()
    inputs = _inputs_of(model, input_shape, path.name)
    about: dict[str, Any] = {"name": name or path.stem, "source": f"{path.name}, ONNX", "sha256": _checksum(path)}
    if [dtype for _, dtype in inputs] == [torch.float32]:
        network = Network(model, inputs[0][0], **about)
    else:
        example = tuple(torch.zeros(model.batch or 1, *shape, dtype=dtype) for shape, dtype in inputs)
        network = Network(model, example=example, **about)
    opened = network.model
    assert isinstance(opened, OnnxModel)
    _compare(opened, inputs, path.name)
    return network


def read_proto(path: Path) -> Any:
    """Return the content of an ONNX file, with weights from files beside it and without functions of its own."""
    try:
        import onnx
        from onnx import inliner
    except ImportError as error:
        raise OnnxError(NOT_INSTALLED) from error
    if not path.is_file():
        raise OnnxError(f"there is no file {path}")
    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception as error:
        raise OnnxError(f"{path.name} is no ONNX file, or is damaged") from error
    if not proto.graph.node or not proto.graph.output:
        raise OnnxError(f"{path.name} is no ONNX file, or is damaged: it has no graph")
    try:
        onnx.load_external_data_for_model(proto, str(path.parent))
    except Exception as error:
        raise OnnxError(
            f"the weights of {path.name} are in files beside it that cannot be read: {first_line(error)}"
        ) from error
    if proto.functions:
        proto = inliner.inline_local_functions(proto)
    for node in proto.graph.node:
        if "Quantize" in node.op_type or "QLinear" in node.op_type or node.op_type in ("ConvInteger", "MatMulInteger"):
            raise OnnxError(
                f"{path.name} is quantised (its node {node.name or node.op_type}): open the file before quantisation"
            )
    if sum(t.data_type not in (1, 6, 7, 9, 10, 11, 2, 3, 8, 16) for t in proto.graph.initializer):
        raise OnnxError(f"{path.name} holds weights of a type that the workbench does not compute with")
    return proto


def _inputs_of(model: OnnxModel, wanted: Sequence[int] | None, file: str) -> list[Input]:
    """Return the shape, without the batch, and the type of each input."""
    values = {value.name: value.type.tensor_type for value in model.proto.graph.input}
    inputs: list[Input] = []
    for name in model.input_names:
        value = values[name]
        dims: list[int | None] = [dim.dim_value if dim.dim_value > 0 else None for dim in value.shape.dim][1:]
        if wanted is not None and len(model.input_names) == 1:
            if len(wanted) != len(dims) or any(d not in (None, w) for d, w in zip(dims, wanted, strict=True)):
                said = " x ".join("any" if d is None else str(d) for d in dims)
                raise OnnxError(f"{file} takes inputs of {said}, not of {' x '.join(map(str, wanted))}")
            dims = [int(w) for w in wanted]
        if not dims or None in dims:
            said = " x ".join("any" if d is None else str(d) for d in dims) or "any shape"
            raise OpenShapeError(
                f"{file} leaves the shape of its input {name} open ({said}): give input_shape, like (3, 224, 224)"
            )
        inputs.append((tuple(d for d in dims if d is not None), INTEGERS.get(value.elem_type, torch.float32)))
    if not inputs:
        raise OnnxError(f"{file} has no inputs")
    return inputs


def _random(inputs: Sequence[Input], n: int) -> list[Tensor]:
    """Return n random inputs, or zeros where they are no floats."""
    generator = torch.Generator().manual_seed(0)
    return [
        torch.rand(n, *shape, generator=generator) if dtype == torch.float32 else torch.zeros(n, *shape, dtype=dtype)
        for shape, dtype in inputs
    ]


def _compare(model: OnnxModel, takes: Sequence[Input], file: str) -> None:
    """Run the model on random inputs, beside ONNX Runtime, and see whether it takes several at a time."""
    inputs = _random(takes, model.batch or 1)
    try:
        with torch.no_grad():
            found = _listed(model(*inputs))
    except OnnxError as error:
        raise OnnxError(f"{file}: {error}") from error
    except Exception as error:
        raise OnnxError(f"{file} does not run on inputs of {takes[0][0]}: {first_line(error)}") from error
    wanted = run_in_onnxruntime(model.proto, inputs)
    for name, mine, theirs in zip(model.output_names, found, wanted, strict=False):
        if mine.shape != theirs.shape or _difference(mine, theirs) > MAX_DIFFERENCE:
            raise OnnxError(f"{file} gives another output {name} here than in ONNX Runtime, so it is not opened")
    if model.batch is not None:
        several = _random(takes, 2 * model.batch)
        with torch.no_grad():
            one_by_one = _listed(model(*several))
            model.batched = _has_outputs(model, several, one_by_one)
            if not model.batched:
                before = [step.inputs for step in model.steps]
                model.relax()
                model.batched = _has_outputs(model, several, one_by_one)
                if not model.batched:
                    for step, names in zip(model.steps, before, strict=True):
                        step.inputs = names


def _has_outputs(model: OnnxModel, inputs: Sequence[Tensor], wanted: Sequence[Tensor]) -> bool:
    """Return whether the graph runs on all of these inputs at a time, with these outputs."""
    try:
        pairs = zip(_listed(model.run(inputs)), wanted, strict=True)
    except Exception:
        return False
    return all(a.shape == b.shape and _difference(a, b) < 1e-5 for a, b in pairs)


def run_in_onnxruntime(proto: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return a file's outputs from ONNX Runtime; nothing where that is not installed or does not run the file."""
    types = {"tensor(float16)": np.float16, "tensor(double)": np.float64}
    try:
        running = onnxruntime_session(proto)
        given = {
            value.name: x.numpy().astype(types.get(value.type, x.numpy().dtype))
            for value, x in zip(running.get_inputs(), inputs, strict=True)
        }
        return [torch.from_numpy(as_float32(v)) for v in running.run(None, given)]
    except Exception:
        return []


def _listed(outputs: Any) -> list[Tensor]:
    return list(outputs.values()) if isinstance(outputs, dict) else [outputs]


def _checksum(path: Path) -> str:
    """Return the SHA-256 of an ONNX file; with weights in files beside it, that of the SHA-256 of all."""
    import onnx

    tensors = onnx.load(path, load_external_data=False).graph.initializer
    beside = {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}
    found = [checksum_of(file) for file in (path, *(path.parent / name for name in sorted(beside)))]
    return hashlib.sha256("".join(found).encode()).hexdigest() if beside else found[0]


def _difference(a: Tensor, b: Tensor) -> float:
    finite = a.isfinite()
    if not torch.equal(finite, b.isfinite()):
        return math.inf
    a, b = a[finite], b[finite]
    scale = float(b.abs().double().max()) if b.numel() else 0.0
    return float((a.double() - b.double()).abs().max()) / (scale or 1.0) if a.numel() else 0.0
