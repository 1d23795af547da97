"""Write a model back into the ONNX file that it was opened from, replacing only the nodes of changed layers."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.network.layers import CONVOLUTIONS, TRANSPOSED


def changed_proto(model: Any, metadata: Mapping[str, str] | None = None) -> Any:
    """Return the ONNX file of a model as a ``ModelProto`` with the model's current layers.

    Names, dynamic axes, metadata and all other nodes are those of the file.

    Parameters
    ----------
    model : an OnnxModel; its layers may have been replaced by factors, and its weights may have changed.
    metadata : added to the file's ``metadata_props``; replaces only entries that the workbench wrote.
    """
    proto = copy.deepcopy(model.proto)
    graph, original = proto.graph, type(model)(model.proto)
    used_before = {name for node in graph.node for name in node.input}
    replaced: dict[int, list[Any]] = {}
    for name, index in model.nodes.items():
        module = model.get_submodule(name)
        if not _are_equal(module, original.get_submodule(name)):
            replaced[index] = _NodeWriter(proto, graph.node[index]).write(module)
    nodes = [new for i, node in enumerate(graph.node) for new in replaced.get(i, [node])]
    nodes = _without_unused(nodes, used_before, {value.name for value in graph.output})
    copies = copy.deepcopy(nodes)
    del graph.node[:]
    graph.node.extend(copies)
    used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    for values in (graph.initializer, graph.input):
        for value in [v for v in values if v.name in used_before and v.name not in used]:
            values.remove(value)
    entries = {entry.key: entry for entry in proto.metadata_props}
    is_workbench_file = "versions" in entries and '"workbench"' in entries["versions"].value
    for key, value in (metadata or {}).items():
        if key not in entries:
            proto.metadata_props.add(key=key, value=value)
        elif is_workbench_file:
            entries[key].value = value
    return proto


class _NodeWriter:
    """Writes the nodes and initialisers that replace one node of the graph."""

    def __init__(self, proto: Any, node: Any) -> None:
        self.graph, self.node = proto.graph, node
        self.lists_initializers = proto.ir_version < 4  # among the inputs of the graph
        weight = next((t for t in proto.graph.initializer if len(node.input) > 1 and t.name == node.input[1]), None)
        self.dtype = np.float16 if weight is not None and weight.data_type == weight.FLOAT16 else np.float32
        self.used_names = {n for other in proto.graph.node for n in (*other.input, *other.output)}
        self.used_names |= {t.name for t in proto.graph.initializer}

    def write(self, module: nn.Module) -> list[Any]:
        """Return the nodes of a layer, or of the factors in its place."""
        from onnx import helper

        parts = list(module.named_children()) if isinstance(module, nn.Sequential) else [("new", module)]
        nodes: list[Any] = []
        value = self.node.input[0]
        for i, (name, part) in enumerate(parts):
            is_last = i == len(parts) - 1
            output = self.node.output[0] if is_last else self._new_name(f"{self.node.output[0]}.{name}")
            title = self.node.name if len(parts) == 1 else f"{self.node.name or self.node.output[0]}.{name}"
            is_core = len(parts) == 1 or name == "core"
            operator, inputs, attributes = self._describe(name, part, value, is_core=is_core)
            nodes.append(helper.make_node(operator, inputs, [output], name=title, **attributes))
            value = output
        return nodes

    def _describe(self, name: str, part: nn.Module, x: str, is_core: bool) -> tuple[str, list[str], dict[str, Any]]:
        """Return the operator, the inputs and the attributes of the node of one module."""
        from onnx import helper

        if isinstance(part, CONVOLUTIONS + TRANSPOSED):
            attributes = {"kernel_shape": list(part.kernel_size), "strides": list(part.stride), "group": part.groups}
            attributes["dilations"] = list(part.dilation)
            keeps_padding = is_core and self.node.op_type in ("Conv", "ConvTranspose")
            old_attributes = {a.name: a for a in self.node.attribute} if keeps_padding else {}
            for key in ("pads", "auto_pad", "output_padding"):
                if key in old_attributes:
                    attributes[key] = helper.get_attribute_value(old_attributes[key])
            if not old_attributes:
                attributes["pads"] = [*part.padding, *part.padding]
            operator = "ConvTranspose" if isinstance(part, TRANSPOSED) else "Conv"
            return operator, [x, *self._constants(name, weight=part.weight, bias=part.bias)], attributes
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

        name = self._new_name(f"{self.node.name or self.node.output[0]}.{name}")
        tensor = numpy_helper.from_array(np.ascontiguousarray(value), name)
        self.graph.initializer.append(tensor)
        if self.lists_initializers:
            self.graph.input.append(helper.make_tensor_value_info(name, tensor.data_type, value.shape))
        return name

    def _new_name(self, name: str) -> str:
        """Return a name that the graph does not use yet."""
        while name in self.used_names:
            name += "_"
        self.used_names.add(name)
        return name


def _are_equal(a: nn.Module, b: nn.Module) -> bool:
    state_a, state_b = a.state_dict(), b.state_dict()
    if type(a) is not type(b) or state_a.keys() != state_b.keys():
        return False
    return all(torch.equal(value.cpu(), state_b[key]) for key, value in state_a.items())


def _without_unused(nodes: list[Any], used_before: set[str], outputs: set[str]) -> list[Any]:
    """Return the nodes without those whose outputs were used only by replaced nodes."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if any(name in needed or (name and name not in used_before) for name in node.output):
            kept.append(node)
            needed |= set(node.input)
    return kept[::-1]
