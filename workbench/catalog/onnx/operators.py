"""ONNX operators as functions of tensors, which autograd and PyTorch's tracers can follow.

Each takes the node's attributes `a` and then its inputs: tensors, or NumPy arrays where the file or the shapes of
tensors determine the values. Specification: opset 7 to 23, https://onnx.ai/onnx/operators.
"""

from collections.abc import Callable
from functools import reduce
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Value = Tensor | np.ndarray
Attributes = dict[str, Any]
Operator = Callable[..., Any]

OPERATORS: dict[str, Operator] = {}
"""Operator -> its function; all others run in ONNX Runtime, which computes no gradients."""
CONSTANT_INPUTS = {"AveragePool", "Clip", "Dropout", "MaxPool", "Pad", "Resize", "Upsample"}
"""Operators whose inputs after the first are settings, which stay NumPy arrays."""
CASTS = {1: torch.float32, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32, 7: torch.int64, 9: torch.bool}
CASTS |= {10: torch.float32, 11: torch.float64, 16: torch.float32}  # half precision is computed in float32


def tensor(value: Value, like: Tensor | None = None) -> Tensor:
    """Return a value as a tensor, on the device of `like`."""
    if isinstance(value, Tensor):
        return value
    converted = torch.from_numpy(np.array(value))
    return converted if like is None else converted.to(like.device)


def tensors(*values: Value) -> list[Tensor]:
    """Return values, at least one of them a tensor, as tensors on its device."""
    like = next(value for value in values if isinstance(value, Tensor))
    return [tensor(value, like) for value in values]


def integers(value: Any) -> list[int]:
    """Return axes or sizes as a list; [] for None."""
    return [int(v) for v in np.asarray(value).reshape(-1).tolist()] if value is not None else []


def _unary(function: Callable[[Tensor], Tensor]) -> Operator:
    return lambda a, x, *_: function(x)


def _elementwise(function: Callable[..., Tensor]) -> Operator:
    """Return an operator of two or more inputs that are broadcast."""
    return lambda a, *inputs: reduce(function, tensors(*inputs))


def _divide(x: Tensor, y: Tensor) -> Tensor:
    are_integers = not (x.is_floating_point() or y.is_floating_point())
    return torch.div(x, y, rounding_mode="trunc" if are_integers else None)


def _clip(a: Attributes, x: Tensor, low: Value | None = None, high: Value | None = None) -> Tensor:
    minimum, maximum = (a.get(key) if v is None else v.item() for key, v in (("min", low), ("max", high)))
    return x.clamp(minimum, maximum) if minimum is not None or maximum is not None else x


def _axes(a: Attributes, axes: Value | None) -> list[int]:
    return integers(a.get("axes") if axes is None else axes)


def _reduction(function: Callable[[Tensor, list[int], bool], Tensor]) -> Operator:
    def run(a: Attributes, x: Tensor, axes: Value | None = None) -> Tensor:
        reduced = _axes(a, axes)
        if not reduced and a.get("noop_with_empty_axes"):
            return x
        return function(x, reduced or list(range(x.ndim)), bool(a.get("keepdims", 1)))

    return run


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((axis % x.ndim for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _arg_extreme(function: Callable[..., Tensor]) -> Operator:
    def run(a: Attributes, x: Tensor) -> Tensor:
        if a.get("select_last_index"):
            raise NotImplementedError("the last of several equal values")
        return function(x, dim=a.get("axis", 0), keepdim=bool(a.get("keepdims", 1)))

    return run


def _softmax(function: Callable[..., Tensor]) -> Operator:
    def run(a: Attributes, x: Tensor) -> Tensor:
        if a["opset"] >= 13:
            return function(x, dim=a.get("axis", -1))
        flat = x.flatten(a.get("axis", 1) % x.ndim)  # earlier opsets merge all axes from this one on
        return function(flat, dim=-1).reshape(x.shape)

    return run


def _unsqueeze(a: Attributes, x: Tensor, axes: Value | None = None) -> Tensor:
    new_axes = _axes(a, axes)
    for axis in sorted(axis % (x.ndim + len(new_axes)) for axis in new_axes):
        x = x.unsqueeze(axis)
    return x


def _concat(a: Attributes, *inputs: Value) -> Tensor:
    parts = tensors(*inputs)
    if a["axis"] % parts[0].ndim:  # a constant is repeated for each input of the batch
        n = next(len(x) for x in inputs if isinstance(x, Tensor))
        parts = [x.expand(n, *x.shape[1:]) if x.shape[0] == 1 else x for x in parts]
    return torch.cat(parts, a["axis"])


def _slice(a: Attributes, x: Tensor, *inputs: Value) -> Tensor:
    names = ("starts", "ends", "axes", "steps")
    settings = dict(zip(names, inputs, strict=False)) if inputs else a
    starts, ends = integers(settings["starts"]), integers(settings["ends"])
    axes = integers(settings.get("axes")) or list(range(len(starts)))
    steps = integers(settings.get("steps")) or [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        part = slice(start, None if step < 0 and end < -(2**31) else end, step)
        if step > 0:
            x = x[(*[slice(None)] * (axis % x.ndim), part)]
        else:
            x = x.index_select(axis, torch.tensor(range(x.shape[axis])[part], dtype=torch.long, device=x.device))
    return x


def _nonnegative(index: Tensor, size: int) -> Tensor:
    return torch.where(index < 0, index + size, index)


def _gather(a: Attributes, x: Value, indices: Value) -> Tensor:
    if isinstance(indices, np.ndarray) and indices.ndim == 0:
        return tensor(x).select(a.get("axis", 0), int(indices))
    x, index = tensors(x, indices)
    axis = a.get("axis", 0) % x.ndim
    selected = x.index_select(axis, _nonnegative(index.long().reshape(-1), x.shape[axis]))
    return selected.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def _cast(a: Attributes, x: Tensor) -> Tensor:
    if a["to"] not in CASTS:
        raise NotImplementedError(f"a cast to the data type {a['to']}")
    return x.to(CASTS[a["to"]])


def _split(a: Attributes, x: Tensor, sizes: Value | None = None) -> tuple[Tensor, ...]:
    axis = a.get("axis", 0)
    lengths = integers(a.get("split") if sizes is None else sizes)
    parts: tuple[Tensor, ...] = x.split(lengths or -(-x.shape[axis] // a["outputs"]), axis)
    return parts


def _gemm(a: Attributes, x: Value, y: Value, c: Value | None = None) -> Tensor:
    left, right = tensors(x, y)
    left, right = left.mT if a.get("transA") else left, right.mT if a.get("transB") else right
    product: Tensor = a.get("alpha", 1.0) * (left @ right)
    return product if c is None else product + a.get("beta", 1.0) * tensor(c, product)


def _layer_norm(a: Attributes, x: Tensor, scale: Value, bias: Value | None = None) -> Tensor:
    shape = x.shape[a.get("axis", -1) % x.ndim :]
    offset = None if bias is None else tensor(bias, x)
    return functional.layer_norm(x, shape, tensor(scale, x), offset, a.get("epsilon", 1e-5))


def _dropout(a: Attributes, x: Tensor, ratio: Value | None = None, training: Value | None = None) -> Tensor:
    if training is not None and bool(training.item()):
        raise NotImplementedError("dropout in training")
    return x


def _reshape(a: Attributes, x: Tensor, shape: Value) -> Tensor:
    sizes = integers(shape)
    return x.reshape([x.shape[i] if d == 0 and not a.get("allowzero") else d for i, d in enumerate(sizes)])


def _gather_elements(a: Attributes, x: Tensor, indices: Value) -> Tensor:
    axis = a.get("axis", 0)
    return x.gather(axis, _nonnegative(tensor(indices, x).long(), x.shape[axis]))


UNARY = ["Abs", "Ceil", "Cos", "Erf", "Exp", "Floor", "IsNaN", "Log", "Neg", "Reciprocal", "Relu", "Round", "Sigmoid"]
UNARY += ["Sign", "Sin", "Sqrt", "Tanh"]
BINARY: dict[str, Callable[..., Tensor]] = {
    **{"Equal": torch.eq, "Greater": torch.gt, "GreaterOrEqual": torch.ge, "Less": torch.lt, "LessOrEqual": torch.le},
    **{"And": torch.logical_and, "Or": torch.logical_or, "Xor": torch.logical_xor, "Max": torch.maximum},
    **{"Min": torch.minimum, "Div": _divide, "Sum": torch.add},
    **{name: getattr(torch, name.lower()) for name in ("Add", "MatMul", "Mul", "Pow", "Sub")},
}
OPERATORS |= {name: _unary(getattr(torch, name.lower())) for name in UNARY}
OPERATORS |= {name: _unary(getattr(functional, name.lower())) for name in ("HardSwish", "Mish", "Softplus", "Softsign")}
OPERATORS |= {name: _elementwise(function) for name, function in BINARY.items()}
OPERATORS |= {f"Reduce{name}": _reduction(getattr(torch, f"a{name.lower()}")) for name in ("Max", "Min")}
OPERATORS |= {f"Reduce{name}": _reduction(getattr(torch, name.lower())) for name in ("LogSumExp", "Mean", "Sum")}
OPERATORS |= {
    "ArgMax": _arg_extreme(torch.argmax),
    "ArgMin": _arg_extreme(torch.argmin),
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Dropout": _dropout,
    "Einsum": lambda a, *inputs: torch.einsum(a["equation"], *tensors(*inputs)),
    "Elu": lambda a, x: functional.elu(x, a.get("alpha", 1.0)),
    "Expand": lambda a, x, shape: x.expand(torch.broadcast_shapes(x.shape, tuple(integers(shape)))),
    "Flatten": lambda a, x: x.reshape(prod(x.shape[: a.get("axis", 1)]), -1) if a.get("axis", 1) else x.reshape(1, -1),
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "Gelu": lambda a, x: functional.gelu(x, approximate=a.get("approximate", "none")),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda a, x: x.mean(tuple(range(2, x.ndim)), True),
    "GlobalMaxPool": lambda a, x: x.amax(tuple(range(2, x.ndim)), True),
    "HardSigmoid": lambda a, x: (a.get("alpha", 0.2) * x + a.get("beta", 0.5)).clamp(0, 1),
    "Identity": lambda a, x: x,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda a, x: functional.leaky_relu(x, a.get("alpha", 0.01)),
    "LogSoftmax": _softmax(functional.log_softmax),
    "LpNormalization": lambda a, x: functional.normalize(x, a.get("p", 2), a.get("axis", -1)),
    "Mean": lambda a, *inputs: _elementwise(torch.add)(a, *inputs) / len(inputs),
    "Not": _unary(torch.logical_not),
    "PRelu": lambda a, x, slope: torch.where(x < 0, x * tensor(slope, x), x),
    "ReduceL1": _reduction(lambda x, axes, keep: x.abs().sum(axes, keep)),
    "ReduceL2": _reduction(lambda x, axes, keep: x.square().sum(axes, keep).sqrt()),
    "ReduceProd": _reduction(_product),
    "ReduceSumSquare": _reduction(lambda x, axes, keep: x.square().sum(axes, keep)),
    "Reshape": _reshape,
    "Selu": lambda a, x: a.get("gamma", 1.0507010221481323) * functional.elu(x, a.get("alpha", 1.6732631921768188)),
    "Slice": _slice,
    "Softmax": _softmax(functional.softmax),
    "Split": _split,
    "Squeeze": lambda a, x, axes=None: x.squeeze(tuple(_axes(a, axes)) or tuple(range(x.ndim))),
    "Tile": lambda a, x, repeats: x.repeat(integers(repeats)),
    "TopK": lambda a, x, k: torch.topk(x, integers(k)[0], a.get("axis", -1), bool(a.get("largest", 1)))[:2],
    "Transpose": lambda a, x: x.permute(a.get("perm") or tuple(range(x.ndim))[::-1]),
    "Unsqueeze": _unsqueeze,
    "Where": lambda a, *inputs: torch.where(*tensors(*inputs)),
}
