"""ONNX files written node by node."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")


def saved(path, nodes, taken, given, *, opset=15, **constants):
    """Write a file whose nodes (operator, inputs, outputs, attributes) compute "y" from "x", of these shapes."""
    h = onnx.helper
    values = [h.make_tensor_value_info(name, 1, shape) for name, shape in (("x", taken), ("y", given))]
    weights = [onnx.numpy_helper.from_array(np.array(value), name) for name, value in constants.items()]
    made = [h.make_node(*node, **attributes) for *node, attributes in nodes]
    graph = h.make_graph(made, "g", values[:1], values[1:], weights)
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", opset)], ir_version=8), path)
    return path


def relu(path, *shape):
    """Write a file that computes the ReLU of inputs of this shape."""
    return saved(path, [("Relu", ["x"], ["y"], {})], shape, shape)
