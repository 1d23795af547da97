"""Write a model back into the ONNX file that it was opened from: only the nodes of changed layers are replaced."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.network.layers import CONVOLUTIONS, TRANSPOSED


def changed_proto(model: Any, metadata: Mapping[str, str] | None = None) -> Any:
    """Return the ONNX file of a model as a ``ModelProto`` with the current layers.

    Names, dynamic axes, metadata and every other node stay as they are in the file.

    Parameters
    ----------
    model : an OnnxModel; its layers may have been replaced by factors, and its weights may have changed.
    metadata : added to the file's ``metadata_props``; what the workbench wrote there is replaced, all else stays.
    """
    proto = copy.deepcopy(model.proto)
    graph, opened = proto.graph, type(model)(model.proto)
    used_before = {name for node in graph.node for name in node.input}
    replaced: dict[int, list[Any]] = {}
    for name, index in model.nodes.items():
        module = model.get_submodule(name)
        if not _equal(module, opened.get_submodule(name)):
            replaced[index] = _NodeWriter(proto, graph.node[index]).write(module)
    nodes = [new for i, node in enumerate(graph.node) for new in replaced.get(i, [node])]
    kept = _without_unused(nodes, used_before, {value.name for value in graph.output})
    copies = copy.deepcopy(kept)
    del graph.node[:]
    graph.node.extend(copies)
    used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    for values in (graph.initializer, graph.input):
        for value in [v for v in values if v.name in used_before and v.name not in used]:
            values.remove(value)
    known = {entry.key: entry for entry in proto.metadata_props}
    ours = "versions" in known and '"workbench"' in known["versions"].value
    for key, value in (metadata or {}).items():
        if key not in known:
            proto.metadata_props.add(key=key, value=value)
        elif ours:
            known[key].value = value
    return proto


class _NodeWriter:
    """Writes the nodes and initialisers that replace one node of the graph."""

    def __init__(self, proto: Any, node: Any) -> None:
        self.graph, self.node = proto.graph, node
        self.listed = proto.ir_version < 4  # these versions list initialisers among the inputs of the graph
        weight = next((t for t in proto.graph.initializer if len(node.input) > 1 and t.name == node.input[1]), None)
        self.dtype = np.float16 if weight is not None and weight.data_type == weight.FLOAT16 else np.float32
        self.taken = {n for other in proto.graph.node for n in (*other.input, *other.output)}
        self.taken |= {t.name for t in proto.graph.initializer}

    def write(self, module: nn.Module) -> list[Any]:
        """Return the nodes of a layer, or of the factors in its place."""
        from onnx import helper

        parts = list(module.named_children()) if isinstance(module, nn.Sequential) else [("new", module)]
        made: list[Any] = []
        value = self.node.input[0]
        for i, (name, part) in enumerate(parts):
            last = i == len(parts) - 1
            output = self.node.output[0] if last else self._name(f"{self.node.output[0]}.{name}")
            title = self.node.name if len(parts) == 1 else f"{self.node.name or self.node.output[0]}.{name}"
            core = len(parts) == 1 or name == "core"
            operator, inputs, attributes = self._node_of(name, part, value, core=core)
            made.append(helper.make_node(operator, inputs, [output], name=title, **attributes))
            value = output
        return made

    def _node_of(self, name: str, part: nn.Module, x: str, core: bool) -> tuple[str, list[str], dict[str, Any]]:
        """Return the operator, the inputs and the attributes of the node of one module."""
        from onnx import helper

        if isinstance(part, CONVOLUTIONS + TRANSPOSED):
            attributes = {"kernel_shape": list(part.kernel_size), "strides": list(part.stride), "group": part.groups}
            attributes["dilations"] = list(part.dilation)
            copied = core and self.node.op_type in ("Conv", "ConvTranspose")
            given = {a.name: a for a in self.node.attribute} if copied else {}
            for key in ("pads", "auto_pad", "output_padding"):
                if key in given:
                    attributes[key] = helper.get_attribute_value(given[key])
            if not given:
                attributes["pads"] = [*part.padding, *part.padding]
            kind = "ConvTranspose" if isinstance(part, TRANSPOSED) else "Conv"
            return kind, [x, *self._constants(name, weight=part.weight, bias=part.bias)], attributes
        if isinstance(part, nn.Linear) and self.node.op_type == "Gemm" and part.bias is not None:
            return "Gemm", [x, *self._constants(name, weight=part.weight, bias=part.bias)], {"transB": 1}
        if isinstance(part, nn.Linear):
            return "MatMul", [x, *self._constants(name, weight=part.weight.mT)], {}
        if isinstance(part, nn.Unflatten):
            return "Reshape", [x, self._constant(f"{name}.shape", np.array([0, *part.unflattened_size], np.int64))], {}
        if isinstance(part, nn.Flatten):
            return "Flatten", [x], {"axis": 1}
        assert isinstance(part, nn.BatchNorm2d), type(part)
        values = {"weight": part.weight, "bias": part.bias, "mean": part.running_mean, "var": part.running_var}
        return "BatchNormalization", [x, *self._constants(name, **values)], {"epsilon": part.eps}

    def _constants(self, part: str, **values: Tensor | None) -> list[str]:
        return [
            self._constant(f"{part}.{key}", value.detach().cpu().numpy().astype(self.dtype))
            for key, value in values.items()
            if value is not None
        ]

    def _constant(self, name: str, value: np.ndarray) -> str:
        from onnx import helper, numpy_helper

        name = self._name(f"{self.node.name or self.node.output[0]}.{name}")
        tensor = numpy_helper.from_array(np.ascontiguousarray(value), name)
        self.graph.initializer.append(tensor)
        if self.listed:
            self.graph.input.append(helper.make_tensor_value_info(name, tensor.data_type, value.shape))
        return name

    def _name(self, name: str) -> str:
        """Return a name that the graph does not use yet."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name


def _equal(a: nn.Module, b: nn.Module) -> bool:
    mine, theirs = a.state_dict(), b.state_dict()
    same = mine.keys() == theirs.keys() and type(a) is type(b)
    return same and all(torch.equal(v.cpu(), theirs[key]) for key, v in mine.items())


def _without_unused(nodes: list[Any], used_before: set[str], outputs: set[str]) -> list[Any]:
    """Return the nodes, less those whose outputs were used only by nodes that were replaced."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if any(name in needed or (name and name not in used_before) for name in node.output):
            kept.append(node)
            needed |= set(node.input)
    return kept[::-1]
