"""Every operator on the specification's own test cases."""

import warnings
from collections import defaultdict
from functools import cache

import numpy as np
import pytest
import torch

from workbench.catalog.onnx.model import OnnxModel
from workbench.catalog.onnx.operators import OPERATORS

onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.slow
TYPES = {"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"}
OTHERWISE = {
    "test_reduce_max_empty_set",  # of no elements
    "test_reduce_max_empty_set_bool",
    "test_reduce_min_empty_set",
    "test_resize_downsample_scales_cubic_align_corners",  # ONNX Runtime computes these as we do
    "test_resize_downsample_scales_linear_align_corners",
    "test_top_k_same_values",  # any order of equal values is right
    "test_top_k_same_values_2d",
    "test_top_k_same_values_largest",
}


@cache
def cases():
    """Operator -> (name, model, inputs, outputs) of the cases of graphs of our operators alone."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        collected = {case.name: case for case in collect_testcases(None)}
    found = defaultdict(list)
    for name, case in collected.items():
        if case.model is None or name in OTHERWISE or "training_dropout" in name:
            continue
        used = {node.op_type for node in case.model.graph.node}
        values = case.data_sets[0] if case.data_sets else ([], [])
        if any(isinstance(v, list | dict) for v in (*values[0], *values[1])):
            continue
        inputs, outputs = ([as_array(v) for v in part] for part in values)
        if used <= set(OPERATORS) and all(v.dtype.name in TYPES for v in (*inputs, *outputs)) and inputs:
            found[case.model.graph.node[0].op_type].append((name, case.model, inputs, outputs))
    return found


def as_array(value):
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def with_constants(model, inputs):
    """The model with its further inputs as constants, as in the files of networks."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for value, array in zip(list(made.graph.input)[1:], inputs[1:], strict=True):
        made.graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))
        made.graph.input.remove(value)
    return made


@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_it_gives_what_the_specification_says(operator):
    for name, model, inputs, outputs in cases()[operator]:
        opened = OnnxModel(with_constants(model, inputs)).eval()
        first = inputs[0].astype(np.float32) if inputs[0].dtype == np.float16 else inputs[0]
        with torch.no_grad():
            found = opened.run([torch.from_numpy(np.array(first))])
        for mine, wanted in zip(found.values() if isinstance(found, dict) else [found], outputs, strict=True):
            assert tuple(mine.shape) == wanted.shape, name
            np.testing.assert_allclose(
                np.asarray(mine, np.float64), wanted.astype(np.float64), 1e-3, 1e-5, err_msg=name
            )


def test_most_operators_have_cases():
    assert sum(bool(cases()[operator]) for operator in OPERATORS) >= 90
