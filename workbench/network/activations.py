"""Inner outputs of two networks of one graph, side by side: inputs of a layer in one, outputs of it in the other.

The original is traced once (torch.fx), and both networks are carried through its graph together, batch by batch, so
that every layer is computed once; only what later layers still need is held. Batches that do not fit into the memory
limit are computed again from their inputs. A model that cannot be traced, because its forward pass depends on values,
is run whole for each layer, with hooks on a copy.

Tracing happens on a copy: it would leave its proxies in any tensor that a model keeps between passes.
"""

import operator
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn

from workbench.network.network import copy_model
from workbench.network.outputs import call, tensors_of

MAX_HELD_BYTES = 3 * 2**30
"""Bytes of activations that are held between layers."""

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
RELUS = ("relu", "relu_")
RELU_COMMUTES = ("cat", "max_pool1d", "max_pool2d", "max_pool3d")
"""Functions that give the same whether a ReLU comes before or after them, as do these modules:"""
RELU_COMMUTING_MODULES = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.Identity)
Pairs = Iterator[tuple[Any, Any]]


@dataclass
class _Held:
    """One batch on its way: how far it has come in each network, and the values that are still needed there."""

    done: dict[str, int] = field(default_factory=lambda: {"compressed": 0, "original": 0})
    values: dict[str, dict[fx.Node, Any]] = field(default_factory=lambda: {"compressed": {}, "original": {}})
    given: tuple[int, Any] = (-1, None)  # position of the layer that was asked for last, and its input

    @property
    def bytes(self) -> int:
        tensors = {id(v): v.nbytes for side in self.values.values() for v in side.values() if isinstance(v, Tensor)}
        return sum(tensors.values())


_TRACING = threading.Lock()  # torch.fx patches `nn.Module` while it traces


class _Tracer(fx.Tracer):
    """Traces the calls of its own thread only."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        mine = threading.get_ident() == self._thread
        return super().call_module(m, forward, args, kwargs) if mine else forward(*args, **kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        mine = threading.get_ident() == self._thread
        return super().getattr(attr, attr_val, parameter_proxy_cache) if mine else attr_val

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not any(True for _ in m.children()) or super().is_leaf_module(m, module_qualified_name)


class PairedActivations:
    """Pairs of (input of a layer in `compressed`, output of the same layer in `original`), in forward order.

    Both models are in eval mode; layers of `compressed` may be changed once they were asked for. `batches` are the same
    inputs at each iteration.
    """

    def __init__(self, compressed: nn.Module, original: nn.Module, batches: Iterable[Any]) -> None:
        same = compressed is original
        self.batches = batches
        self.source = "original" if same else "compressed"
        self.held: list[_Held | None] = []
        self.nodes, self.constants = _trace(original, next(iter(batches)))
        if not self.nodes:  # hooks will be put on it
            original = copy_model(original)
        self.models = {"compressed": original if same else compressed, "original": original}
        self.last_use = {user: i for i, node in enumerate(self.nodes) for user in node.all_input_nodes}
        self.calls: dict[str, list[int]] = {}
        for i, node in enumerate(self.nodes):
            if node.op == "call_module":
                self.calls.setdefault(str(node.target), []).append(i)

    def place(self, name: str) -> int:
        """Return a layer's place in the forward order; layers that the graph does not show come last."""
        return self.calls.get(name, [len(self.nodes)])[0]

    def _only_call(self, name: str) -> fx.Node | None:
        """Return the layer's node in the graph if it is called once."""
        calls = self.calls.get(name, [])
        return self.nodes[calls[0]] if len(calls) == 1 else None

    def pairs(self, name: str) -> Pairs:
        """Yield (input in the compressed network, output in the original) of every batch.

        Layers have to be asked for in forward order, batch norms too; one of them may be asked for again.
        """
        node, place = self._only_call(name), self.place(name)
        if node is None or len(node.args) != 1 or node.kwargs or not isinstance(node.args[0], fx.Node):
            yield from self._replayed(name)
            return
        total = sum(held.bytes for held in self.held if held)
        complete = bool(self.held) and None not in self.held  # then no batch is needed again
        for i, batch in enumerate(self.held if complete else self.batches):
            if i == len(self.held):
                self.held.append(None)
            held = self.held[i] or _Held()
            total -= held.bytes
            self._advance(held, self.source, place, batch)
            given = held.given[1] if held.given[0] == place else held.values[self.source][node.args[0]]
            held.given = (place, given)
            self._advance(held, "original", place + 1, batch)
            wanted = held.values["original"][node]
            fits = total + held.bytes <= MAX_HELD_BYTES
            self.held[i] = held if fits else None
            total += held.bytes if fits else 0
            yield given, wanted

    def _advance(self, held: _Held, side: str, until: int, batch: Any) -> None:
        values = held.values[side]
        for i in range(held.done[side], until):
            node = self.nodes[i]
            values[node] = _call(self.models[side], self.constants, node, values, batch)
            for old in [n for n in node.all_input_nodes if self.last_use[n] == i]:
                values.pop(old, None)
        held.done[side] = max(held.done[side], until)

    def _replayed(self, name: str) -> Pairs:
        for batch in self.batches:
            compressed, original = (layer_calls(model, [name], batch) for model in self.models.values())
            yield from ((one.given, other.output) for one, other in zip(compressed, original, strict=True))

    def norm_after(self, name: str) -> str | None:
        """Return the batch norm with running statistics that is the only user of this output, and of no other."""
        node = self._only_call(name)
        users = list(node.users) if node else []
        norm = self._called(users[0]) if len(users) == 1 else None
        if not isinstance(norm, BATCH_NORMS) or not isinstance(norm.running_mean, Tensor):
            return None
        return str(users[0].target) if self._only_call(str(users[0].target)) else None

    def rectified(self, name: str) -> bool:
        """Return whether only a ReLU uses this layer's output, directly or behind a concatenation or max-pooling."""
        node = self._only_call(name)
        return node is not None and self._rectified(node)

    def _rectified(self, node: fx.Node) -> bool:
        for user in node.users:
            called = self._called(user)
            commutes = isinstance(called, RELU_COMMUTING_MODULES) or called in RELU_COMMUTES
            if not (isinstance(called, nn.ReLU) or called in RELUS or (commutes and self._rectified(user))):
                return False
        return bool(node.users)

    def _called(self, node: fx.Node) -> nn.Module | str:
        """Return the module that a node calls, or the name of the function or method."""
        if node.op == "call_module":
            return self.models["original"].get_submodule(str(node.target))
        return str(getattr(node.target, "__name__", node.target))


def _call(model: nn.Module, constants: nn.Module, node: fx.Node, values: dict[fx.Node, Any], batch: Tensor) -> Any:
    """Compute one node; tensors that tracing has found in the code are attributes of the traced copy."""
    if node.op == "placeholder":
        return batch.clone()  # what follows may work in place
    args = fx.node.map_arg(node.args, values.__getitem__)
    kwargs = fx.node.map_arg(node.kwargs, values.__getitem__)
    if node.op == "output":
        return args[0]
    if node.op == "call_module":
        return model.get_submodule(str(node.target))(*args, **kwargs)
    if node.op == "get_attr":
        name = str(node.target)
        return operator.attrgetter(name)(constants if name.startswith("_tensor_constant") else model)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    assert callable(node.target)
    return node.target(*args, **kwargs)


def _trace(model: nn.Module, batch: Any) -> tuple[list[fx.Node], nn.Module]:
    """Return the graph in the order of its calls, empty if it cannot be traced faithfully, and the traced copy."""
    traced = copy_model(model)
    if not isinstance(batch, Tensor):
        return [], traced
    try:
        with _TRACING:
            nodes = list(_Tracer().trace(traced).nodes)
        values: dict[fx.Node, Any] = {}
        for node in nodes:
            values[node] = _call(model, traced, node, values, batch[:1])
        one_input = sum(node.op == "placeholder" for node in nodes) == 1
        pairs = zip(tensors_of(values[nodes[-1]]), tensors_of(call(model, batch[:1])), strict=True)
        same = all(torch.allclose(found, wanted, rtol=1e-4, atol=1e-5) for found, wanted in pairs)
        return (nodes if one_input and same else []), traced
    except Exception:  # whatever it was: such a model is run whole
        return [], traced


@contextmanager
def layer_outputs(models: Sequence[nn.Module], names: Sequence[str]) -> Iterator[dict[str, list[list[Tensor]]]]:
    """Keep the outputs of layers while models run: name -> for each model, the outputs of its calls."""
    kept: dict[str, list[list[Tensor]]] = {name: [[] for _ in models] for name in names}

    def keep(outputs: list[Tensor], module: nn.Module, given: object, output: Tensor) -> None:
        outputs.append(output.clone())  # a ReLU may work in place

    with ExitStack() as hooks:
        for name, sides in kept.items():
            for outputs, model in zip(sides, models, strict=True):
                hooks.enter_context(model.get_submodule(name).register_forward_hook(partial(keep, outputs)))
        yield kept


@dataclass
class LayerCall:
    """One call of a layer: its module, input and output, and the gradients of a functional at both.

    The gradient at the input is that of the paths through this layer.
    """

    name: str
    module: nn.Module
    given: Tensor
    output: Tensor
    given_gradient: Tensor
    output_gradient: Tensor


def layer_calls(
    model: nn.Module, names: Sequence[str], inputs: Any, functional: Callable[[Any], Tensor] | None = None
) -> Iterator[LayerCall]:
    """Run a model and return the calls of its layers, with the gradients of a functional of its outputs.

    Without a functional, gradients are empty. Parameters get no gradients, and may need none.
    """
    seen: list[LayerCall] = []

    def place(tensor: Tensor) -> Tensor:
        return tensor.requires_grad_(True) if functional and not tensor.requires_grad else tensor

    def separate(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (place(args[0].clone()), *args[1:])  # what follows may work in place

    def record(name: str, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        empty = output.new_empty(0)
        seen.append(LayerCall(name, module, args[0], place(output), empty, empty))
        return output.clone()

    with ExitStack() as hooks, torch.set_grad_enabled(functional is not None):
        for name in names:
            layer = model.get_submodule(name)
            hooks.enter_context(layer.register_forward_pre_hook(separate))
            hooks.enter_context(layer.register_forward_hook(partial(record, name)))
        outputs = call(model, inputs)
        if functional is not None:
            places = [tensor for one in seen for tensor in (one.given, one.output)]
            found = torch.autograd.grad(functional(outputs), places, allow_unused=True)
            filled = [torch.zeros_like(b) if a is None else a for a, b in zip(found, places, strict=True)]
            for one, before, behind in zip(seen, filled[::2], filled[1::2], strict=True):
                one.given, one.given_gradient = one.given.detach(), before
                one.output, one.output_gradient = one.output.detach(), behind
    yield from seen
