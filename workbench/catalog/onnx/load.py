"""Open ONNX files as networks."""

import hashlib
import json
import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.catalog.networks.download import checksum_of
from workbench.catalog.networks.entries import Centred
from workbench.catalog.onnx.model import OnnxModel
from workbench.catalog.onnx.node import OnnxError, OpenShapeError, as_float32, onnxruntime_session
from workbench.network.network import Network, first_line

MAX_DIFFERENCE = 1e-3
"""Largest difference from ONNX Runtime, as a share of the largest output, of a file that is opened."""
INPUT_TYPES = {2: torch.uint8, 6: torch.int32, 7: torch.int64, 9: torch.bool}
"""Data types of inputs by ONNX's numbers; all others are computed in float32."""
WEIGHT_TYPES = {1, 2, 3, 6, 7, 8, 9, 10, 11, 16}
"""Data types of weights that are computed with, by ONNX's numbers."""
InputType = tuple[tuple[int, ...], torch.dtype]
MAX_RESIZE = 4
"""Largest length of the shorter side of resized images, in sizes of the network's input, that a file may record."""
NOT_INSTALLED = "ONNX files need the package onnx: pip install -e '.[onnx]'"


def load_onnx(path: str | Path, *, input_shape: Sequence[int] | None = None, name: str = "") -> Network:
    """Open an ONNX file as a network whose convolutions and constant matrices are layers.

    The network's outputs are compared with ONNX Runtime's if that is installed. A file that the workbench wrote is
    opened with the class names and the preprocessing that it records.

    Parameters
    ----------
    input_shape : of one input, without the batch; needed if the file leaves it open.

    Raises
    ------
    OnnxError : if the file is damaged or quantised, leaves the shape of its inputs open, or has a node that does not
        run.
    """
    path = Path(path)
    model = OnnxModel(read_proto(path)).eval()
    inputs = _input_types(model, input_shape, path.name)
    origin: dict[str, Any] = {"name": name or path.stem, "source": f"{path.name}, ONNX", "sha256": _checksum(path)}
    if [dtype for _, dtype in inputs] == [torch.float32]:
        network = Network(model, inputs[0][0], **origin, **_recorded(model.proto, inputs[0][0]))
    else:
        example = tuple(torch.zeros(model.batch or 1, *shape, dtype=dtype) for shape, dtype in inputs)
        network = Network(model, example=example, **origin)
    copied = network.model
    assert isinstance(copied, OnnxModel)
    _check_outputs(copied, inputs, path.name)
    return network


def read_proto(path: Path) -> Any:
    """Return the content of an ONNX file, with weights from external files and with local functions inlined."""
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
    if any(t.data_type not in WEIGHT_TYPES for t in proto.graph.initializer):
        raise OnnxError(f"{path.name} holds weights of a type that the workbench does not compute with")
    return proto


def _recorded(proto: Any, input_shape: Sequence[int]) -> dict[str, Any]:
    """Return class names and preprocessing that the workbench recorded in a file, where they fit its network."""
    texts = {entry.key: entry.value for entry in proto.metadata_props}
    recorded: dict[str, Any] = {}
    if '"workbench"' not in texts.get("versions", ""):
        return recorded
    with suppress(KeyError, TypeError, ValueError, IndexError):
        classes = json.loads(texts["classes"])
        if len(classes) == proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value:
            recorded["classes"] = tuple(map(str, classes))
    with suppress(KeyError, TypeError, ValueError, OverflowError):
        values = json.loads(texts["preprocessing"])
        size, width, shorter = (int(values[key]) for key in ("size", "width", "shorter"))
        centred = Centred(size, tuple(map(float, values["mean"])), tuple(map(float, values["std"])), shorter, width)
        fits = (size, width) == tuple(input_shape[1:]) and {len(centred.mean), len(centred.std)} <= {1, input_shape[0]}
        is_usable = all(map(math.isfinite, centred.mean)) and all(0 < deviation < math.inf for deviation in centred.std)
        if fits and is_usable and max(size, width) <= shorter <= MAX_RESIZE * max(size, width):
            recorded["preprocessing"] = centred
    return recorded


def _input_types(model: OnnxModel, input_shape: Sequence[int] | None, file: str) -> list[InputType]:
    """Return the shape, without the batch, and the data type of each input."""
    tensor_types = {value.name: value.type.tensor_type for value in model.proto.graph.input}
    inputs: list[InputType] = []
    for name in model.input_names:
        tensor_type = tensor_types[name]
        dims: list[int | None] = [dim.dim_value if dim.dim_value > 0 else None for dim in tensor_type.shape.dim][1:]
        dims_text = " x ".join("any" if d is None else str(d) for d in dims) or "any shape"
        if input_shape is not None and len(model.input_names) == 1:
            if len(input_shape) != len(dims) or any(d not in (None, n) for d, n in zip(dims, input_shape, strict=True)):
                raise OnnxError(f"{file} takes inputs of {dims_text}, not of {' x '.join(map(str, input_shape))}")
            dims = [int(n) for n in input_shape]
        if not dims or None in dims:
            raise OpenShapeError(
                f"{file} leaves the shape of its input {name} open ({dims_text}): give input_shape, like (3, 224, 224)"
            )
        inputs.append((tuple(d for d in dims if d is not None), INPUT_TYPES.get(tensor_type.elem_type, torch.float32)))
    if not inputs:
        raise OnnxError(f"{file} has no inputs")
    return inputs


def _random(inputs: Sequence[InputType], n: int) -> list[Tensor]:
    """Return a batch of n for each input: random floats, or zeros of another data type."""
    generator = torch.Generator().manual_seed(0)
    return [
        torch.rand(n, *shape, generator=generator) if dtype == torch.float32 else torch.zeros(n, *shape, dtype=dtype)
        for shape, dtype in inputs
    ]


def _check_outputs(model: OnnxModel, types: Sequence[InputType], file: str) -> None:
    """Compare the model with ONNX Runtime on random inputs, and set whether it is `batched`."""
    inputs = _random(types, model.batch or 1)
    try:
        with torch.no_grad():
            outputs = _output_list(model(*inputs))
    except OnnxError as error:
        raise OnnxError(f"{file}: {error}") from error
    except Exception as error:
        raise OnnxError(f"{file} does not run on inputs of {types[0][0]}: {first_line(error)}") from error
    references = run_in_onnxruntime(model.proto, inputs)
    for name, output, reference in zip(model.output_names, outputs, references, strict=False):
        if output.shape != reference.shape or _difference(output, reference) > MAX_DIFFERENCE:
            raise OnnxError(f"{file} gives another output {name} here than in ONNX Runtime, so it is not opened")
    if model.batch is not None:
        inputs = _random(types, 2 * model.batch)
        with torch.no_grad():
            outputs = _output_list(model(*inputs))
            model.batched = _runs_batched(model, inputs, outputs)
            if not model.batched:
                step_inputs = [step.inputs for step in model.steps]
                model.relax_reshapes()
                model.batched = _runs_batched(model, inputs, outputs)
                if not model.batched:
                    for step, names in zip(model.steps, step_inputs, strict=True):
                        step.inputs = names


def _runs_batched(model: OnnxModel, inputs: Sequence[Tensor], references: Sequence[Tensor]) -> bool:
    """Return whether the graph computes these outputs from all inputs at a time."""
    try:
        pairs = zip(_output_list(model.run(inputs)), references, strict=True)
    except Exception:
        return False
    return all(a.shape == b.shape and _difference(a, b) < 1e-5 for a, b in pairs)


def run_in_onnxruntime(proto: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return a file's outputs from ONNX Runtime; [] if that is not installed or does not run the file."""
    types = {"tensor(float16)": np.float16, "tensor(double)": np.float64}
    try:
        session = onnxruntime_session(proto)
        arrays = {
            value.name: x.numpy().astype(types.get(value.type, x.numpy().dtype))
            for value, x in zip(session.get_inputs(), inputs, strict=True)
        }
        return [torch.from_numpy(as_float32(v)) for v in session.run(None, arrays)]
    except Exception:
        return []


def _output_list(outputs: Any) -> list[Tensor]:
    return list(outputs.values()) if isinstance(outputs, dict) else [outputs]


def _checksum(path: Path) -> str:
    """Return the SHA-256 of an ONNX file; with external files, that of the digests of all."""
    import onnx

    tensors = onnx.load(path, load_external_data=False).graph.initializer
    locations = {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}
    digests = [checksum_of(file) for file in (path, *(path.parent / name for name in sorted(locations)))]
    return hashlib.sha256("".join(digests).encode()).hexdigest() if locations else digests[0]


def _difference(a: Tensor, b: Tensor) -> float:
    finite = a.isfinite()
    if not torch.equal(finite, b.isfinite()):
        return math.inf
    a, b = a[finite], b[finite]
    scale = float(b.abs().double().max()) if b.numel() else 0.0
    return float((a.double() - b.double()).abs().max()) / (scale or 1.0) if a.numel() else 0.0
