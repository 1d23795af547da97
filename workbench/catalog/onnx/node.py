"""Compute one node of an ONNX graph: a layer if its weights are constants, else an operator."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.catalog.onnx.operators import OPERATORS
from workbench.catalog.onnx.spatial_operators import explicit_pads, reversed_pads, window_pads
from workbench.network.network import first_line

CONVOLUTIONS: dict[str, tuple[type[nn.Module], ...]] = {
    "Conv": (nn.Conv1d, nn.Conv2d, nn.Conv3d),
    "ConvTranspose": (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
}


class OnnxError(ValueError):
    """An ONNX file that cannot be opened; the message says why."""


class OpenShapeError(OnnxError):
    """An ONNX file with an input of open shape, for which no shape was given."""


class Node:
    """One node of the graph; the values of `last_used` are not needed after it."""

    def __init__(self, opsets: Mapping[str, int], index: int, node: Any) -> None:
        from onnx import helper

        self.proto = node
        self.operator = node.op_type
        self.domain = "" if node.domain == "ai.onnx" else node.domain
        self.inputs, self.outputs = tuple(node.input), tuple(node.output)
        while self.inputs and not self.inputs[-1]:
            self.inputs = self.inputs[:-1]
        self.name = node.name or f"{self.operator}_{index}"
        self.title = f"{node.name or index} ({self.operator})"
        self.attributes: dict[str, Any] = {}
        for attribute in node.attribute:
            if attribute.type in (attribute.GRAPH, attribute.GRAPHS):
                raise OnnxError(f"its node {self.title} has a graph inside, which the workbench does not support")
            value = helper.get_attribute_value(attribute)
            self.attributes[attribute.name] = value.decode() if isinstance(value, bytes) else value
        self.opset = opsets.get(self.domain, 1)
        self.attributes |= {"opset": self.opset, "outputs": len(self.outputs), "operator": self.operator}
        self.layer = ""
        self.pad: Callable[[Tensor], Tensor] | None = None
        self.last_used: tuple[str, ...] = ()
        self._session: Any = None  # of ONNX Runtime, with its constants
        self._evaluator: Any = None

    def __call__(self, model: nn.Module, values: list[Any]) -> Sequence[Any]:
        """Return the node's outputs."""
        if self.layer:
            x = values[0] if self.pad is None else self.pad(values[0])
            return (model.get_submodule(self.layer)(x),)
        has_tensors = any(isinstance(v, Tensor) for v in values)
        if self.operator in ("Shape", "Size") and has_tensors:
            shape = np.array(values[0].shape, dtype=np.int64)
            part = shape[slice(self.attributes.get("start"), self.attributes.get("end"))]
            return (part if self.operator == "Shape" else shape.prod(),)
        if not has_tensors:
            return self.run_reference(values)
        function = OPERATORS.get(self.operator) if not self.domain else None
        if function is not None:
            try:
                result = function(self.attributes, *values)
                outputs = result if isinstance(result, tuple) else (result,)
                if len(outputs) >= sum(map(bool, self.outputs)):
                    return outputs
            except NotImplementedError:
                pass
        return self.run_onnxruntime(values)

    def run_reference(self, values: list[Any]) -> Sequence[Any]:
        """Run the node on NumPy arrays in ONNX's reference evaluator."""
        from onnx.reference import ReferenceEvaluator

        if self._evaluator is None:
            self._evaluator = ReferenceEvaluator(self.proto, opsets={self.domain: self.opset})
        try:
            return list(self._evaluator.run(None, {n: v for n, v in zip(self.inputs, values, strict=True) if n}))
        except Exception as error:
            raise OnnxError(f"its node {self.title} cannot be computed: {first_line(error)}") from error

    def run_onnxruntime(self, values: list[Any]) -> Sequence[Any]:
        """Run the node in ONNX Runtime, for operators that PyTorch lacks; no gradient goes through it."""
        named = {name: value for name, value in zip(self.inputs, values, strict=True) if name}
        inputs = {name: v.detach().cpu().numpy() for name, v in named.items() if isinstance(v, Tensor)}
        device = next(v.device for v in values if isinstance(v, Tensor))
        constants = {name: np.asarray(v) for name, v in named.items() if name not in inputs}
        key = [(v.shape, v.tobytes()) for v in constants.values()]  # some depend on the batch size
        if self._session is None or self._session[0] != key:
            self._session = key, _node_session(self, inputs, constants)
        try:
            outputs = self._session[1].run(None, inputs)
        except Exception as error:
            raise OnnxError(f"its node {self.title} does not run: {first_line(error)}") from error
        return [torch.from_numpy(np.array(v)).to(device) for v in outputs]

    def make_layer(self, constants: Mapping[str, np.ndarray]) -> nn.Module | None:
        """Return the module of a convolution, matrix or batch normalisation whose weights are constants."""
        weights = [constants[name] for name in self.inputs[1:] if name in constants]
        if self.domain or not weights or len(weights) < len(self.inputs) - 1 or "" in self.inputs:
            return None
        if self.operator in CONVOLUTIONS:
            return self._convolution(*weights)
        if self.operator in ("Gemm", "MatMul"):
            return self._matrix(*weights)
        if self.operator == "BatchNormalization" and len(self.outputs) == 1:
            return self._batch_norm(*weights)
        return None

    def _convolution(self, weight: np.ndarray, bias: np.ndarray | None = None) -> nn.Module | None:
        a, n = self.attributes, weight.ndim - 2
        if not 1 <= n <= 3:
            return None
        groups, transposed = a.get("group", 1), self.operator == "ConvTranspose"
        kernel = weight.shape[2:]
        strides, dilations = (tuple(a.get(key) or [1] * n) for key in ("strides", "dilations"))
        options: dict[str, Any] = {"stride": strides, "dilation": dilations, "groups": groups, "bias": bias is not None}
        if a.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER") or explicit_pads(a.get("pads") or [0, 0]):
            if transposed:
                return None
            self.pad = lambda x: functional.pad(x, reversed_pads(window_pads(a, x.shape[2:], kernel)))
        else:
            options["padding"] = tuple(window_pads(a, kernel, kernel)[:n])
        if transposed:
            if a.get("output_shape"):
                return None
            options["output_padding"] = tuple(a.get("output_padding") or [0] * n)
        channels = (weight.shape[0], weight.shape[1] * groups)[:: 1 if transposed else -1]
        return _with_arrays(CONVOLUTIONS[self.operator][n - 1](*channels, kernel, **options), weight=weight, bias=bias)

    def _matrix(self, weight: np.ndarray, bias: np.ndarray | None = None) -> nn.Module | None:
        a = self.attributes
        if weight.ndim != 2 or a.get("transA"):
            return None
        matrix = (weight if a.get("transB") else weight.T) * np.float32(a.get("alpha", 1.0))
        if bias is not None:
            if bias.size not in (1, matrix.shape[0]) or max(bias.shape, default=1) != bias.size:
                return None
            bias = np.broadcast_to(bias.reshape(-1), matrix.shape[:1]) * np.float32(a.get("beta", 1.0))
        layer = nn.Linear(matrix.shape[1], matrix.shape[0], bias=bias is not None)
        return _with_arrays(layer, weight=matrix, bias=bias)

    def _batch_norm(self, *values: np.ndarray) -> nn.Module:
        scale, bias, mean, var = values
        layer = _AnyBatchNorm(len(scale), eps=self.attributes.get("epsilon", 1e-5))
        return _with_arrays(layer, weight=scale, bias=bias, running_mean=mean, running_var=var)


class _AnyBatchNorm(nn.BatchNorm2d):
    """Batch normalisation of inputs (n, channels, ...)."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - PyTorch's name
        pass


def as_float32(value: np.ndarray) -> np.ndarray:
    """Return float16 and bfloat16 as float32, and other types as they are."""
    return value.astype(np.float32) if value.dtype.name in ("float16", "bfloat16") else value


def constant_of(attributes: Mapping[str, Any]) -> np.ndarray:
    """Return the value of a Constant node."""
    from onnx import numpy_helper

    for name, value in attributes.items():
        if name == "value":
            return as_float32(numpy_helper.to_array(value))
        if name.startswith("value_"):
            return np.array(value, dtype=np.float32 if "float" in name else np.int64 if "int" in name else None)
    raise OnnxError("the file is damaged: a constant has no value")


def _with_arrays(module: nn.Module, **arrays: np.ndarray | None) -> nn.Module:
    state = {name: torch.from_numpy(np.array(v)) for name, v in arrays.items() if v is not None}
    module.load_state_dict(state, strict=False)
    return module


def _node_session(node: Node, inputs: Mapping[str, np.ndarray], constants: Mapping[str, np.ndarray]) -> Any:
    """Return a session of ONNX Runtime for one node, for inputs of these types, with these constants."""
    from onnx import helper, numpy_helper

    input_infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(v.dtype), [None] * v.ndim)
        for name, v in inputs.items()
    ]
    output_infos = [helper.make_empty_tensor_value_info(name) for name in node.outputs if name]
    initializers = [numpy_helper.from_array(v, name) for name, v in constants.items()]
    graph = helper.make_graph([node.proto], "node", input_infos, output_infos, initializers)
    opsets = [helper.make_opsetid(node.domain, node.opset)] + [helper.make_opsetid("", 17)] * bool(node.domain)
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    try:
        return onnxruntime_session(proto)
    except Exception as error:
        raise OnnxError(
            f"its node {node.title} runs neither in PyTorch nor in ONNX Runtime: {first_line(error)}"
        ) from error


def onnxruntime_session(proto: Any) -> Any:
    """Return a silent session of ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
