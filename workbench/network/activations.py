"""Record inputs and outputs of layers, also of two networks side by side.

For pairs of activations, the original is traced once (torch.fx), and both networks run through its graph together,
batch by batch. Every layer is computed once, and only values that later layers need are held. Batches that do not fit
into the memory limit are computed again from their inputs. A model that cannot be traced, because its forward pass
depends on values, is run in full for each layer, with hooks.

A copy is traced, because tracing leaves its proxies in tensors that a model keeps between passes.
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
"""Functions that give the same whether a ReLU comes before or after them."""
RELU_COMMUTING_MODULES = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.Identity)
Pairs = Iterator[tuple[Any, Any]]


@dataclass
class _BatchState:
    """The computed nodes of one batch in each network: their number, and the values that later nodes need."""

    computed: dict[str, int] = field(default_factory=lambda: {"compressed": 0, "original": 0})
    values: dict[str, dict[fx.Node, Any]] = field(default_factory=lambda: {"compressed": {}, "original": {}})
    last_input: tuple[int, Any] = (-1, None)  # place of the layer that was requested last, and its input

    @property
    def bytes(self) -> int:
        sizes = {id(v): v.nbytes for side in self.values.values() for v in side.values() if isinstance(v, Tensor)}
        return sum(sizes.values())


_TRACING = threading.Lock()  # torch.fx patches `nn.Module` while it traces


class _Tracer(fx.Tracer):
    """Traces the calls of its own thread only."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        traced = threading.get_ident() == self._thread
        return super().call_module(m, forward, args, kwargs) if traced else forward(*args, **kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        traced = threading.get_ident() == self._thread
        return super().getattr(attr, attr_val, parameter_proxy_cache) if traced else attr_val

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not any(True for _ in m.children()) or super().is_leaf_module(m, module_qualified_name)


class PairedActivations:
    """Pairs of (input of a layer in `compressed`, output of the same layer in `original`), in forward order.

    Both models are in eval mode; a layer of `compressed` may be changed after its pairs were requested. `batches` must
    yield the same inputs at each iteration.
    """

    def __init__(self, compressed: nn.Module, original: nn.Module, batches: Iterable[Any]) -> None:
        same_model = compressed is original
        self.batches = batches
        self.input_side = "original" if same_model else "compressed"
        self.states: list[_BatchState | None] = []
        self.nodes, self.constants = _trace(original, next(iter(batches)))
        if not self.nodes:  # it gets hooks
            original = copy_model(original)
        self.models = {"compressed": original if same_model else compressed, "original": original}
        self.last_use = {user: i for i, node in enumerate(self.nodes) for user in node.all_input_nodes}
        self.calls: dict[str, list[int]] = {}
        for i, node in enumerate(self.nodes):
            if node.op == "call_module":
                self.calls.setdefault(str(node.target), []).append(i)

    def place(self, name: str) -> int:
        """Return a layer's place in the forward order; layers that are not in the graph come last."""
        return self.calls.get(name, [len(self.nodes)])[0]

    def _only_call(self, name: str) -> fx.Node | None:
        """Return the layer's node in the graph; None unless it is called once."""
        calls = self.calls.get(name, [])
        return self.nodes[calls[0]] if len(calls) == 1 else None

    def pairs(self, name: str) -> Pairs:
        """Yield (input in the compressed network, output in the original) of every batch.

        Layers and batch norms must be requested in forward order; the same one may be requested several times.
        """
        node, place = self._only_call(name), self.place(name)
        if node is None or len(node.args) != 1 or node.kwargs or not isinstance(node.args[0], fx.Node):
            yield from self._pairs_by_hooks(name)
            return
        held_bytes = sum(state.bytes for state in self.states if state)
        all_held = bool(self.states) and None not in self.states  # then no batch is read again
        for i, batch in enumerate(self.states if all_held else self.batches):
            if i == len(self.states):
                self.states.append(None)
            state = self.states[i] or _BatchState()
            held_bytes -= state.bytes
            self._advance(state, self.input_side, place, batch)
            last_place, last_input = state.last_input
            layer_input = last_input if last_place == place else state.values[self.input_side][node.args[0]]
            state.last_input = (place, layer_input)
            self._advance(state, "original", place + 1, batch)
            output = state.values["original"][node]
            fits = held_bytes + state.bytes <= MAX_HELD_BYTES
            self.states[i] = state if fits else None
            held_bytes += state.bytes if fits else 0
            yield layer_input, output

    def _advance(self, state: _BatchState, side: str, end: int, batch: Any) -> None:
        """Compute the nodes before `end` in one network, and drop values after their last use."""
        values = state.values[side]
        for i in range(state.computed[side], end):
            node = self.nodes[i]
            values[node] = _call(self.models[side], self.constants, node, values, batch)
            for unused in [n for n in node.all_input_nodes if self.last_use[n] == i]:
                values.pop(unused, None)
        state.computed[side] = max(state.computed[side], end)

    def _pairs_by_hooks(self, name: str) -> Pairs:
        for batch in self.batches:
            compressed, original = (layer_calls(model, [name], batch) for model in self.models.values())
            yield from ((c.input, o.output) for c, o in zip(compressed, original, strict=True))

    def norm_after(self, name: str) -> str | None:
        """Return the batch norm with running statistics that alone uses this layer's output, and is called once."""
        node = self._only_call(name)
        users = list(node.users) if node else []
        norm = self._operation(users[0]) if len(users) == 1 else None
        if not isinstance(norm, BATCH_NORMS) or not isinstance(norm.running_mean, Tensor):
            return None
        return str(users[0].target) if self._only_call(str(users[0].target)) else None

    def rectified(self, name: str) -> bool:
        """Return whether only ReLUs use this layer's output, directly or after a concatenation or max-pooling."""
        node = self._only_call(name)
        return node is not None and self._rectified(node)

    def _rectified(self, node: fx.Node) -> bool:
        for user in node.users:
            operation = self._operation(user)
            commutes = isinstance(operation, RELU_COMMUTING_MODULES) or operation in RELU_COMMUTES
            if not (isinstance(operation, nn.ReLU) or operation in RELUS or (commutes and self._rectified(user))):
                return False
        return bool(node.users)

    def _operation(self, node: fx.Node) -> nn.Module | str:
        """Return the module that a node calls, or the name of its function or method."""
        if node.op == "call_module":
            return self.models["original"].get_submodule(str(node.target))
        return str(getattr(node.target, "__name__", node.target))


def _call(model: nn.Module, constants: nn.Module, node: fx.Node, values: dict[fx.Node, Any], batch: Tensor) -> Any:
    """Compute one node; `constants` is the traced copy, which holds the tensors that the model's code creates."""
    if node.op == "placeholder":
        return batch.clone()  # later nodes may work in place
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
    """Return the nodes in the order of their calls, none if the model cannot be traced, and the traced copy."""
    traced = copy_model(model)
    if not isinstance(batch, Tensor):
        return [], traced
    try:
        with _TRACING:
            nodes = list(_Tracer().trace(traced).nodes)
        values: dict[fx.Node, Any] = {}
        for node in nodes:
            values[node] = _call(model, traced, node, values, batch[:1])
        has_one_input = sum(node.op == "placeholder" for node in nodes) == 1
        pairs = zip(tensors_of(values[nodes[-1]]), tensors_of(call(model, batch[:1])), strict=True)
        equal = all(torch.allclose(x, y, rtol=1e-4, atol=1e-5) for x, y in pairs)
        return (nodes if has_one_input and equal else []), traced
    except Exception:  # tracing runs the user's code, which may raise anything
        return [], traced


@contextmanager
def layer_outputs(models: Sequence[nn.Module], names: Sequence[str]) -> Iterator[dict[str, list[list[Tensor]]]]:
    """Record the outputs of layers while models run: layer name -> for each model, the outputs of the layer's calls."""
    recorded: dict[str, list[list[Tensor]]] = {name: [[] for _ in models] for name in names}

    def record(outputs: list[Tensor], module: nn.Module, args: object, output: Tensor) -> None:
        outputs.append(output.clone())  # a ReLU may work in place

    with ExitStack() as hooks:
        for name, model_outputs in recorded.items():
            for outputs, model in zip(model_outputs, models, strict=True):
                hooks.enter_context(model.get_submodule(name).register_forward_hook(partial(record, outputs)))
        yield recorded


@dataclass
class LayerCall:
    """One call of a layer: its input and output, and the gradients of a functional at both.

    The gradient at the input is that of the paths through this layer.
    """

    name: str
    input: Tensor
    output: Tensor
    input_gradient: Tensor
    output_gradient: Tensor


def layer_calls(
    model: nn.Module, names: Sequence[str], inputs: Any, functional: Callable[[Any], Tensor] | None = None
) -> Iterator[LayerCall]:
    """Run a model and return the calls of its layers, with the gradients of a functional of its outputs.

    Without a functional, gradients are empty. Parameters get no gradients, and need not require them.
    """
    calls: list[LayerCall] = []

    def require_grad(tensor: Tensor) -> Tensor:
        return tensor.requires_grad_(True) if functional and not tensor.requires_grad else tensor

    def separate(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (require_grad(args[0].clone()), *args[1:])  # the layer may work in place

    def record(name: str, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        empty = output.new_empty(0)
        calls.append(LayerCall(name, args[0], require_grad(output), empty, empty))
        return output.clone()

    with ExitStack() as hooks, torch.set_grad_enabled(functional is not None):
        for name in names:
            layer = model.get_submodule(name)
            hooks.enter_context(layer.register_forward_pre_hook(separate))
            hooks.enter_context(layer.register_forward_hook(partial(record, name)))
        outputs = call(model, inputs)
        if functional is not None:
            tensors = [tensor for layer_call in calls for tensor in (layer_call.input, layer_call.output)]
            gradients = torch.autograd.grad(functional(outputs), tensors, allow_unused=True, materialize_grads=True)
            for layer_call, at_input, at_output in zip(calls, gradients[::2], gradients[1::2], strict=True):
                layer_call.input, layer_call.input_gradient = layer_call.input.detach(), at_input
                layer_call.output, layer_call.output_gradient = layer_call.output.detach(), at_output
    yield from calls
