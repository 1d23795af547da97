"""Quantise a network to 8-bit integers, with the tools of ONNX Runtime and of ExecuTorch."""

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils._pytree import tree_leaves, tree_map_only

from workbench.exporters.tracing import ExportError, quiet_libraries
from workbench.network.inputs import Images, inputs_of, split_of
from workbench.network.network import Network, first_line
from workbench.network.outputs import powers_of, size_of, snr_db

MAX_CALIBRATION_IMAGES = 100
"""Largest number of images on which the ranges of the maps are measured."""

OPERATORS = (
    *("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Concat", "Relu", "Clip", "MaxPool", "AveragePool"),
    *("GlobalAveragePool", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose"),
)
"""ONNX operators that are quantised: layers with weights, and operators between them for which 8 bits suffice."""

MAX_COMPARED_IMAGES = 32
"""Largest number of images whose outputs decide between two ways to set the ranges of the maps."""

MIN_OPSET = 13
"""Smallest version of ONNX's operators that has a scale for each channel."""

FLOAT_MODULES = (nn.LocalResponseNorm,)
"""Modules that always stay in float: 8 bits are too few for the range of squares."""

_ATEN = torch.ops.aten
RESHAPES = {_ATEN.unflatten.int, _ATEN.view_as.default, _ATEN.unsqueeze.default, _ATEN.unsqueeze_.default}
"""Operators that only change shapes."""
PERMUTATIONS = {_ATEN.mT.default, _ATEN.swapaxes.default, _ATEN.swapdims.default, _ATEN.movedim.int}
"""Operators that only swap dimensions."""


@dataclass(frozen=True, eq=False)
class Int8:
    """How a network is quantised."""

    inputs: Sequence[Any]  # of single runs, all of one shape; they give the ranges of the maps
    keep_float: tuple[str, ...] = ()  # names of layers, or of modules with all their layers, that stay in float

    @property
    def metadata(self) -> dict[str, Any]:
        """Entry of the file's metadata, as JSON values."""
        method = "static ranges of maps, a scale for each output channel of the weights"
        return {"method": method, "images": len(self.inputs), "in_float": list(self.keep_float)}

    def float_modules(self, model: nn.Module) -> list[str]:
        """Return the names of the modules that stay in float; ExportError if `keep_float` names an unknown one."""
        modules = dict(model.named_modules())
        for name in self.keep_float:
            if not modules.get(name) or not name:
                raise ExportError(f"keep_float names {name!r}, but the network has no layer of that name")
        return [*self.keep_float, *(name for name, module in modules.items() if isinstance(module, FLOAT_MODULES))]


def calibration(network: Network, images: Images, keep_float: Sequence[str] = (), *, batch: int = 1) -> Int8:
    """Return how to quantise a network: with up to 100 of the images, drawn with a fixed seed, `batch` in each run.

    Raises ExportError if there are fewer images than `batch`, or the network is not in float32 or lacks a named layer.
    """
    sample = images if network.structured else split_of(network, images, labelled=False).sample(MAX_CALIBRATION_IMAGES)
    runs = inputs_of(network, sample, batch_size=batch)
    inputs = [tree_map_only(Tensor, lambda x: x.detach().cpu(), run) for run in runs if size_of(run) == batch]
    if not inputs:
        raise ExportError(f"int8 files for {batch} images in a run need at least as many to measure ranges on")
    if other_dtypes := {p.dtype for p in network.model.parameters() if p.is_floating_point()} - {torch.float32}:
        raise ExportError(f"int8 files are made of networks in float32, and {network.name} is in {other_dtypes.pop()}")
    int8 = Int8(inputs, (keep_float,) if isinstance(keep_float, str) else tuple(keep_float))
    int8.float_modules(network.model)
    return int8


def quantised_program(program: ExportedProgram, int8: Int8, model: nn.Module) -> ExportedProgram:
    """Return a traced model with layers in int8 for XNNPACK; ExportError if that fails."""
    float_modules, example = int8.float_modules(model), int8.inputs[0]

    def is_quantised(node: torch.fx.Node) -> bool:
        scopes = [str(path).partition("@")[0] for path, _ in node.meta.get("nn_module_stack", {}).values()]
        return not any(_is_part(path, name) for path in scopes for name in float_modules)

    try:
        with quiet_libraries():
            from executorch.backends.xnnpack.quantizer import xnnpack_quantizer as xnnpack
            from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

            quantizer = xnnpack.XNNPACKQuantizer().set_filter_function(is_quantised)
            quantizer.set_global(xnnpack.get_symmetric_quantization_config(is_per_channel=True))
            # batch norms are folded already; patterns for training take seconds to build
            quantizer.SUPPORTED_PATTERNS = [p for p in quantizer.SUPPORTED_PATTERNS if not p.is_qat]
            prepared = prepare_pt2e(_with_shared_ranges(program.module()), quantizer)
            for inputs in int8.inputs:
                prepared(inputs)
            return torch.export.export(convert_pt2e(prepared), (example,))
    except Exception as error:
        raise ExportError(f"the model cannot be quantised for ExecuTorch: {first_line(error)}") from error


def _with_shared_ranges(module: torch.fx.GraphModule) -> torch.fx.GraphModule:
    """Replace operators that only change shapes or swap dimensions by `reshape` and `permute`, and return the module.

    XNNPACK demands one range before and after such an operator. ExecuTorch's quantiser shares the range for `reshape`
    and `permute`, but not for these.
    """
    for node in module.graph.nodes:
        if node.target in RESHAPES:
            node.target, node.kwargs = _ATEN.reshape.default, {}
            node.args = (node.args[0], list(node.meta["val"].shape))
        elif node.target in PERMUTATIONS:
            dimensions = torch.empty(*range(node.meta["val"].ndim), device="meta")  # the size of each is its number
            order = list(node.target(dimensions, *node.args[1:], **node.kwargs).shape)
            node.target, node.args, node.kwargs = _ATEN.permute.default, (node.args[0], order), {}
    module.recompile()
    return module


def quantised_onnx(proto: Any, int8: Int8, model: nn.Module) -> Any:
    """Return an ONNX file with layers in int8, between nodes that quantise and dequantise; ExportError if that fails.

    The range of a map covers all inputs, or is the mean of their ranges, which leaves out rare values, whichever gives
    the better outputs. The file's nodes are named after the layers of the model, or the model was opened from the file.
    """
    for node in proto.graph.node:
        node.name = node.name or node.output[0]
    constants = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in constants]
    if any(value.type.tensor_type.elem_type in (10, 11, 16) for value in inputs):  # float16, float64, bfloat16
        raise ExportError("int8 files are made of networks in float32, and this one takes other numbers")
    names = [value.name for value in inputs]
    float_nodes = [_node_prefix(model, name) for name in int8.float_modules(model)]
    try:
        with quiet_libraries(), tempfile.TemporaryDirectory() as folder:
            import onnx
            from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
            from onnxruntime.quantization.shape_inference import quant_pre_process

            if any(entry.domain in ("", "ai.onnx") and entry.version < MIN_OPSET for entry in proto.opset_import):
                proto = onnx.version_converter.convert_version(proto, MIN_OPSET)
            float_path, ready_path, int8_path = (f"{folder}/{name}.onnx" for name in ("float", "ready", "int8"))
            onnx.save(proto, float_path)
            quant_pre_process(float_path, ready_path, skip_symbolic_shape=True)  # folds batch normalisation
            graph = onnx.load(ready_path).graph
            constants = {tensor.name for tensor in graph.initializer}
            shifts = {n.name for n in graph.node if n.op_type == "Add" and constants & set(n.input)}
            excluded = {n.name for n in graph.node if any(_is_part(n.name, name) for name in float_nodes)} | shifts
            best_snr, quantised = -math.inf, onnx.ModelProto()
            for mean in (False, True):
                quantize_static(
                    ready_path,
                    int8_path,
                    SimpleNamespace(get_next=partial(next, _feeds(names, int8.inputs), None)),
                    quant_format=QuantFormat.QDQ,
                    op_types_to_quantize=list(OPERATORS),
                    per_channel=True,
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                    nodes_to_exclude=sorted(excluded),
                    reduce_range=True,  # 7 bits: sums of two products overflow in processors without VNNI
                    extra_options={"MatMulConstBOnly": True, "CalibMovingAverage": mean},
                )
                snr = _snr_db(ready_path, int8_path, _feeds(names, int8.inputs[:MAX_COMPARED_IMAGES]))
                if snr > best_snr:
                    best_snr, quantised = snr, onnx.load(int8_path)
    except Exception as error:
        raise ExportError(f"the model cannot be quantised for ONNX Runtime: {first_line(error)}") from error
    del quantised.metadata_props[:]
    quantised.metadata_props.extend(proto.metadata_props)
    return quantised


def _snr_db(reference: str, quantised: str, runs: Iterator[dict[str, Any]]) -> float:
    """Return the signal-to-noise ratio of all outputs of a quantised file against those of a reference file."""
    from onnxruntime import InferenceSession

    files = [InferenceSession(path, providers=["CPUExecutionProvider"]) for path in (reference, quantised)]
    powers = torch.zeros(2, dtype=torch.float64)
    for feeds in runs:
        outputs = (map(torch.from_numpy, file.run(None, feeds)) for file in files)
        powers += sum(powers_of(*pair) for pair in zip(*outputs, strict=True))
    return snr_db(powers)


def _feeds(names: Sequence[str], inputs: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Yield the arrays of each run, by name of the graph's inputs."""
    for run_inputs in inputs:
        tensors = [leaf for leaf in tree_leaves(run_inputs) if isinstance(leaf, Tensor)]
        yield {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=False)}


def _node_prefix(model: Any, layer: str) -> str:
    """Return the prefix of the names of a layer's nodes: its name, or the name of its node in the opened file."""
    positions = getattr(model, "nodes", {})
    if layer not in positions:
        return layer
    node = model.proto.graph.node[positions[layer]]
    return str(node.name or node.output[0])


def _is_part(name: str, module: str) -> bool:
    return name == module or name.startswith((f"{module}.", f"{module}/"))
