"""Find the layers of a network by tracing one forward pass of a copy."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isqrt, prod
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.nn.utils import parametrize
from torch.utils.flop_counter import FlopCounterMode

from workbench.kernels.complexity import ConvShape, Cost, total
from workbench.network.layers import CONVOLUTIONS, KINDS, TRANSPOSED, Layer
from workbench.network.network import Network, copy_model, first_line

MAX_IMAGE_CHANNELS = 4
"""Input channels of an image. A convolution with so few is reduced in its output channels only, as in the paper."""


@dataclass(frozen=True)
class Traced:
    """What a forward pass showed: the `layers` in the order of their first call, and the cost of all `other` parts."""

    layers: tuple[Layer, ...]
    other: Cost


def find_layers(network: Network) -> Traced:
    """Run a copy of the model once and write down every convolution and linear layer that is called.

    Only shapes are needed, so the run is on fake tensors, without arithmetic and memory, and on real ones if the model
    looks into its values.

    Returns
    -------
    Traced, with each call of a layer counted.

    Raises
    ------
    ValueError : if the model does not run on its input shape, saying what it said.
    """
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    try:
        with FakeCopyMode(fake):
            model = copy.deepcopy(network.model)
        with fake:
            return _run(network, model, fake)
    except Exception:  # whatever it was: real tensors show whether the model runs
        return _run(network, copy_model(network.model), None)


def _run(network: Network, model: nn.Module, fake: FakeTensorMode | None) -> Traced:
    names: dict[nn.Module, str] = {m: name for name, m in model.named_modules() if isinstance(m, KINDS)}
    found: dict[str, Layer] = {}
    last_map: Sequence[int] = ()
    flat: tuple[Tensor | None, Sequence[int]] = (None, ())

    def record(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        nonlocal last_map, flat
        name = names.get(module)
        if name is not None and args and isinstance(args[0], Tensor) and isinstance(output, Tensor):
            guess = last_map
            if isinstance(module, nn.Linear) and args[0].ndim == 2:
                # What follows a linear layer is no map any more, but another head may take the same flat input.
                if args[0] is not flat[0] and last_map:
                    flat = (args[0], last_map)
                guess, last_map = flat[1] if args[0] is flat[0] else (), ()
            called = _describe(name, module, args[0], output, network.maps.get(name, guess))
            known = found.get(name)
            if known is not None:
                positions = known.shape.positions + called.shape.positions
                called = replace(known, shape=replace(known.shape, positions=positions))
            found[name] = called
        if isinstance(output, Tensor) and output.ndim == 4:
            last_map = output.shape[1:]

    for module in model.modules():
        module.register_forward_hook(record)
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), counter:
            inputs = torch.utils._pytree.tree_map_only(
                Tensor, lambda x: fake.from_tensor(x) if fake else x.clone(), network.example_inputs()
            )
            model(*inputs)
    except Exception as error:
        raise ValueError(
            f"{network.name} does not run on one input of shape {network.input_shape} "
            f"(without the batch, channels first): {first_line(error)}"
        ) from error
    layers = _refuse_shared(model, list(found.values()))
    inside = total([layer.cost for layer in layers])
    other = Cost(network.weights - inside.weights, counter.get_total_flops() // 2 - inside.macs)
    return Traced(tuple(layers), other)


def _describe(name: str, module: nn.Module, given: Tensor, output: Tensor, last_map: Sequence[int] | None) -> Layer:
    if isinstance(module, nn.Linear):
        guess = last_map if given.ndim == 2 else None
        seen_map = _flattened_map(module.in_features, guess) if guess else None
        positions = prod(given.shape[1:-1])
        channels, size = (module.in_features, ()) if seen_map is None else (seen_map[0], seen_map[1:])
        calls = ((positions * prod(size), positions),)
        shape = ConvShape(channels, module.out_features, tuple(size), calls, 1, module.bias is not None)
        return _refuse(Layer(name, "linear", shape, "tucker2" if size else "tucker1"), module, "")
    assert isinstance(module, CONVOLUTIONS + TRANSPOSED)
    shape = ConvShape(
        module.in_channels,
        module.out_channels,
        tuple(module.kernel_size),
        ((prod(given.shape[2:]), prod(output.shape[2:])),),
        module.groups,
        module.bias is not None,
        isinstance(module, TRANSPOSED),
    )
    in_each, out_each = module.in_channels // module.groups, module.out_channels // module.groups
    reason = ""
    if module.groups > 1 and 1 in (in_each, out_each):
        reason = "a depthwise convolution has no channels to merge"
    elif shape.transposed and prod(module.kernel_size) == 1:
        reason = "a transposed 1x1 convolution is a factor already"
    one_sided = prod(module.kernel_size) == 1 or in_each <= MAX_IMAGE_CHANNELS
    return _refuse(Layer(name, "conv", shape, "tucker1" if one_sided else "tucker2"), module, reason)


def _flattened_map(features: int, last_map: Sequence[int]) -> tuple[int, int, int] | None:
    """Return (channels, height, width) of the map that was flattened to that many features, by the last map seen."""
    if not last_map:
        return None
    channels, height, width = last_map
    if channels * height * width == features and height * width > 1:
        return channels, height, width
    side = isqrt(features // channels)  # a pooling that is a function, not a module, came in between
    if side > 1 and channels * side * side == features:
        return channels, side, side
    return None


def _refuse(layer: Layer, module: nn.Module, reason: str) -> Layer:
    own = next(kind for kind in KINDS if isinstance(module, kind))
    if parametrize.is_parametrized(module) or not isinstance(module.weight, nn.Parameter):
        reason = "its weight is computed by a parametrization; remove that first"
    elif type(module).forward is not own.forward:
        reason = f"{type(module).__name__} has a forward of its own"
    return replace(layer, method="keep", reason=reason) if reason else layer


def _refuse_shared(model: nn.Module, layers: list[Layer]) -> list[Layer]:
    """Raise ValueError if several modules share a weight tensor, since they cannot be replaced one by one."""
    owners: dict[int, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    shared = "its weights are shared with another layer"
    return [
        replace(layer, method="keep", reason=shared)
        if owners.get(id(model.get_submodule(layer.name).weight), 1) > 1
        else layer
        for layer in layers
    ]
