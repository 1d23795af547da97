"""An ONNX graph as a PyTorch module: convolutions and matrices with constant weights become layers."""

import copy
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
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
"""Bytes of a constant that is computed from constants when the file is opened; larger ones are computed in each run."""
ALWAYS_FOLDED = {"Identity", "Transpose", "Cast"}


class OnnxModel(nn.Module):
    """Compute an ONNX graph, node by node.

    Weights of convolutions and of matrices are parameters of ordinary layers, called like the file's nodes; batch
    normalisation is a module; every other node computes as the specification says. Half precision is computed in
    float32.

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
        self._buffers_of: dict[str, str] = {}
        self._keep_tensors()

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnnxModel":
        made = type(self).__new__(type(self))
        memo[id(self)] = made
        nn.Module.__init__(made)
        shared = {"proto", "steps", "constants", "nodes", "opsets"}  # never changed
        for key, value in self.__dict__.items():
            made.__dict__[key] = value if key in shared else copy.deepcopy(value, memo)
        return made

    def forward(self, *inputs: Tensor) -> Any:
        """Map inputs (n, ...) to the output, or to a dictionary of outputs by name if there are several."""
        if self.batch is None or self.batched or len(inputs[0]) == self.batch:
            return self.run(inputs)
        outputs: list[Any] = []
        for start in range(0, len(inputs[0]), self.batch):
            piece = [x[start : start + self.batch] for x in inputs]
            cut = len(piece[0])
            full = [torch.cat([x, x[-1:].expand(self.batch - cut, *x.shape[1:])]) for x in piece]
            outputs.append(tree_map(lambda v, cut=cut: v[:cut], self.run(full)))
        return tree_map(lambda *parts: torch.cat(parts), *outputs)

    def to_proto(self, metadata: Mapping[str, str] | None = None) -> Any:
        """Return the file with the layers as they are now; see :func:`~workbench.catalog.onnx.writer.changed_proto`."""
        return changed_proto(self, metadata)

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

    def run(self, inputs: Sequence[Tensor]) -> Any:
        """Compute the graph on all inputs at a time."""
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
        """Turn nodes into steps; nodes of only constants are computed now."""
        known = {*constants, *self.input_names}
        for index, node in enumerate(self.proto.graph.node):
            step = Node(self.opsets, index, node)
            if any(name and name not in known for name in step.inputs):
                raise OnnxError(f"the file is damaged: its node {step.title} takes a value that none before it gives")
            known |= set(step.outputs)
            if step.operator == "Constant":
                constants[step.outputs[0]] = constant_of(step.attributes)
            elif all(name in constants for name in step.inputs if name) and step.operator not in RANDOM and step.inputs:
                given = [constants[name] if name else None for name in step.inputs]
                found = [np.asarray(v) for v in step.run_reference(given)]
                if sum(v.nbytes for v in found) <= MAX_FOLDED_BYTES or step.operator in ALWAYS_FOLDED:
                    constants.update(zip(step.outputs, map(as_float32, found), strict=False))
                else:
                    self.steps.append(step)
            else:
                layer = step.make_layer(constants)
                if layer is not None:
                    step.layer, step.inputs = _free_name(self, step), step.inputs[:1]
                    self.add_module(step.layer, layer.eval())
                    self.nodes[step.layer] = index
                self.steps.append(step)
        missing = [name for name in self.output_names if name not in known]
        if missing:
            raise OnnxError(f"the file is damaged: no node gives its output {missing[0]}")
        needed = set(self.output_names)
        for step in reversed(self.steps):
            step.last = tuple(dict.fromkeys(n for n in (*step.inputs, *step.outputs) if n and n not in needed))
            needed |= {name for name in step.inputs if name}

    def _keep_tensors(self) -> None:
        """Register constants that tensors are computed with as buffers, so that they move with the module."""
        settings = {n for step in self.steps if step.operator in CONSTANT_INPUTS for n in step.inputs}
        for i, (name, value) in enumerate(list(self.constants.items())):
            if value.dtype.kind == "f" and value.size > 1 and name not in settings:
                self._buffers_of[name] = f"constant_{i}"
                self.register_buffer(f"constant_{i}", torch.from_numpy(np.array(self.constants.pop(name))))


def _free_name(model: nn.Module, node: Node) -> str:
    """Return the name of a module that is not taken: that of the weights, like "layer1.0.conv1.weight", or the node's.

    A node "/layer1/layer1.0/conv1/Conv" gives the same: "layer1_0_conv1".
    """
    weights = next((name for name in node.inputs[1:2] if name.endswith(".weight")), "")
    title = weights.removesuffix(".weight") or node.name.removesuffix(f"/{node.operator}")
    parts = [part for part in title.split("/") if part]
    repeated = [following.startswith(f"{part}.") for part, following in pairwise([*parts, ""])]
    title = "_".join(part for part, again in zip(parts, repeated, strict=True) if not again)
    name = re.sub(r"\W+", "_", title).strip("_") or "node"
    name = f"layer_{name}" if name[0].isdigit() or hasattr(model, name) else name
    number = 2
    while hasattr(model, name):
        name, number = f"{name.removesuffix(f'_{number - 1}')}_{number}", number + 1
    return name
