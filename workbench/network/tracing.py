"""Find the layers of a network by tracing one forward pass."""

import copy
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from math import isqrt, prod
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.weak import WeakTensorKeyDictionary

from workbench.kernels.complexity import ConvShape, Cost, total
from workbench.network.layers import LAYER_CLASSES, TRANSPOSED, Layer
from workbench.network.network import Network, copy_model, first_line
from workbench.network.outputs import call, size_of

INNER_PARTS = ("backbone", "encoder", "features", "model")
"""Names of the parts of larger models, like detectors, that take a tensor."""
MAX_IMAGE_CHANNELS = 4
"""Largest number of channels of an image. As in the paper, only the output channels of its convolution are reduced."""


@dataclass(frozen=True)
class Node:
    """A node in the graph of values of a network.

    Attributes
    ----------
    kind : "layer"; "again" for a further call of a layer; "input"; "output"; or an operation on several values:
        "add", "mul", "cat", or "join" for any other. Operations on a single value have no node.
    name : of the layer.
    inputs : numbers of the nodes whose values it takes.
    """

    kind: str
    name: str = ""
    inputs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Traced:
    """Layers, cost and graph of a network.

    Attributes
    ----------
    layers : in the order of their first call.
    other : cost of everything else.
    graph : nodes of the layers and of the operations on several values, each after its inputs.
    """

    layers: tuple[Layer, ...]
    other: Cost
    graph: tuple[Node, ...] = ()

    @property
    def total(self) -> Cost:
        """Cost of the network."""
        return total(layer.cost for layer in self.layers) + self.other


def find_layers(network: Network) -> Traced:
    """Run a copy of the model once and return every convolution and linear layer that is called.

    The run is on fake tensors, which have shapes only and need no arithmetic and memory; on real tensors if the model
    reads values. Raises ValueError if the model does not run on its input shape.
    """
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    try:
        with FakeCopyMode(fake):
            model = copy.deepcopy(network.model)
        with fake:
            return _trace(network, model, fake)
    except Exception:  # the model's code may raise anything on fake tensors
        return _trace(network, copy_model(network.model), None)


def _trace(network: Network, model: nn.Module, fake: FakeTensorMode | None) -> Traced:
    names: dict[nn.Module, str] = {m: name for name, m in model.named_modules() if isinstance(m, LAYER_CLASSES)}
    # a module with several names is listed once for each
    modules = [model, *(child for m in model.modules() for child in m._modules.values() if child is not None)]
    owners = Counter(id(p) for module in modules for p in module.parameters(recurse=False))
    layers: dict[str, Layer] = {}
    multi_input: set[str] = set()
    inputs = tree_map_only(Tensor, fake.from_tensor if fake else torch.clone, network.example_inputs())
    batch = max(1, size_of(inputs))
    flow = _Flow(inputs)
    last_map: Sequence[int] = ()
    flattened: tuple[Tensor | None, Sequence[int]] = (None, ())  # the last flat input, and the map it was made of

    def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        nonlocal last_map, flattened, batch
        name = names.get(module)
        if name is not None and args and isinstance(args[0], Tensor) and isinstance(output, Tensor):
            if not layers and len(args[0]) % batch:  # the first tensor is not a batch, but one image of a list
                batch = len(args[0])
            flow.add("again" if name in layers else "layer", flow.sources(args), output, name)
            guess = last_map
            if isinstance(module, nn.Linear) and args[0].ndim == 2:
                # A linear layer's output is not a map, but another head may take the same flat input.
                if args[0] is not flattened[0] and last_map:
                    flattened = (args[0], last_map)
                guess, last_map = flattened[1] if args[0] is flattened[0] else (), ()
            shape = _shape(module, args[0], output, network.maps.get(name, guess), batch)
            if name in layers:
                first = layers[name].shape
                shape = replace(first, positions=first.positions + shape.positions)
            layers[name] = _layer(name, module, shape, owners)
            if len(args) > 1 or kwargs:
                multi_input.add(name)
        if isinstance(output, Tensor) and output.ndim == 4:
            last_map = output.shape[1:]

    hooks = [module.register_forward_hook(record, with_kwargs=True) for module in model.modules()]
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), counter, flow:
            outputs = call(model, inputs)
    except Exception as error:
        expected = f"one input of shape {network.input_shape} (without the batch, channels first)"
        inner = next((name for name, _ in model.named_children() if name in INNER_PARTS), None)
        hint = f"; if it takes no tensor, give the part that takes one: model.{inner}" if inner else ""
        raise ValueError(f"{network.name} does not run on {expected}: {first_line(error)}{hint}") from error
    for hook in hooks:
        hook.remove()
    usable = {name for name, layer in layers.items() if layer.method != "keep"}
    reasons = dict.fromkeys(usable & multi_input, "it is called with more than its input")
    reasons |= _irreplaceable(model, usable - multi_input, inputs, fake)
    for name, reason in reasons.items():
        layers[name] = replace(layers[name], method="keep", reason=reason)
    cost = total(layer.cost for layer in layers.values())
    other = Cost(network.weights - cost.weights, max(0, counter.get_total_flops() // (2 * batch) - cost.macs))
    return Traced(tuple(layers.values()), other, flow.graph(outputs))


class _Flow(TorchFunctionMode):
    """Records which layers and operations each value comes from.

    A layer whose input comes from none, as after a conversion to numpy, counts as a successor of the last node.
    """

    def __init__(self, inputs: Any) -> None:
        super().__init__()
        self.nodes = [Node("input")]
        self.origin = WeakTensorKeyDictionary()  # tensor -> number of the node that it comes from
        self.parts: dict[int, frozenset[int]] = {}  # concatenation -> the nodes that it consists of
        self._set_origin(inputs, 0)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        changed = args[0] if output is None and args else output  # like `x[i] = y`
        sources = self._origins((args, kwargs))
        if sources and any(isinstance(x, Tensor) for x in tree_leaves(changed)):
            if len(sources) == 1:
                self._set_origin(changed, sources[0])
            else:
                self.join(_node_kind(getattr(func, "__name__", "")), sources, changed)
        return output

    def sources(self, values: Any) -> list[int]:
        """Return the nodes that values come from; the last node where that is unknown."""
        return self._origins(values) or [len(self.nodes) - 1]

    def add(self, kind: str, sources: Sequence[int], output: Any, name: str = "") -> None:
        """Add the node that computes an output."""
        self.nodes.append(Node(kind, name, tuple(sources)))
        self._set_origin(output, len(self.nodes) - 1)

    def join(self, kind: str, sources: list[int], output: Any) -> None:
        """Add a node for an operation on several values, unless one of them was computed from all others.

        A concatenation that contains an earlier one takes that as its input, in place of the parts.
        """
        for i in reversed(sources):
            if self.nodes[i].kind not in ("layer", "input") and {*sources} <= {i, *self.nodes[i].inputs}:
                return self._set_origin(output, i)
        if kind == "cat":
            parts_of = {i: self.parts.get(i, frozenset({i})) for i in sources}
            parts = frozenset().union(*parts_of.values())
            earlier = next((i for i in reversed(self.parts) if self.parts[i] < parts), None)
            if earlier is not None and earlier not in sources:
                sources = [earlier, *(i for i in sources if not parts_of[i] <= self.parts[earlier])]
            self.parts[len(self.nodes)] = parts
        self.add(kind, sources, output)
        return None

    def graph(self, outputs: Any) -> tuple[Node, ...]:
        """Return the inputs, the layers, the output and all nodes that lead to them."""
        nodes = [*self.nodes, Node("output", inputs=tuple(self.sources(outputs)))]
        used = {len(nodes) - 1}
        for i in reversed(range(len(nodes))):
            if i in used or nodes[i].kind in ("layer", "input"):
                used |= {i, *nodes[i].inputs}
        new_numbers = {old: new for new, old in enumerate(sorted(used))}
        return tuple(replace(nodes[i], inputs=tuple(new_numbers[j] for j in nodes[i].inputs)) for i in new_numbers)

    def _origins(self, values: Any) -> list[int]:
        tensors = [x for x in tree_leaves(values) if isinstance(x, Tensor)]
        return list(dict.fromkeys(self.origin[x] for x in tensors if x in self.origin))

    def _set_origin(self, values: Any, node: int) -> None:
        for x in tree_leaves(values):
            if isinstance(x, Tensor):
                self.origin[x] = node


def _node_kind(name: str) -> str:
    """Return the node kind of a PyTorch function by its name: "add" for `add_` and `__iadd__`."""
    stripped = re.sub("^[ir](?=add|mul)", "", name.strip("_"))
    kinds = {"concat": "cat", "concatenate": "cat", "stack": "cat", "multiply": "mul", "sub": "add"}
    kind = kinds.get(stripped, stripped)
    return kind if kind in ("add", "mul", "cat") else "join"


class _Watched(nn.Sequential):
    """A layer inside a ``Sequential``, as its factors will be; `on_read` is called if one of its attributes is read."""

    def __init__(self, layer: nn.Module, on_read: Callable[[], object]) -> None:
        super().__init__(OrderedDict(core=layer))
        self.on_read = on_read

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if "core" not in self._modules:  # in __init__
                raise
            self.on_read()
            return getattr(self.core, name)


def _irreplaceable(model: nn.Module, names: Set[str], inputs: Any, fake: FakeTensorMode | None) -> dict[str, str]:
    """Run a model with its layers wrapped in other modules; return the layers that cannot be replaced, with the reason.

    Raises the model's error if it is run on fake tensors.
    """
    reasons: dict[str, str] = {}
    reason = "the model reads its attributes, like its weight, from outside of it"
    layers = {name: model.get_submodule(name) for name in names}
    watched = {layer: _Watched(layer, partial(reasons.__setitem__, name, reason)) for name, layer in layers.items()}
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if child in watched and not isinstance(module, _Watched):
                setattr(module, name, watched[child])
    try:
        with torch.no_grad():
            call(model, inputs)
    except Exception:  # the model's code may raise anything; it would with factors, too
        if fake:
            raise
        return dict.fromkeys(names, "the model does not run with other modules in the place of its layers")
    return reasons


def _shape(module: Any, x: Tensor, output: Tensor, last_map: Sequence[int] | None, batch: int) -> ConvShape:
    """Return a layer's shape from a call with input `x`, which may have several maps, like windows, for each image."""
    bias, size = module.bias is not None, () if isinstance(module, nn.Linear) else tuple(module.kernel_size)
    maps = max(1, len(x) // batch) if x.ndim > len(size) + 1 else 1
    if not size:
        features, *map_size = _flattened_map(module.in_features, last_map if x.ndim == 2 else None)
        positions = maps * prod(x.shape[1:-1])
        calls = ((positions * prod(map_size), positions),)
        return ConvShape(features, module.out_features, tuple(map_size), calls, bias=bias)
    calls = ((maps * prod(x.shape[-len(size) :]), maps * prod(output.shape[-len(size) :])),)
    channels = (module.in_channels, module.out_channels)
    return ConvShape(*channels, size, calls, module.groups, bias, isinstance(module, TRANSPOSED))


def _flattened_map(features: int, last_map: Sequence[int] | None) -> tuple[int, ...]:
    """Return (channels, height, width) of the map that was flattened to these features; (features,) if none fits."""
    if last_map:
        channels, height, width = last_map
        side = isqrt(features // channels)  # after a pooling that is a function, which no hook sees
        for size in ((height, width), (side, side)):
            if channels * prod(size) == features and prod(size) > 1:
                return channels, *size
    return (features,)


def _layer(name: str, module: Any, shape: ConvShape, owners: Mapping[int, int]) -> Layer:
    """Return the layer with its method; `owners` counts the modules that hold a parameter, by its id."""
    kind = "linear" if isinstance(module, nn.Linear) else "conv"
    pointwise = prod(shape.kernel_size) == 1
    if parametrize.is_parametrized(module) or not isinstance(module.weight, nn.Parameter):
        reason = "its weight is computed by a parametrization; remove that first"
    elif owners[id(module.weight)] > 1:
        reason = "its weights are shared with another layer"
    elif type(module).forward is not next(cls for cls in LAYER_CLASSES if isinstance(module, cls)).forward:
        reason = f"{type(module).__name__} has a forward of its own"
    elif shape.groups > 1 and shape.groups in (shape.in_channels, shape.out_channels):
        reason = "a depthwise convolution has no channels to merge"
    elif shape.transposed and pointwise:
        reason = "a transposed 1x1 convolution is a factor already"
    else:
        one_sided = pointwise or (kind == "conv" and shape.in_channels // shape.groups <= MAX_IMAGE_CHANNELS)
        return Layer(name, kind, shape, "tucker1" if one_sided else "tucker2")
    return Layer(name, kind, shape, "keep", reason)
