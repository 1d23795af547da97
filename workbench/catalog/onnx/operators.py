"""ONNX operators as functions of tensors, which autograd and PyTorch's tracers can follow.

Each takes the node's attributes and then its inputs: tensors, or NumPy arrays where the file or the shapes of tensors determine
the values. Sources: the operators' specification, opset 7 to 23, https://onnx.ai/onnx/operators.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from math import prod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Value = Tensor | np.ndarray
Attributes = dict[str, Any]
Operator = Callable[..., Any]

CONSTANT_INPUTS = {"AveragePool", "Clip", "MaxPool", "Pad", "Resize", "Upsample", "Dropout"}
"""Operators whose further inputs are settings, and stay NumPy arrays."""
MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}
CASTS = {1: torch.float32, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32, 7: torch.int64, 9: torch.bool}
CASTS |= {10: torch.float32, 11: torch.float64, 16: torch.float32}  # half precision is computed in float32


def tensor(value: Value, like: Tensor | None = None) -> Tensor:
    """Return a value as a tensor, on the device of `like`."""
    if isinstance(value, Tensor):
        return value
    made = torch.from_numpy(np.array(value))
    return made if like is None else made.to(like.device)


def integers(value: Any) -> list[int]:
    """Return axes, sizes and the like as a list."""
    return [int(v) for v in np.asarray(value).reshape(-1).tolist()] if value is not None else []


def _unary(function: Callable[[Tensor], Tensor]) -> Operator:
    return lambda a, x, *_: function(x)


def _elementwise(function: Callable[..., Tensor]) -> Operator:
    """Return an operator of two or more inputs that are broadcast."""

    def run(a: Attributes, *inputs: Value) -> Tensor:
        like = next(x for x in inputs if isinstance(x, Tensor))
        return reduce(function, (tensor(x, like) for x in inputs))

    return run


def _divide(x: Tensor, y: Tensor) -> Tensor:
    whole = not (x.is_floating_point() or y.is_floating_point())
    return torch.div(x, y, rounding_mode="trunc" if whole else None)


def _mean(a: Attributes, *inputs: Value) -> Tensor:
    total: Tensor = _elementwise(torch.add)(a, *inputs)
    return total / len(inputs)


def _axes(a: Attributes, axes: Value | None) -> list[int] | None:
    found = integers(a.get("axes") if axes is None else axes)
    return found or None


def _reduction(function: Callable[[Tensor, list[int], bool], Tensor]) -> Operator:
    def run(a: Attributes, x: Tensor, axes: Value | None = None) -> Tensor:
        over = _axes(a, axes)
        if over is None and a.get("noop_with_empty_axes"):
            return x
        return function(x, over or list(range(x.ndim)), bool(a.get("keepdims", 1)))

    return run


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((axis % x.ndim for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _extreme(function: Callable[..., Tensor]) -> Operator:
    def run(a: Attributes, x: Tensor) -> Tensor:
        return function(x, dim=a.get("axis", 0), keepdim=bool(a.get("keepdims", 1)))

    return run


def _softmax(function: Callable[..., Tensor]) -> Operator:
    def run(a: Attributes, x: Tensor) -> Tensor:
        if a["opset"] >= 13:
            return function(x, dim=a.get("axis", -1))
        flat = x.flatten(a.get("axis", 1) % x.ndim)  # before, all later axes were one
        return function(flat, dim=-1).reshape(x.shape)

    return run


def _clip(a: Attributes, x: Tensor, low: Value | None = None, high: Value | None = None) -> Tensor:
    least = a.get("min") if low is None else low.item()
    most = a.get("max") if high is None else high.item()
    return x.clamp(least, most) if least is not None or most is not None else x


def _reshape(a: Attributes, x: Tensor, shape: Value) -> Tensor:
    wanted = integers(shape)
    return x.reshape([x.shape[i] if d == 0 and not a.get("allowzero") else d for i, d in enumerate(wanted)])


def _flatten(a: Attributes, x: Tensor) -> Tensor:
    axis = a.get("axis", 1)
    return x.reshape(prod(x.shape[:axis]), -1) if axis else x.reshape(1, -1)


def _squeeze(a: Attributes, x: Tensor, axes: Value | None = None) -> Tensor:
    found = _axes(a, axes)
    return x.squeeze() if found is None else x.squeeze(tuple(found))


def _unsqueeze(a: Attributes, x: Tensor, axes: Value | None = None) -> Tensor:
    found = _axes(a, axes) or []
    for axis in sorted(axis % (x.ndim + len(found)) for axis in found):
        x = x.unsqueeze(axis)
    return x


def _transpose(a: Attributes, x: Tensor) -> Tensor:
    return x.permute(a.get("perm") or tuple(range(x.ndim))[::-1])


def _concat(a: Attributes, *inputs: Value) -> Tensor:
    like = next(x for x in inputs if isinstance(x, Tensor))
    parts = [tensor(x, like) for x in inputs]
    if a["axis"] % like.ndim:  # a constant is for each input of the batch
        parts = [x.expand(like.shape[0], *x.shape[1:]) if x.shape[0] == 1 else x for x in parts]
    return torch.cat(parts, a["axis"])


def _split(a: Attributes, x: Tensor, sizes: Value | None = None) -> tuple[Tensor, ...]:
    axis = a.get("axis", 0)
    wanted = integers(a.get("split") if sizes is None else sizes)
    if not wanted:
        each = -(-x.shape[axis] // a["outputs"])
        return x.split(each, axis)
    return x.split(wanted, axis)


def _slice(a: Attributes, x: Tensor, *inputs: Value) -> Tensor:
    names = ("starts", "ends", "axes", "steps")
    given = dict(zip(names, inputs, strict=False)) if inputs else {n: a[n] for n in names if n in a}
    starts, ends = integers(given["starts"]), integers(given["ends"])
    axes = integers(given.get("axes")) or list(range(len(starts)))
    steps = integers(given.get("steps")) or [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        places = range(x.shape[axis])[start:end:step] if step > 0 else range(x.shape[axis])[_bounds(start, end, step)]
        if step > 0:
            x = x.narrow(axis, places.start, max(0, places.stop - places.start)) if step == 1 else _every(x, axis, places)
        else:
            x = x.index_select(axis, torch.tensor(list(places), dtype=torch.long, device=x.device))
    return x


def _bounds(start: int, end: int, step: int) -> slice:
    return slice(start, None if end < -(2**31) else end, step)


def _every(x: Tensor, axis: int, places: range) -> Tensor:
    index = [slice(None)] * x.ndim
    index[axis] = slice(places.start, places.stop, places.step)
    return x[tuple(index)]


def _gather(a: Attributes, x: Value, indices: Value) -> Tensor:
    axis = a.get("axis", 0)
    if isinstance(indices, np.ndarray) and indices.ndim == 0:
        return tensor(x).select(axis, int(indices))
    like = x if isinstance(x, Tensor) else tensor(indices)
    x, index = tensor(x, like), tensor(indices, like).long()
    axis %= x.ndim
    index = torch.where(index < 0, index + x.shape[axis], index)
    taken = x.index_select(axis, index.reshape(-1))
    return taken.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def _expand(a: Attributes, x: Tensor, shape: Value) -> Tensor:
    return x.expand(torch.broadcast_shapes(x.shape, tuple(integers(shape))))


def _pad(a: Attributes, x: Tensor, pads: Value | None = None, value: Value | None = None, axes: Value | None = None) -> Tensor:
    amounts = integers(a.get("pads") if pads is None else pads)
    over = [axis % x.ndim for axis in integers(axes)] or list(range(x.ndim))
    ends = {axis: (amounts[i], amounts[i + len(over)]) for i, axis in enumerate(over)}
    first = min((axis for axis, both in ends.items() if any(both)), default=x.ndim)
    flat = [amount for axis in range(x.ndim - 1, first - 1, -1) for amount in ends.get(axis, (0, 0))]
    mode = MODES[a.get("mode", "constant")]
    if not flat:
        return x
    if mode == "constant":
        return F.pad(x, flat, value=float(a.get("value", 0.0) if value is None else value.item()))
    return F.pad(x, flat, mode=mode)


def window_pads(a: Attributes, size: Sequence[int], kernel: Sequence[int]) -> list[int]:
    """Return the padding of a convolution or pooling as ONNX writes it, begins before ends, for maps of that size."""
    n = len(kernel)
    how = a.get("auto_pad", "NOTSET")
    if how in ("NOTSET", ""):
        return list(a.get("pads") or [0] * 2 * n)
    if how == "VALID":
        return [0] * 2 * n
    strides, dilations = a.get("strides") or [1] * n, a.get("dilations") or [1] * n
    total = [
        max(0, (-(-d // s) - 1) * s + (k - 1) * e + 1 - d)
        for d, k, s, e in zip(size, kernel, strides, dilations, strict=True)
    ]
    small, large = [t // 2 for t in total], [t - t // 2 for t in total]
    return small + large if how == "SAME_UPPER" else large + small


def uneven(pads: Sequence[int]) -> list[int]:
    """Return what is to be padded beforehand, as `torch.nn.functional.pad` takes it; [] if both ends are equal."""
    n = len(pads) // 2
    if pads[:n] == pads[n:]:
        return []
    return [amount for axis in reversed(range(n)) for amount in (pads[axis], pads[axis + n])]


def _pool(a: Attributes, x: Tensor, average: bool) -> Tensor:
    kernel = a["kernel_shape"]
    n = len(kernel)
    pads, strides = window_pads(a, x.shape[2:], kernel), a.get("strides") or [1] * n
    ceil, dilations = bool(a.get("ceil_mode")), a.get("dilations") or [1] * n
    extra, inside = uneven(pads), not average or bool(a.get("count_include_pad"))
    if average and (any(d != 1 for d in dilations) or (extra and not inside)):
        raise NotImplementedError("average pooling with dilation or with uneven padding that does not count")
    if extra or any(2 * p > k for p, k in zip(pads, kernel, strict=False)):
        x = F.pad(x, extra or [p for p in reversed(pads[:n]) for _ in (0, 1)], value=0.0 if average else float("-inf"))
        pads = [0] * 2 * n
    if average:
        pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[n - 1]
        return pool(x, kernel, strides, pads[:n], ceil, inside)
    return (F.max_pool1d, F.max_pool2d, F.max_pool3d)[n - 1](x, kernel, strides, pads[:n], dilations, ceil)


def _max_pool(a: Attributes, x: Tensor) -> Tensor:
    if a["outputs"] > 1:
        raise NotImplementedError("max-pooling that gives indices")
    return _pool(a, x, average=False)


def _convolution(a: Attributes, x: Tensor, weight: Value, bias: Value | None = None) -> Tensor:
    """Convolve with computed weights; those that the file holds are a module's."""
    kernel = tensor(weight, x)
    n = x.ndim - 2
    pads = window_pads(a, x.shape[2:], kernel.shape[2:])
    extra = uneven(pads)
    if extra:
        x, pads = F.pad(x, extra), [0] * 2 * n
    function = (F.conv1d, F.conv2d, F.conv3d)[n - 1]
    offset = None if bias is None else tensor(bias, x)
    return function(x, kernel, offset, a.get("strides") or 1, pads[:n], a.get("dilations") or 1, a.get("group", 1))


def _gemm(a: Attributes, x: Value, y: Value, c: Value | None = None) -> Tensor:
    like = x if isinstance(x, Tensor) else tensor(y)
    left, right = tensor(x, like), tensor(y, like)
    product = a.get("alpha", 1.0) * ((left.mT if a.get("transA") else left) @ (right.mT if a.get("transB") else right))
    return product if c is None else product + a.get("beta", 1.0) * tensor(c, like)


def _batch_norm(a: Attributes, x: Tensor, scale: Value, bias: Value, mean: Value, var: Value) -> Tensor:
    return F.batch_norm(x, *(tensor(v, x) for v in (mean, var, scale, bias)), eps=a.get("epsilon", 1e-5))


def _instance_norm(a: Attributes, x: Tensor, scale: Value, bias: Value) -> Tensor:
    return F.instance_norm(x, weight=tensor(scale, x), bias=tensor(bias, x), eps=a.get("epsilon", 1e-5))


def _layer_norm(a: Attributes, x: Tensor, scale: Value, bias: Value | None = None) -> Tensor:
    shape = x.shape[a.get("axis", -1) % x.ndim :]
    offset = None if bias is None else tensor(bias, x)
    return F.layer_norm(x, shape, tensor(scale, x), offset, a.get("epsilon", 1e-5))


def _group_norm(a: Attributes, x: Tensor, scale: Value, bias: Value) -> Tensor:
    if a["opset"] < 21:
        raise NotImplementedError("group normalisation with one scale for each group")
    return F.group_norm(x, a["num_groups"], tensor(scale, x), tensor(bias, x), a.get("epsilon", 1e-5))


def _response_norm(a: Attributes, x: Tensor) -> Tensor:
    return F.local_response_norm(x, a["size"], a.get("alpha", 1e-4), a.get("beta", 0.75), a.get("bias", 1.0))


def _resize(a: Attributes, x: Tensor, *inputs: Value | None) -> Tensor:
    """Resize maps; modes that PyTorch has no equal of are left to ONNX Runtime."""
    given = [None, *inputs] if a["operator"] == "Upsample" else list(inputs)  # Upsample has no regions
    scales, sizes = (*given, None, None, None)[1:3]
    scales = a.get("scales") if scales is None else scales
    mode, where = a.get("mode", "nearest"), a.get("coordinate_transformation_mode", "half_pixel")
    if a["operator"] == "Upsample":
        where = "asymmetric"
    if a.get("axes") or a.get("antialias") or a.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise NotImplementedError("resizing with axes, antialiasing or a kept aspect ratio")
    size = integers(sizes)[2:] or [int(d * s) for d, s in zip(x.shape[2:], np.asarray(scales).reshape(-1)[2:].tolist(), strict=True)]
    whole = all(w % d == 0 for w, d in zip(size, x.shape[2:], strict=True))
    if mode == "nearest":
        floor = a.get("nearest_mode", "round_prefer_floor") == "floor" or a["operator"] == "Upsample"
        if whole and (where in ("asymmetric", "half_pixel") and (floor or where == "half_pixel")):
            return F.interpolate(x, size, mode="nearest")
    elif x.ndim == 4 and mode in ("linear", "cubic") and where in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        if mode == "linear" or a.get("cubic_coeff_a", -0.75) == -0.75:
            kind = {"linear": "bilinear", "cubic": "bicubic"}[mode]
            return F.interpolate(x, size, mode=kind, align_corners=where == "align_corners")
    raise NotImplementedError(f"resizing in the mode {mode}, {where}")


def _depth_to_space(a: Attributes, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    b = a["blocksize"]
    if a.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, b)
    return x.reshape(n, b, b, c // b**2, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // b**2, h * b, w * b)


def _space_to_depth(a: Attributes, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    b = a["blocksize"]
    return x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4).reshape(n, c * b**2, h // b, w // b)


def _top_k(a: Attributes, x: Tensor, k: Value) -> tuple[Tensor, Tensor]:
    values, indices = torch.topk(x, integers(k)[0], a.get("axis", -1), bool(a.get("largest", 1)))
    return values, indices


def _cast(a: Attributes, x: Tensor) -> Tensor:
    if a["to"] not in CASTS:
        raise NotImplementedError(f"a cast to the data type {a['to']}")
    return x.to(CASTS[a["to"]])


def _where(a: Attributes, condition: Value, x: Value, y: Value) -> Tensor:
    like = next(v for v in (condition, x, y) if isinstance(v, Tensor))
    return torch.where(*(tensor(v, like) for v in (condition, x, y)))


def _prelu(a: Attributes, x: Tensor, slope: Value) -> Tensor:
    return torch.where(x < 0, x * tensor(slope, x), x)


def _hard_sigmoid(a: Attributes, x: Tensor) -> Tensor:
    return (a.get("alpha", 0.2) * x + a.get("beta", 0.5)).clamp(0, 1)


def _gelu(a: Attributes, x: Tensor) -> Tensor:
    return F.gelu(x, approximate=a.get("approximate", "none"))


def _elements(a: Attributes, x: Tensor, indices: Value) -> Tensor:
    axis, index = a.get("axis", 0), tensor(indices, x).long()
    return x.gather(axis, torch.where(index < 0, index + x.shape[axis], index))


def _grid_sample(a: Attributes, x: Tensor, grid: Tensor) -> Tensor:
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(a.get("mode", "linear"), a.get("mode"))
    return F.grid_sample(x, grid, mode, a.get("padding_mode", "zeros"), bool(a.get("align_corners")))


OPERATORS: dict[str, Operator] = {
    **{
        name: _unary(function)
        for name, function in {
            "Abs": torch.abs, "Ceil": torch.ceil, "Cos": torch.cos, "Dropout": lambda x: x, "Erf": torch.erf,
            "Exp": torch.exp, "Floor": torch.floor, "GlobalAveragePool": lambda x: x.mean(tuple(range(2, x.ndim)), True),
            "GlobalMaxPool": lambda x: x.amax(tuple(range(2, x.ndim)), True), "HardSwish": F.hardswish,
            "Identity": lambda x: x, "IsInf": torch.isinf, "IsNaN": torch.isnan, "Log": torch.log, "Mish": F.mish,
            "Neg": torch.neg, "Not": torch.logical_not, "Reciprocal": torch.reciprocal, "Relu": torch.relu,
            "Round": torch.round, "Selu": F.selu, "Sigmoid": torch.sigmoid, "Sign": torch.sign, "Sin": torch.sin,
            "Softplus": F.softplus, "Softsign": F.softsign, "Sqrt": torch.sqrt, "Tanh": torch.tanh,
        }.items()
    },
    **{
        name: _elementwise(function)
        for name, function in {
            "Add": torch.add, "And": torch.logical_and, "Div": _divide, "Equal": torch.eq, "Greater": torch.gt,
            "GreaterOrEqual": torch.ge, "Less": torch.lt, "LessOrEqual": torch.le, "MatMul": torch.matmul,
            "Max": torch.maximum, "Min": torch.minimum, "Mul": torch.mul, "Or": torch.logical_or, "Pow": torch.pow,
            "Sub": torch.sub, "Sum": torch.add, "Xor": torch.logical_xor,
        }.items()
    },
    **{
        name: _reduction(function)
        for name, function in {
            "ReduceL1": lambda x, axes, keep: x.abs().sum(axes, keep),
            "ReduceL2": lambda x, axes, keep: x.square().sum(axes, keep).sqrt(),
            "ReduceLogSumExp": torch.logsumexp, "ReduceMax": torch.amax, "ReduceMean": torch.mean,
            "ReduceMin": torch.amin, "ReduceProd": _product, "ReduceSum": torch.sum,
            "ReduceSumSquare": lambda x, axes, keep: x.square().sum(axes, keep),
        }.items()
    },
    "ArgMax": _extreme(torch.argmax),
    "ArgMin": _extreme(torch.argmin),
    "AveragePool": lambda a, x: _pool(a, x, average=True),
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _convolution,
    "DepthToSpace": _depth_to_space,
    "Einsum": lambda a, *inputs: torch.einsum(a["equation"], *(tensor(x) for x in inputs)),
    "Elu": lambda a, x: F.elu(x, a.get("alpha", 1.0)),
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": _elements,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GridSample": _grid_sample,
    "GroupNormalization": _group_norm,
    "HardSigmoid": _hard_sigmoid,
    "InstanceNormalization": _instance_norm,
    "LRN": _response_norm,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)),
    "LogSoftmax": _softmax(F.log_softmax),
    "LpNormalization": lambda a, x: F.normalize(x, a.get("p", 2), a.get("axis", -1), eps=0.0),
    "MaxPool": _max_pool,
    "Mean": _mean,
    "PRelu": _prelu,
    "Pad": _pad,
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
    "Softmax": _softmax(F.softmax),
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": lambda a, x, repeats: x.repeat(integers(repeats)),
    "TopK": _top_k,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Upsample": _resize,
    "Where": _where,
}
"""Operator -> its function; all others run in ONNX Runtime, through which no gradient goes."""
