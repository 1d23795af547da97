"""Which layers a network has, what each costs, and whether it can be factorised: from one traced forward pass."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import isqrt, prod
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils import parametrize
from torch.utils.flop_counter import FlopCounterMode

from workbench.kernels.complexity import ConvShape, Cost, dense_cost, total
from workbench.network.data import evaluating
from workbench.network.network import Network

FEW_CHANNELS = 4
"""With so few input channels (an image's) there is nothing to reduce on that side: Tucker-1, as in the paper."""


@dataclass(frozen=True)
class Layer:
    """One convolution or linear layer.

    Attributes
    ----------
    name : as in ``model.named_modules()``.
    kind : "conv" or "linear".
    shape : its geometry. A linear layer right after a flatten is seen as a convolution with a kernel as large as its
        input map, and then has a kernel size.
    method : "tucker2", "tucker1", or "keep" if it cannot be factorised.
    reason : why not, if it cannot.
    """

    name: str
    kind: str
    shape: ConvShape
    method: str
    reason: str = ""

    @cached_property
    def cost(self) -> Cost:
        """Dense cost: weights (biases included) and MACs of one input."""
        return dense_cost(self.shape)

    @property
    def pointwise(self) -> bool:
        """Whether it is a 1x1 convolution."""
        return self.kind == "conv" and prod(self.shape.kernel_size) == 1

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """(out_channels, in_channels per group, *kernel_size)."""
        s = self.shape
        return (s.out_channels, s.in_channels // s.groups, *s.kernel_size)

    @property
    def max_ranks(self) -> tuple[int, int]:
        """(largest rank_in, largest rank_out), those of each group if there are groups."""
        return self.shape.in_channels // self.shape.groups, self.shape.out_channels // self.shape.groups

    def describe(self) -> str:
        """Like "64 -> 128, 3x3", "64 -> 64, 3x3, 2 groups" or "512 -> 10"."""
        parts = [f"{self.shape.in_channels} -> {self.shape.out_channels}"]
        if self.shape.kernel_size:
            parts.append("x".join(map(str, self.shape.kernel_size)) + ("T" if self.shape.transposed else ""))
        if self.shape.groups > 1:
            parts.append(f"{self.shape.groups} groups")
        return ", ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Layer":
        """Inverse of :meth:`to_dict`, after a trip through JSON."""
        shape = dict(values["shape"])
        shape["kernel_size"] = tuple(shape["kernel_size"])
        shape["positions"] = tuple((int(i), int(o)) for i, o in shape["positions"])
        return cls(**{**values, "shape": ConvShape(**shape)})


@dataclass(frozen=True)
class Traced:
    """What a forward pass showed: the `layers` in the order of their first call, and the cost of all `other` parts."""

    layers: tuple[Layer, ...]
    other: Cost


CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
KINDS = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear)


def weight_shape(layer: Layer) -> tuple[int, ...]:
    """Shape of the module's weight tensor, as PyTorch stores it."""
    shape = layer.shape
    if layer.kind == "linear":
        return shape.out_channels, shape.in_channels * prod(shape.kernel_size)
    if shape.transposed:
        return shape.in_channels, shape.out_channels // shape.groups, *shape.kernel_size
    return layer.kernel_shape


def kernel_of(module: nn.Module, layer: Layer) -> Tensor:
    """The layer's weight as a kernel (out_channels, in_channels per group, ...).

    A linear layer's is reshaped to its map; a transposed convolution keeps (in, out), which is turned round within
    each group.
    """
    weight = module.weight
    assert isinstance(weight, Tensor)
    if layer.shape.transposed:
        parts = [part.transpose(0, 1) for part in weight.detach().chunk(layer.shape.groups)]
        return torch.cat(parts)
    return weight.detach().reshape(layer.kernel_shape)


def find_layers(network: Network) -> Traced:
    """Run the model once and write down every convolution and linear layer that was called.

    Only shapes are needed, so the run is on fake tensors, without arithmetic, and on real ones if the model looks
    into its values.

    Returns
    -------
    Traced, with each call of a layer counted. The model and its training mode are left as they were.

    Raises
    ------
    ValueError : if the model does not run on its input shape, saying what it said.
    """
    try:
        with warnings.catch_warnings(), FakeTensorMode(allow_non_fake_inputs=True) as fake:
            warnings.simplefilter("ignore")
            return _run(network, fake)
    except Exception:  # whatever it was: real tensors show whether the model runs
        return _run(network, None)


def _run(network: Network, fake: FakeTensorMode | None) -> Traced:
    model = network.model
    watched: dict[nn.Module, str] = {m: name for name, m in model.named_modules() if isinstance(m, KINDS)}
    found: dict[str, Layer] = {}
    last_map: Sequence[int] = ()
    flat: tuple[Tensor | None, Sequence[int]] = (None, ())

    def see(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        nonlocal last_map, flat
        name = watched.get(module)
        if name is not None and args and isinstance(args[0], Tensor) and isinstance(output, Tensor):
            guess = last_map
            if isinstance(module, nn.Linear) and args[0].ndim == 2:
                # What follows a linear layer is no map any more, but another head may take the same flat input.
                if args[0] is not flat[0] and last_map:
                    flat = (args[0], last_map)
                guess, last_map = flat[1] if args[0] is flat[0] else (), ()
            seen = _describe(name, module, args[0], output, network.maps.get(name, guess))
            known = found.get(name)
            if known is not None:
                positions = known.shape.positions + seen.shape.positions
                seen = replace(known, shape=replace(known.shape, positions=positions))
            found[name] = seen
        if isinstance(output, Tensor) and output.ndim == 4:
            last_map = output.shape[1:]

    hooks = [m.register_forward_hook(see) for m in model.modules()]
    counter = FlopCounterMode(display=False)
    try:
        with evaluating(model), torch.no_grad(), counter:
            inputs = _inputs(network)
            model(*(fake.from_tensor(x) if fake and isinstance(x, Tensor) else x for x in inputs))
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"{network.name} does not run on one input of shape {network.input_shape} "
            f"(without the batch, channels first): {first}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()

    layers = _refuse_shared(model, list(found.values()))
    inside = total([layer.cost for layer in layers])
    other = Cost(network.weights - inside.weights, counter.get_total_flops() // 2 - inside.macs)
    return Traced(tuple(layers), other)


def _inputs(network: Network) -> tuple[Any, ...]:
    if network.example is not None:
        return network.example
    like = next((p for p in network.model.parameters() if p.is_floating_point()), torch.zeros(()))
    return (torch.zeros(1, *network.input_shape, dtype=like.dtype, device=like.device),)


def measured_cost(network: Network) -> Cost:
    """Weights and MACs of a network as it is, counted on the model and on a traced forward pass."""
    traced = find_layers(network)
    return total([layer.cost for layer in traced.layers]) + traced.other


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
    one_sided = prod(module.kernel_size) == 1 or in_each <= FEW_CHANNELS
    return _refuse(Layer(name, "conv", shape, "tucker1" if one_sided else "tucker2"), module, reason)


def _flattened_map(features: int, last_map: Sequence[int]) -> tuple[int, int, int] | None:
    """(channels, height, width) whose flattening has that many features, judging by the last map seen."""
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
    """Layers whose weight tensor belongs to several modules cannot be replaced one by one."""
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
