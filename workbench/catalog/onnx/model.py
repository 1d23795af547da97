"""Compute an ONNX graph in a PyTorch module: convolutions and matrices with constant weights become layers."""

import copy
import re
from collections.abc import Mapping, Sequence
from itertools import chain, count, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from workbench.catalog.onnx.node import Node, OnnxError, as_float32, constant_of
from workbench.catalog.onnx.operators import CONSTANT_INPUTS
from workbench.catalog.onnx.writer import changed_proto

RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
MAX_FOLDED_BYTES = 2**26
"""Largest constant that is computed when a file is opened; larger ones are computed in each run."""
ALWAYS_FOLDED = {"Identity", "Transpose", "Cast"}


class OnnxModel(nn.Module):
    """Compute an ONNX graph, node by node.

    Convolutions, matrices and batch normalisations are ordinary layers, called like the file's nodes; every other node
    computes as the specification says. Half precision is computed in float32.

    Parameters
    ----------
    proto : the file's ModelProto, with its weights; a compressed file is written from it, but it does not change.

    Attributes
    ----------
    nodes : name of a layer -> index of its node in the file.
    batch : number of inputs that the file takes at a time; None for any. Larger batches are computed in parts of this
        size, unless the graph is `batched`: it computes any batch at a time.
    """

    def __init__(self, proto: Any) -> None:
        super().__init__()
        from onnx import numpy_helper

        graph = proto.graph
        self.proto = proto
        self.opsets = {o.domain or "": o.version for o in proto.opset_import}
        constants = {t.name: as_float32(numpy_helper.to_array(t)) for t in graph.initializer}
        self.input_names = tuple(value.name for value in graph.input if value.name not in constants)
        self.output_names = tuple(value.name for value in graph.output)
        first = next((value.type.tensor_type.shape.dim for value in graph.input if value.name in self.input_names), ())
        self.batch = first[0].dim_value if first and first[0].dim_value > 0 else None
        self.batched = False
        self.nodes: dict[str, int] = {}
        self.steps: list[Node] = []
        self._fold(constants)
        used = {name for step in self.steps for name in step.inputs} | set(self.output_names)
        self.constants = {name: constants[name] for name in used if name in constants}
        self._buffer_names: dict[str, str] = {}
        self._register_constants()

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnnxModel":
        model = type(self).__new__(type(self))
        memo[id(self)] = model
        nn.Module.__init__(model)
        shared = {"proto", "steps", "constants", "nodes", "opsets"}  # never changed
        for key, value in self.__dict__.items():
            model.__dict__[key] = value if key in shared else copy.deepcopy(value, memo)
        return model

    def forward(self, *inputs: Tensor) -> Any:
        """Map inputs (n, ...) to the output, or to a dictionary of outputs by name if there are several."""
        if self.batch is None or self.batched or len(inputs[0]) == self.batch:
            return self.run(inputs)
        outputs: list[Any] = []
        for start in range(0, len(inputs[0]), self.batch):
            chunk = [x[start : start + self.batch] for x in inputs]
            n = len(chunk[0])
            padded = [torch.cat([x, x[-1:].expand(self.batch - n, *x.shape[1:])]) for x in chunk]
            outputs.append(tree_map(lambda v, n=n: v[:n], self.run(padded)))
        return tree_map(lambda *parts: torch.cat(parts), *outputs)

    def to_proto(self, metadata: Mapping[str, str] | None = None) -> Any:
        """Return the file with the current layers; see :func:`~workbench.catalog.onnx.writer.changed_proto`."""
        return changed_proto(self, metadata)

    def relax_reshapes(self) -> None:
        """Replace a fixed number of inputs in the constant shapes of Reshape nodes by any number."""
        for step in self.steps:
            shape = self.constants.get(step.inputs[1]) if step.operator == "Reshape" and len(step.inputs) > 1 else None
            if shape is None or not shape.size or shape[0] < 1:
                continue
            relaxed = shape.copy()
            if -1 not in shape:
                relaxed[0] = -1
            elif shape[0] == self.batch:
                relaxed[0] = 0
            name = f"{step.inputs[1]}, any number"
            self.constants[name] = relaxed
            step.inputs = (step.inputs[0], name)

    def run(self, inputs: Sequence[Tensor]) -> Any:
        """Compute the graph on the whole batch at a time."""
        values: dict[str, Any] = dict(self.constants)
        values |= {name: getattr(self, buffer) for name, buffer in self._buffer_names.items()}
        values |= dict(zip(self.input_names, inputs, strict=True))
        for step in self.steps:
            outputs = step(self, [values[name] if name else None for name in step.inputs])
            values.update(zip(step.outputs, outputs, strict=False))
            for name in step.last_used:
                values.pop(name, None)
        if len(self.output_names) == 1:
            return values[self.output_names[0]]
        return {name: values[name] for name in self.output_names}

    def _fold(self, constants: dict[str, np.ndarray]) -> None:
        """Turn nodes into steps; nodes whose inputs are all constant are computed now."""
        defined = {*constants, *self.input_names}
        for index, node in enumerate(self.proto.graph.node):
            step = Node(self.opsets, index, node)
            if any(name and name not in defined for name in step.inputs):
                raise OnnxError(f"the file is damaged: an input of its node {step.title} is not computed before it")
            defined |= set(step.outputs)
            if step.operator == "Constant":
                constants[step.outputs[0]] = constant_of(step.attributes)
            elif all(name in constants for name in step.inputs if name) and step.operator not in RANDOM and step.inputs:
                values = [constants[name] if name else None for name in step.inputs]
                folded = [np.asarray(v) for v in step.run_reference(values)]
                if sum(v.nbytes for v in folded) <= MAX_FOLDED_BYTES or step.operator in ALWAYS_FOLDED:
                    constants.update(zip(step.outputs, map(as_float32, folded), strict=False))
                else:
                    self.steps.append(step)
            else:
                layer = step.make_layer(constants)
                if layer is not None:
                    step.layer, step.inputs = _free_name(self, step), step.inputs[:1]
                    self.add_module(step.layer, layer.eval())
                    self.nodes[step.layer] = index
                self.steps.append(step)
        missing = [name for name in self.output_names if name not in defined]
        if missing:
            raise OnnxError(f"the file is damaged: no node computes its output {missing[0]}")
        needed = set(self.output_names)
        for step in reversed(self.steps):
            step.last_used = tuple(dict.fromkeys(n for n in (*step.inputs, *step.outputs) if n and n not in needed))
            needed |= {name for name in step.inputs if name}

    def _register_constants(self) -> None:
        """Register the constants of computations as buffers, which move with the module; settings stay arrays."""
        settings = {n for step in self.steps if step.operator in CONSTANT_INPUTS for n in step.inputs}
        for i, (name, value) in enumerate(list(self.constants.items())):
            if value.dtype.kind == "f" and value.size > 1 and name not in settings:
                self._buffer_names[name] = f"constant_{i}"
                self.register_buffer(f"constant_{i}", torch.from_numpy(np.array(self.constants.pop(name))))


def _free_name(model: nn.Module, node: Node) -> str:
    """Return an unused name of a module, from the name of a node's weights, or else of the node.

    Weights "layer1.0.conv1.weight" and a node "/layer1/layer1.0/conv1/Conv" give "layer1_0_conv1".
    """
    weights = next((name for name in node.inputs[1:2] if name.endswith(".weight")), "")
    title = weights.removesuffix(".weight") or node.name.removesuffix(f"/{node.operator}")
    parts = [part for part in title.split("/") if part]
    title = "_".join(part for part, following in pairwise([*parts, ""]) if not following.startswith(f"{part}."))
    name = re.sub(r"\W+", "_", title).strip("_") or "node"
    name = f"layer_{name}" if name[0].isdigit() or hasattr(model, name) else name
    return next(n for n in chain([name], (f"{name}_{number}" for number in count(2))) if not hasattr(model, n))
