"""ONNX operators on feature maps (n, channels, ...): convolution, pooling, padding, resizing, normalisation."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torch.nn import functional

from workbench.catalog.onnx.operators import OPERATORS, Attributes, Value, integers, tensor

PADDING = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}
INTERPOLATION = {"linear": "bilinear", "cubic": "bicubic"}
"""Modes in ONNX -> in PyTorch."""


def window_pads(a: Attributes, size: Sequence[int], kernel: Sequence[int]) -> list[int]:
    """Return the padding of a convolution or pooling of maps of a size, in ONNX's order: all begins, then all ends."""
    n = len(kernel)
    auto_pad = a.get("auto_pad", "NOTSET")
    if auto_pad in ("NOTSET", ""):
        return list(a.get("pads") or [0] * 2 * n)
    if auto_pad == "VALID":
        return [0] * 2 * n
    strides, dilations = a.get("strides") or [1] * n, a.get("dilations") or [1] * n
    totals = [
        max(0, (-(-d // s) - 1) * s + (k - 1) * e + 1 - d)
        for d, k, s, e in zip(size, kernel, strides, dilations, strict=True)
    ]
    small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return small + large if auto_pad == "SAME_UPPER" else large + small


def reversed_pads(pads: Sequence[int]) -> list[int]:
    """Return padding in ONNX's order as `torch.nn.functional.pad` takes it."""
    n = len(pads) // 2
    return [amount for axis in reversed(range(n)) for amount in (pads[axis], pads[axis + n])]


def explicit_pads(pads: Sequence[int]) -> list[int]:
    """Return uneven padding as `torch.nn.functional.pad` takes it; [] if both ends are equal, which layers can do."""
    return [] if pads[: len(pads) // 2] == pads[len(pads) // 2 :] else reversed_pads(pads)


def _pool(a: Attributes, x: Tensor, average: bool) -> Tensor:
    kernel = a["kernel_shape"]
    n = len(kernel)
    if not average and a["outputs"] > 1:
        raise NotImplementedError("max-pooling that gives indices")
    pads, strides = window_pads(a, x.shape[2:], kernel), a.get("strides") or [1] * n
    ceil, dilations = bool(a.get("ceil_mode")), a.get("dilations") or [1] * n
    count_padding = not average or bool(a.get("count_include_pad"))
    # PyTorch's pooling pads both ends alike, by at most half the kernel.
    needs_explicit_pad = bool(explicit_pads(pads)) or any(2 * p > k for p, k in zip(pads, kernel, strict=False))
    if average and (any(d != 1 for d in dilations) or (needs_explicit_pad and not count_padding)):
        raise NotImplementedError("average pooling with dilation, or with such padding that does not count")
    if needs_explicit_pad:
        x, pads = functional.pad(x, reversed_pads(pads), value=0.0 if average else float("-inf")), [0] * 2 * n
    if average:
        pool = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)[n - 1]
        return pool(x, kernel, strides, pads[:n], ceil, count_padding)
    return (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[n - 1](
        x, kernel, strides, pads[:n], dilations, ceil
    )


def _convolution(a: Attributes, x: Tensor, weight: Value, bias: Value | None = None) -> Tensor:
    """Convolve with computed weights; a convolution with constant weights is a module."""
    kernel = tensor(weight, x)
    n = x.ndim - 2
    pads = window_pads(a, x.shape[2:], kernel.shape[2:])
    if uneven := explicit_pads(pads):
        x, pads = functional.pad(x, uneven), [0] * 2 * n
    function = (functional.conv1d, functional.conv2d, functional.conv3d)[n - 1]
    offset = None if bias is None else tensor(bias, x)
    return function(x, kernel, offset, a.get("strides") or 1, pads[:n], a.get("dilations") or 1, a.get("group", 1))


def _group_norm(a: Attributes, x: Tensor, scale: Value, bias: Value) -> Tensor:
    if a["opset"] < 21:
        raise NotImplementedError("group normalisation with one scale for each group")
    return functional.group_norm(x, a["num_groups"], tensor(scale, x), tensor(bias, x), a.get("epsilon", 1e-5))


def _resize(a: Attributes, x: Tensor, *inputs: Value | None) -> Tensor:
    """Resize maps; NotImplementedError for modes that PyTorch lacks, which ONNX Runtime computes."""
    is_upsample = a["operator"] == "Upsample"
    settings = [None, *inputs] if is_upsample else list(inputs)  # Upsample has no regions
    scales, sizes = (*settings, None, None, None)[1:3]
    scales = a.get("scales") if scales is None else scales
    mode = a.get("mode", "nearest")
    coordinates = "asymmetric" if is_upsample else a.get("coordinate_transformation_mode", "half_pixel")
    if a.get("axes") or a.get("antialias") or a.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise NotImplementedError("resizing with axes, antialiasing or a kept aspect ratio")
    factors = np.asarray(scales).reshape(-1)[2:].tolist()
    size = integers(sizes)[2:] or [int(d * f) for d, f in zip(x.shape[2:], factors, strict=True)]
    if not integers(sizes) and any(w != d * f for w, d, f in zip(size, x.shape[2:], factors, strict=True)):
        raise NotImplementedError("resizing by factors that give no whole size")
    nearest = a.get("nearest_mode", "round_prefer_floor")
    if mode == "nearest":
        is_multiple = all(w % d == 0 for w, d in zip(size, x.shape[2:], strict=True))
        is_rounded = coordinates == "half_pixel" and nearest.startswith("round")
        is_floored = coordinates == "asymmetric" and (nearest == "floor" or is_upsample)
        if is_multiple and (is_rounded or is_floored):
            return functional.interpolate(x, size, mode="nearest")
    elif x.ndim == 4 and mode in INTERPOLATION and coordinates in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        is_supported = mode == "linear" or a.get("cubic_coeff_a", -0.75) == -0.75
        if is_supported and not a.get("exclude_outside") and min(size) > 1:
            align_corners = coordinates == "align_corners"
            return functional.interpolate(x, size, mode=INTERPOLATION[mode], align_corners=align_corners)
    raise NotImplementedError(f"resizing in the mode {mode}, {coordinates}")


def _pad(
    a: Attributes, x: Tensor, pads: Value | None = None, value: Value | None = None, axes: Value | None = None
) -> Tensor:
    amounts = integers(a.get("pads") if pads is None else pads)
    padded = [axis % x.ndim for axis in integers(axes)] or list(range(x.ndim))
    ends = {axis: (amounts[i], amounts[i + len(padded)]) for i, axis in enumerate(padded)}
    first = min((axis for axis, pair in ends.items() if any(pair)), default=x.ndim)
    flat = [amount for axis in range(x.ndim - 1, first - 1, -1) for amount in ends.get(axis, (0, 0))]
    mode = PADDING[a.get("mode", "constant")]
    if not flat:
        return x
    if mode == "constant":
        return functional.pad(x, flat, value=float(a.get("value", 0.0) if value is None else value.item()))
    return functional.pad(x, flat, mode=mode)


def _depth_to_space(a: Attributes, x: Tensor) -> Tensor:
    b = a["blocksize"]
    if a.get("mode", "DCR") != "CRD":
        x = x.unflatten(1, (b * b, -1)).transpose(1, 2).flatten(1, 2)
    return functional.pixel_shuffle(x, b)


def _space_to_depth(a: Attributes, x: Tensor) -> Tensor:
    b = a["blocksize"]
    y = functional.pixel_unshuffle(x, b)
    return y if a.get("mode", "DCR") == "CRD" else y.unflatten(1, (-1, b * b)).transpose(1, 2).flatten(1, 2)


def _grid_sample(a: Attributes, x: Tensor, grid: Tensor) -> Tensor:
    mode: str = a.get("mode", "linear")
    mode = INTERPOLATION.get(mode, mode)
    return functional.grid_sample(x, grid, mode, a.get("padding_mode", "zeros"), bool(a.get("align_corners")))


OPERATORS |= {
    "AveragePool": lambda a, x: _pool(a, x, average=True),
    "BatchNormalization": lambda a, x, scale, bias, mean, var: functional.batch_norm(
        x, tensor(mean, x), tensor(var, x), tensor(scale, x), tensor(bias, x), eps=a.get("epsilon", 1e-5)
    ),
    "Conv": _convolution,
    "DepthToSpace": _depth_to_space,
    "GridSample": _grid_sample,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": lambda a, x, scale, bias: functional.instance_norm(
        x, weight=tensor(scale, x), bias=tensor(bias, x), eps=a.get("epsilon", 1e-5)
    ),
    "LRN": lambda a, x: functional.local_response_norm(
        x, a["size"], a.get("alpha", 1e-4), a.get("beta", 0.75), a.get("bias", 1.0)
    ),
    "MaxPool": lambda a, x: _pool(a, x, average=False),
    "Pad": _pad,
    "Resize": _resize,
    "SpaceToDepth": _space_to_depth,
    "Upsample": _resize,
}
