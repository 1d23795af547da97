"""Open ONNX files as networks."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.catalog.onnx.model import OnnxModel
from workbench.catalog.onnx.node import OnnxError, OpenShapeError, as_float32, onnxruntime_session
from workbench.network.network import Network, first_line

MAX_DIFFERENCE = 1e-3
"""Largest difference from ONNX Runtime, as a share of the largest output, of a file that is opened."""
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
    shapes, types = _input_shapes(model, input_shape, path.name), _types(model)
    about: dict[str, Any] = {"name": name or path.stem, "source": f"{path.name}, ONNX"}
    if types == [torch.float32]:
        network = Network(model, shapes[0], **about)
    else:
        sizes = zip(shapes, types, strict=True)
        example = tuple(torch.zeros(model.batch or 1, *shape, dtype=dtype) for shape, dtype in sizes)
        network = Network(model, example=example, **about)
    opened = network.model
    assert isinstance(opened, OnnxModel)
    _compare(opened, shapes, path.name)
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


def _inputs(model: OnnxModel) -> Iterator[Any]:
    found = {value.name: value for value in model.proto.graph.input}
    for name in model.input_names:
        yield found[name].type.tensor_type


def _types(model: OnnxModel) -> list[torch.dtype]:
    integers = {6: torch.int32, 7: torch.int64, 9: torch.bool, 2: torch.uint8}
    return [integers.get(value.elem_type, torch.float32) for value in _inputs(model)]


def _input_shapes(model: OnnxModel, wanted: Sequence[int] | None, file: str) -> list[tuple[int, ...]]:
    """Return the shapes of the inputs without the batch."""
    shapes: list[tuple[int, ...]] = []
    for name, value in zip(model.input_names, _inputs(model), strict=True):
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
        shapes.append(tuple(d for d in dims if d is not None))
    if not shapes:
        raise OnnxError(f"{file} has no inputs")
    return shapes


def _compare(model: OnnxModel, shapes: Sequence[tuple[int, ...]], file: str) -> None:
    """Run the model on random inputs, beside ONNX Runtime, and see whether it takes several at a time."""
    generator = torch.Generator().manual_seed(0)
    n = model.batch or 1

    def random_inputs(count: int) -> list[Tensor]:
        return [
            torch.rand(count, *shape, generator=generator)
            if dtype == torch.float32
            else torch.zeros(count, *shape, dtype=dtype)
            for shape, dtype in zip(shapes, _types(model), strict=True)
        ]

    inputs = random_inputs(n)
    try:
        with torch.no_grad():
            found = _listed(model(*inputs))
    except OnnxError as error:
        raise OnnxError(f"{file}: {error}") from error
    except Exception as error:
        raise OnnxError(f"{file} does not run on inputs of {shapes[0]}: {first_line(error)}") from error
    wanted = run_in_onnxruntime(model.proto, inputs)
    for name, mine, theirs in zip(model.output_names, found, wanted, strict=False):
        if mine.shape != theirs.shape or _difference(mine, theirs) > MAX_DIFFERENCE:
            raise OnnxError(f"{file} gives another output {name} here than in ONNX Runtime, so it is not opened")
    if model.batch is not None:
        several = random_inputs(2 * n)
        with torch.no_grad():
            one_by_one = _listed(model(*several))
            for relaxed in (False, True):
                if relaxed:
                    model.relax()
                model.batched = True
                try:
                    together = _listed(model(*several))
                except Exception:
                    model.batched = False
                    continue
                pairs = zip(together, one_by_one, strict=True)
                model.batched = all(a.shape == b.shape and _difference(a, b) < 1e-5 for a, b in pairs)
                if model.batched:
                    break


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


def _difference(a: Tensor, b: Tensor) -> float:
    scale = float(b.abs().double().max()) if b.numel() else 0.0
    return float((a.double() - b.double()).abs().max()) / (scale or 1.0) if a.numel() else 0.0
