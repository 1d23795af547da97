"""An ONNX graph as a PyTorch module: convolutions and matrices with constant weights become layers."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.catalog.onnx.operators import CONSTANT_INPUTS, OPERATORS, Value, uneven, window_pads

CONVOLUTIONS = {"Conv": (nn.Conv1d, nn.Conv2d, nn.Conv3d)}
CONVOLUTIONS["ConvTranspose"] = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)  # type: ignore[assignment]
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
MAX_FOLDED_BYTES = 2**26
"""Bytes of a constant that is computed from constants when the file is opened; larger ones are computed in each run."""


class OnnxError(ValueError):
    """An ONNX file that cannot be opened, in a sentence."""


class OnnxModel(nn.Module):
    """Compute an ONNX graph, node by node.

    Weights of convolutions and of matrices are parameters of ordinary layers, called like the file's nodes; batch
    normalisation is a module; every other node computes as the specification says. Half precision is computed in float32.

    Parameters
    ----------
    proto : the file's ModelProto, with its weights; it is kept to write a compressed file, and not changed.

    Attributes
    ----------
    nodes : name of a layer -> index of its node in the file.
    batch : number of inputs that the file takes at a time; None for any. More are computed one after the other, unless
        `batched` says that the graph computes several at a time as well.
    """

    def __init__(self, proto: Any) -> None:
        super().__init__()
        from onnx import numpy_helper

        graph = proto.graph
        self.proto = proto
        self.opsets = {o.domain or "": o.version for o in proto.opset_import}
        constants = {t.name: single(numpy_helper.to_array(t)) for t in graph.initializer}
        self.input_names = tuple(value.name for value in graph.input if value.name not in constants)
        self.output_names = tuple(value.name for value in graph.output)
        self.batch = fixed_batch(graph, self.input_names)
        self.batched = False
        self.nodes: dict[str, int] = {}
        self.steps: list[_Step] = []
        self._fold(constants)
        self.constants = {name: constants[name] for name in self._used() if name in constants}
        self._buffers_of: dict[str, str] = {}
        self._keep_tensors()

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnnxModel":
        made = type(self).__new__(type(self))
        memo[id(self)] = made
        nn.Module.__init__(made)
        shared = {"proto", "steps", "constants", "nodes", "opsets"}  # never changed
        for key, value in self.__dict__.items():
            made.__dict__[key] = value if key in shared else _copy(value, memo)
        return made

    def forward(self, *inputs: Tensor) -> Any:
        """Map inputs (n, ...) to the output, or to a dictionary of outputs by name if there are several."""
        n = inputs[0].shape[0]
        if self.batch is None or self.batched or n == self.batch:
            return self._run(inputs)
        outputs = []
        for start in range(0, n, self.batch):
            piece = [x[start : start + self.batch] for x in inputs]
            short = self.batch - len(piece[0])
            full = [torch.cat([x, x[-1:].expand(short, *x.shape[1:])]) if short else x for x in piece]
            out = self._run(full)
            cut = len(piece[0])
            outputs.append({k: v[:cut] for k, v in out.items()} if isinstance(out, dict) else out[:cut])
        if isinstance(outputs[0], dict):
            return {key: torch.cat([out[key] for out in outputs]) for key in outputs[0]}
        return torch.cat(outputs)

    def relax(self) -> None:
        """Let reshapes to constant shapes follow the number of inputs, for a file that fixes it."""
        for step in self.steps:
            shape = self.constants.get(step.inputs[1]) if step.operator == "Reshape" and len(step.inputs) > 1 else None
            if shape is None or not shape.size or shape[0] < 1:
                continue
            new = shape.copy()
            if -1 not in shape:
                new[0] = -1
            elif shape[0] == self.batch:
                new[0] = 0
            name = f"{step.inputs[1]}, any number"
            self.constants[name] = new
            step.inputs = (step.inputs[0], name)

    def _run(self, inputs: Sequence[Tensor]) -> Any:
        values: dict[str, Any] = dict(self.constants)
        values |= {name: getattr(self, buffer) for name, buffer in self._buffers_of.items()}
        values |= dict(zip(self.input_names, inputs, strict=True))
        for step in self.steps:
            found = step(self, [values[name] if name else None for name in step.inputs])
            for name, value in zip(step.outputs, found, strict=False):
                values[name] = value
            for name in step.last:
                values.pop(name, None)
        if len(self.output_names) == 1:
            return values[self.output_names[0]]
        return {name: values[name] for name in self.output_names}

    def _fold(self, constants: dict[str, np.ndarray]) -> None:
        """Turn nodes into steps; nodes of constants alone are computed now."""
        known = {*constants, *self.input_names}
        for index, node in enumerate(self.proto.graph.node):
            step = _Step(self, index, node)
            if any(name and name not in known for name in step.inputs):
                raise OnnxError(f"the file is damaged: its node {step.title} takes a value that none before it gives")
            known |= set(step.outputs)
            if step.operator == "Constant":
                constants[step.outputs[0]] = constant_of(step.attributes)
            elif all(name in constants for name in step.inputs if name) and step.operator not in RANDOM and step.inputs:
                found = [np.asarray(v) for v in step.compute([constants[name] if name else None for name in step.inputs])]
                if sum(v.nbytes for v in found) <= MAX_FOLDED_BYTES or step.operator in ("Identity", "Transpose", "Cast"):
                    constants.update(zip(step.outputs, map(single, found), strict=False))
                else:
                    self.steps.append(step)
            else:
                step.make_layer(self, constants)
                self.steps.append(step)
        missing = [name for name in self.output_names if name not in known]
        if missing:
            raise OnnxError(f"the file is damaged: no node gives its output {missing[0]}")
        needed = set(self.output_names)
        for step in reversed(self.steps):
            step.last = tuple(dict.fromkeys(n for n in (*step.inputs, *step.outputs) if n and n not in needed))
            needed |= {name for name in step.inputs if name}

    def _used(self) -> set[str]:
        return {name for step in self.steps for name in step.inputs} | set(self.output_names)

    def _keep_tensors(self) -> None:
        """Register constants that tensors are computed with as buffers, so that they move with the module."""
        settings = {n for step in self.steps if step.operator in CONSTANT_INPUTS for n in step.inputs}
        for i, (name, value) in enumerate(list(self.constants.items())):
            if value.dtype.kind == "f" and value.size > 1 and name not in settings:
                self._buffers_of[name] = f"constant_{i}"
                self.register_buffer(f"constant_{i}", torch.from_numpy(np.array(self.constants.pop(name))))


class _Step:
    """One node of the graph."""

    def __init__(self, model: OnnxModel, index: int, node: Any) -> None:
        from onnx import helper

        self.index, self.node = index, node
        self.operator = node.op_type
        self.domain = "" if node.domain == "ai.onnx" else node.domain
        self.inputs, self.outputs = tuple(node.input), tuple(node.output)
        while self.inputs and not self.inputs[-1]:
            self.inputs = self.inputs[:-1]
        self.title = f"{node.name or index} ({self.operator})"
        self.attributes: dict[str, Any] = {}
        for attribute in node.attribute:
            if attribute.type in (attribute.GRAPH, attribute.GRAPHS):
                raise OnnxError(f"its node {self.title} has a graph inside, which the workbench does not follow")
            value = helper.get_attribute_value(attribute)
            self.attributes[attribute.name] = value.decode() if isinstance(value, bytes) else value
        self.opset = model.opsets.get(self.domain, 1)
        self.attributes |= {"opset": self.opset, "outputs": len(self.outputs), "operator": self.operator}
        self.layer = ""
        self.pads: Callable[[Tensor], Tensor] | None = None
        self.last: tuple[str, ...] = ()
        self._session: Any = None

    def __call__(self, model: OnnxModel, values: list[Any]) -> Sequence[Any]:
        """Return the node's outputs."""
        if self.layer:
            x = values[0] if self.pads is None else self.pads(values[0])
            return (model.get_submodule(self.layer)(x),)
        tensors = any(isinstance(v, Tensor) for v in values)
        if self.operator in ("Shape", "Size") and tensors:
            shape = np.array(values[0].shape, dtype=np.int64)
            part = shape[slice(self.attributes.get("start"), self.attributes.get("end"))]
            return (part if self.operator == "Shape" else shape.prod(),)
        if not tensors:
            return self.compute(values)
        function = OPERATORS.get(self.operator) if not self.domain else None
        if function is not None:
            try:
                found = function(self.attributes, *values)
                return found if isinstance(found, tuple) else (found,)
            except NotImplementedError:
                pass
        return self.run(values)

    def compute(self, values: list[Any]) -> Sequence[Any]:
        """Compute the node on NumPy arrays, with the specification's own code."""
        from onnx.reference import ReferenceEvaluator

        if self._session is None:
            self._session = ReferenceEvaluator(self.node, opsets={self.domain: self.opset})
        try:
            return list(self._session.run(None, {n: v for n, v in zip(self.inputs, values, strict=True) if n}))
        except Exception as error:
            raise OnnxError(f"its node {self.title} cannot be computed: {_first_line(error)}") from error

    def run(self, values: list[Any]) -> Sequence[Any]:
        """Compute a node that has no equal in PyTorch in ONNX Runtime; no gradient goes through it."""
        arrays = [v.detach().cpu().numpy() if isinstance(v, Tensor) else v for v in values]
        given = {name: value for name, value in zip(self.inputs, arrays, strict=True) if name}
        device = next(v.device for v in values if isinstance(v, Tensor))
        if self._session is None:
            self._session = _session(self, given)
        try:
            found = self._session.run(None, given)
        except Exception as error:
            raise OnnxError(f"its node {self.title} does not run: {_first_line(error)}") from error
        return [torch.from_numpy(np.array(v)).to(device) for v in found]

    def make_layer(self, model: OnnxModel, constants: Mapping[str, np.ndarray]) -> None:
        """Make a layer of a convolution, matrix or batch normalisation whose weights are constants."""
        weights = [constants.get(name) if name else None for name in self.inputs[1:]]
        if self.domain or not weights or weights[0] is None or self.inputs[0] in constants:
            return
        if any(w is None for w, name in zip(weights, self.inputs[1:], strict=True) if name):
            return
        made: nn.Module | None = None
        if self.operator in CONVOLUTIONS:
            made = self._convolution(*weights)
        elif self.operator in ("Gemm", "MatMul"):
            made = self._matrix(*weights)
        elif self.operator == "BatchNormalization" and len(self.outputs) == 1:
            made = self._batch_norm(model, *weights)
        if made is not None:
            self.layer = _free_name(model, self.node.name or f"{self.operator}_{self.index}")
            model.add_module(self.layer, made.eval())
            model.nodes[self.layer] = self.index
            self.inputs = self.inputs[:1]

    def _convolution(self, weight: np.ndarray, bias: np.ndarray | None = None) -> nn.Module | None:
        a, n = self.attributes, weight.ndim - 2
        if not 1 <= n <= 3:
            return None
        groups, transposed = a.get("group", 1), self.operator == "ConvTranspose"
        kernel = weight.shape[2:]
        options: dict[str, Any] = {"stride": tuple(a.get("strides") or [1] * n), "groups": groups, "bias": bias is not None}
        options["dilation"] = tuple(a.get("dilations") or [1] * n)
        if a.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER") or uneven(a.get("pads") or [0, 0]):
            if transposed:
                return None
            self.pads = lambda x: F.pad(x, uneven_pads(window_pads(a, x.shape[2:], kernel)))
        else:
            options["padding"] = tuple(window_pads(a, kernel, kernel)[:n])
        if transposed:
            if a.get("output_shape"):
                return None
            options["output_padding"] = tuple(a.get("output_padding") or [0] * n)
        channels = (weight.shape[0], weight.shape[1] * groups) if transposed else (weight.shape[1] * groups, weight.shape[0])
        return _filled(CONVOLUTIONS[self.operator][n - 1](*channels, kernel, **options), weight=weight, bias=bias)

    def _matrix(self, weight: np.ndarray, bias: np.ndarray | None = None) -> nn.Module | None:
        a = self.attributes
        if weight.ndim != 2 or a.get("transA"):
            return None
        matrix = (weight if a.get("transB") else weight.T) * np.float32(a.get("alpha", 1.0))
        if bias is not None:
            if bias.size not in (1, matrix.shape[0]) or max(bias.shape, default=1) != bias.size:
                return None
            bias = np.broadcast_to(bias.reshape(-1), matrix.shape[:1]) * np.float32(a.get("beta", 1.0))
        made = nn.Linear(matrix.shape[1], matrix.shape[0], bias=bias is not None)
        return _filled(made, weight=matrix, bias=bias)

    def _batch_norm(self, model: OnnxModel, *values: np.ndarray) -> nn.Module:
        scale, bias, mean, var = values
        made = _AnyBatchNorm(len(scale), eps=self.attributes.get("epsilon", 1e-5))
        return _filled(made, weight=scale, bias=bias, running_mean=mean, running_var=var)


class _AnyBatchNorm(nn.BatchNorm2d):
    """Batch normalisation of inputs (n, channels, ...)."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - PyTorch's name
        pass


def uneven_pads(pads: Sequence[int]) -> list[int]:
    """Return padding in ONNX's order as `torch.nn.functional.pad` takes it."""
    n = len(pads) // 2
    return [amount for axis in reversed(range(n)) for amount in (pads[axis], pads[axis + n])]


def single(value: np.ndarray) -> np.ndarray:
    """Return half precision as float32, and everything else as it is."""
    return value.astype(np.float32) if value.dtype.name in ("float16", "bfloat16") else value


def fixed_batch(graph: Any, names: Sequence[str]) -> int | None:
    """Return the number of inputs that a graph takes at a time; None if it takes any."""
    for value in graph.input:
        if value.name in names:
            dims = value.type.tensor_type.shape.dim
            return dims[0].dim_value if dims and dims[0].dim_value > 0 else None
    return None


def constant_of(attributes: Mapping[str, Any]) -> np.ndarray:
    """Return the value of a Constant node."""
    from onnx import numpy_helper

    for name, value in attributes.items():
        if name == "value":
            return single(numpy_helper.to_array(value))
        if name.startswith("value_"):
            return np.array(value, dtype=np.float32 if "float" in name else np.int64 if "int" in name else None)
    raise OnnxError("the file is damaged: a constant has no value")


def _filled(module: nn.Module, **tensors: np.ndarray | None) -> nn.Module:
    state = {name: torch.from_numpy(np.ascontiguousarray(v)) for name, v in tensors.items() if v is not None}
    module.load_state_dict(state, strict=False)
    return module


def _free_name(model: nn.Module, title: str) -> str:
    """Return a node's name as the name of a module that is not taken."""
    name = re.sub(r"\W+", "_", title).strip("_") or "node"
    name = f"layer_{name}" if name[0].isdigit() or hasattr(model, name) else name
    number = 2
    while hasattr(model, name):
        name, number = f"{name.removesuffix(f'_{number - 1}')}_{number}", number + 1
    return name


def _session(step: _Step, given: Mapping[str, np.ndarray]) -> Any:
    """Return a session of ONNX Runtime for one node, whose inputs have the types of these."""
    import onnxruntime
    from onnx import helper

    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(v.dtype), [None] * v.ndim)
        for name, v in given.items()
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in step.outputs if name]
    graph = helper.make_graph([step.node], "node", inputs, outputs)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid(step.domain, step.opset), helper.make_opsetid("", 17)][:1])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _copy(value: Any, memo: dict[int, Any]) -> Any:
    import copy

    return copy.deepcopy(value, memo)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
