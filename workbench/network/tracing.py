"""Find the layers of a network by tracing one forward pass of a copy."""

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
"""Input channels of an image. A convolution with so few is reduced in its output channels only, as in the paper."""


@dataclass(frozen=True)
class Node:
    """A place in the flow of values through a network.

    Attributes
    ----------
    kind : "layer"; "again" for a further call of a layer; "input"; "output"; or the operation in which several values
        meet: "add", "mul", "cat", or "join" for any other. Operations on a single value are no nodes.
    name : of the layer.
    inputs : numbers of the nodes whose values come in.
    """

    kind: str
    name: str = ""
    inputs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Traced:
    """What a forward pass showed.

    Attributes
    ----------
    layers : in the order of their first call.
    other : cost of all other parts.
    graph : layers and the places where values meet, each after its inputs.
    """

    layers: tuple[Layer, ...]
    other: Cost
    graph: tuple[Node, ...] = ()

    @property
    def total(self) -> Cost:
        """Cost of the network."""
        return total(layer.cost for layer in self.layers) + self.other


def find_layers(network: Network) -> Traced:
    """Run a copy of the model once and write down every convolution and linear layer that is called.

    Only shapes are needed, so the run is on fake tensors, without arithmetic and memory, and on real ones if the model
    looks into its values. Raises ValueError if the model does not run on its input shape.
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
    names: dict[nn.Module, str] = {m: name for name, m in model.named_modules() if isinstance(m, LAYER_CLASSES)}
    # a module that has several names is there as often
    places = [model, *(child for m in model.modules() for child in m._modules.values() if child is not None)]
    owners = Counter(id(p) for module in places for p in module.parameters(recurse=False))
    found: dict[str, Layer] = {}
    given_more: set[str] = set()
    inputs = tree_map_only(Tensor, fake.from_tensor if fake else torch.clone, network.example_inputs())
    batch = max(1, size_of(inputs))
    flow = _Flow(inputs)
    last_map: Sequence[int] = ()
    flat: tuple[Tensor | None, Sequence[int]] = (None, ())

    def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        nonlocal last_map, flat, batch
        name = names.get(module)
        if name is not None and args and isinstance(args[0], Tensor) and isinstance(output, Tensor):
            if not found and len(args[0]) % batch:  # the first tensor is no batch, but one image of a list
                batch = len(args[0])
            flow.add("again" if name in found else "layer", flow.sources(args), output, name)
            guess = last_map
            if isinstance(module, nn.Linear) and args[0].ndim == 2:
                # What follows a linear layer is no map any more, but another head may take the same flat input.
                if args[0] is not flat[0] and last_map:
                    flat = (args[0], last_map)
                guess, last_map = flat[1] if args[0] is flat[0] else (), ()
            shape = _shape(module, args[0], output, network.maps.get(name, guess), batch)
            if name in found:
                first = found[name].shape
                shape = replace(first, positions=first.positions + shape.positions)
            found[name] = _layer(name, module, shape, owners)
            if len(args) > 1 or kwargs:
                given_more.add(name)
        if isinstance(output, Tensor) and output.ndim == 4:
            last_map = output.shape[1:]

    hooks = [module.register_forward_hook(record, with_kwargs=True) for module in model.modules()]
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), counter, flow:
            outputs = call(model, inputs)
    except Exception as error:
        where = f"one input of shape {network.input_shape} (without the batch, channels first)"
        inner = next((name for name, _ in model.named_children() if name in INNER_PARTS), None)
        hint = f"; if it takes no tensor, give the part that takes one: model.{inner}" if inner else ""
        raise ValueError(f"{network.name} does not run on {where}: {first_line(error)}{hint}") from error
    for hook in hooks:
        hook.remove()
    usable = {name for name, layer in found.items() if layer.method != "keep"}
    reasons = dict.fromkeys(usable & given_more, "it is called with more than its input")
    for name, reason in {**reasons, **_needed_whole(model, usable - given_more, inputs, fake)}.items():
        found[name] = replace(found[name], method="keep", reason=reason)
    inside = total(layer.cost for layer in found.values())
    other = Cost(network.weights - inside.weights, max(0, counter.get_total_flops() // (2 * batch) - inside.macs))
    return Traced(tuple(found.values()), other, flow.graph(outputs))


class _Flow(TorchFunctionMode):
    """Notes which layers and operations each value comes from.

    A layer whose input does not come from any, as after a conversion to numpy, is taken to follow the last layer.
    """

    def __init__(self, inputs: Any) -> None:
        super().__init__()
        self.nodes = [Node("input")]
        self.origin = WeakTensorKeyDictionary()  # tensor -> number of the node that it comes from
        self.parts: dict[int, frozenset[int]] = {}  # concatenation -> all that it consists of
        self._note(inputs, 0)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        changed = args[0] if output is None and args else output  # like `x[i] = y`
        sources = self._known((args, kwargs))
        if sources and any(isinstance(x, Tensor) for x in tree_leaves(changed)):
            if len(sources) == 1:
                self._note(changed, sources[0])
            else:
                self.join(_operation(getattr(func, "__name__", "")), sources, changed)
        return output

    def sources(self, values: Any) -> list[int]:
        """Return the nodes that values come from; the last one where none is known."""
        return self._known(values) or [len(self.nodes) - 1]

    def add(self, kind: str, sources: Sequence[int], output: Any, name: str = "") -> None:
        """Add the node that makes an output."""
        self.nodes.append(Node(kind, name, tuple(sources)))
        self._note(output, len(self.nodes) - 1)

    def join(self, kind: str, sources: list[int], output: Any) -> None:
        """Add a node in which values meet, unless one of them is made of the others.

        A concatenation of all that an earlier one has, and more, is one of that and the others.
        """
        for one in reversed(sources):
            if self.nodes[one].kind not in ("layer", "input") and {*sources} <= {one, *self.nodes[one].inputs}:
                return self._note(output, one)
        if kind == "cat":
            parts = frozenset().union(*(self.parts.get(one, {one}) for one in sources))
            held = next((i for i in reversed(self.parts) if self.parts[i] < parts), None)
            if held is not None and held not in sources:
                sources = [
                    held,
                    *(one for one in sources if not self.parts.get(one, frozenset({one})) <= self.parts[held]),
                ]
            self.parts[len(self.nodes)] = parts
        self.add(kind, sources, output)
        return None

    def graph(self, outputs: Any) -> tuple[Node, ...]:
        """Return the nodes that lead to a layer or an output."""
        nodes = [*self.nodes, Node("output", inputs=tuple(self.sources(outputs)))]
        used = {len(nodes) - 1}
        for i in reversed(range(len(nodes))):
            if i in used or nodes[i].kind in ("layer", "input"):
                used |= {i, *nodes[i].inputs}
        place = {old: new for new, old in enumerate(sorted(used))}
        return tuple(replace(nodes[old], inputs=tuple(place[i] for i in nodes[old].inputs)) for old in place)

    def _known(self, values: Any) -> list[int]:
        tensors = [x for x in tree_leaves(values) if isinstance(x, Tensor)]
        return list(dict.fromkeys(self.origin[x] for x in tensors if x in self.origin))

    def _note(self, values: Any, node: int) -> None:
        for x in tree_leaves(values):
            if isinstance(x, Tensor):
                self.origin[x] = node


def _operation(name: str) -> str:
    """Return the kind of a node by the name of a function of PyTorch: that of `__iadd__` or `add_` is "add"."""
    stripped = re.sub("^[ir](?=add|mul)", "", name.strip("_"))
    kinds = {"concat": "cat", "concatenate": "cat", "stack": "cat", "multiply": "mul", "sub": "add"}
    kind = kinds.get(stripped, stripped)
    return kind if kind in ("add", "mul", "cat") else "join"


class _Watched(nn.Sequential):
    """A layer behind a ``Sequential``, as its factors will be, which notes when one of its attributes is read."""

    def __init__(self, layer: nn.Module, note: Callable[[], object]) -> None:
        super().__init__(OrderedDict(core=layer))
        self.note = note

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if "core" not in self._modules:  # it is being made
                raise
            self.note()
            return getattr(self.core, name)


def _needed_whole(model: nn.Module, names: Set[str], inputs: Any, fake: FakeTensorMode | None) -> dict[str, str]:
    """Run a model once more with its layers inside of other modules; return those that it needs as they are, and why.

    Raises what the model raises if it is run on fake tensors.
    """
    found: dict[str, str] = {}
    reason = "the model reads its attributes, like its weight, from outside of it"
    layers = {name: model.get_submodule(name) for name in names}
    watched = {layer: _Watched(layer, partial(found.__setitem__, name, reason)) for name, layer in layers.items()}
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if child in watched and not isinstance(module, _Watched):
                setattr(module, name, watched[child])
    try:
        with torch.no_grad():
            call(model, inputs)
    except Exception:  # whatever it was: with factors it would be raised too
        if fake:
            raise
        return dict.fromkeys(names, "the model does not run with other modules in the place of its layers")
    return found


def _shape(module: Any, given: Tensor, output: Tensor, last_map: Sequence[int] | None, batch: int) -> ConvShape:
    """Return a layer's shape by a call with a batch of inputs, each of which may be several maps, like windows."""
    bias, size = module.bias is not None, () if isinstance(module, nn.Linear) else tuple(module.kernel_size)
    maps = max(1, len(given) // batch) if given.ndim > len(size) + 1 else 1
    if not size:
        features, *map_size = _flattened_map(module.in_features, last_map if given.ndim == 2 else None)
        positions = maps * prod(given.shape[1:-1])
        calls = ((positions * prod(map_size), positions),)
        return ConvShape(features, module.out_features, tuple(map_size), calls, bias=bias)
    calls = ((maps * prod(given.shape[-len(size) :]), maps * prod(output.shape[-len(size) :])),)
    channels = (module.in_channels, module.out_channels)
    return ConvShape(*channels, size, calls, module.groups, bias, isinstance(module, TRANSPOSED))


def _flattened_map(features: int, last_map: Sequence[int] | None) -> tuple[int, ...]:
    """Return (channels, height, width) of the map that was flattened to that many features, else only the features."""
    if last_map:
        channels, height, width = last_map
        side = isqrt(features // channels)  # of a pooling that is a function, not a module, and came in between
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
