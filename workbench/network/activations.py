"""Carry two networks of one graph through it side by side: inputs of a layer in one, outputs of it in the other.

The original is traced once (torch.fx), and both networks are carried through its graph together, batch by batch, so
that every layer is computed once; only what later layers still need is held. Batches that do not fit into the memory
limit are computed again from their inputs. A model that cannot be traced, because its forward pass depends on values,
is run whole for each layer, with hooks on a copy.

Tracing happens on a copy: it would leave its proxies in any tensor that a model keeps between passes.
"""

import operator
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from workbench.network.network import copy_model

MAX_HELD_BYTES = 3 * 2**30
"""Bytes of activations that are held between layers."""

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
RELU_COMMUTES = ("cat", "max_pool1d", "max_pool2d", "max_pool3d")
"""Functions that give the same whether a ReLU comes before or after them."""
Pairs = Iterator[tuple[Tensor, Tensor]]


@dataclass
class _Held:
    """One batch on its way: how far it has come in each network, and the values that are still needed there."""

    done: dict[str, int] = field(default_factory=lambda: {"compressed": 0, "original": 0})
    values: dict[str, dict[fx.Node, Any]] = field(default_factory=lambda: {"compressed": {}, "original": {}})
    given: tuple[int, Any] = (-1, None)
    answers: Tensor | None = None

    @property
    def bytes(self) -> int:
        tensors = {
            id(v): v.numel() * v.element_size()
            for side in self.values.values()
            for v in side.values()
            if isinstance(v, Tensor)
        }
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
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not any(True for _ in m.children()) or super().is_leaf_module(m, module_qualified_name)


class PairedActivations:
    """Pairs of (input of a layer in `compressed`, output of the same layer in `original`), in forward order.

    Parameters
    ----------
    compressed, original : models in eval mode; layers of `compressed` may be changed once they were asked for.
    batches : inputs of the models, the same ones at each iteration.
    memory : bytes of activations to hold; None for `MAX_HELD_BYTES`.
    """

    def __init__(
        self, compressed: nn.Module, original: nn.Module, batches: Iterable[Tensor], memory: int | None = None
    ) -> None:
        same = compressed is original
        self.batches, self.memory = batches, MAX_HELD_BYTES if memory is None else memory
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

    def pairs(self, name: str) -> Pairs:
        """Yield (input in the compressed network, output in the original) of every batch.

        Layers have to be asked for in forward order, batch norms too; one of them may be asked for again.
        """
        calls = self.calls.get(name, [])
        node = self.nodes[calls[0]] if len(calls) == 1 else None
        if node is None or len(node.args) != 1 or node.kwargs or not isinstance(node.args[0], fx.Node):
            yield from self._replayed(name)
            return
        batches = iter(self.batches) if None in self.held or not self.held else None
        total, index = sum(h.bytes for h in self.held if h), 0
        while True:
            batch = next(batches, None) if batches else None
            if (batches and batch is None) or (batches is None and index == len(self.held)):
                return
            if index == len(self.held):
                self.held.append(None)
            held = self.held[index]
            before = held.bytes if held else 0
            held = held or _Held()
            self._advance(held, self.source, calls[0], batch)
            given = held.given[1] if held.given[0] == calls[0] else held.values[self.source][node.args[0]]
            held.given = (calls[0], given)
            self._advance(held, "original", calls[0] + 1, batch)
            wanted = held.values["original"][node]
            total += held.bytes - before
            self.held[index] = held
            if total > self.memory:
                total -= held.bytes
                self.held[index] = None
            index += 1
            yield given, wanted

    def changed(self, name: str, module: nn.Module) -> Pairs:
        """Yield (original's answers, its answers with one layer exchanged) of every batch, after :meth:`pairs`."""
        position = self.calls[name][0] if len(self.calls.get(name, [])) == 1 else -1
        if position < 0 or None in self.held or any(h and h.given[0] != position for h in self.held):
            yield from self._exchanged(name, module)
            return
        for held in self.held:
            assert held is not None
            if held.answers is None:
                held.answers = self._finish(held.values["original"], position + 1)
            values = held.values["original"] | {self.nodes[position]: module(held.given[1])}
            yield held.answers, self._finish(values, position + 1)

    def _finish(self, values: dict[fx.Node, Any], position: int) -> Tensor:
        values = {n: v.clone() if isinstance(v, Tensor) else v for n, v in values.items()}  # some ReLUs work in place
        for node in self.nodes[position:]:
            if node.op == "output":
                break
            values[node] = self._call("original", node, values)
        answer: Tensor = values[node.args[0]]  # type: ignore[index]
        return answer

    def _exchanged(self, name: str, module: nn.Module) -> Pairs:
        model = self.models["original"]
        for batch in self.batches:
            answers = model(batch)
            hook = model.get_submodule(name).register_forward_hook(lambda _, args, out: module(args[0]))
            try:
                others = model(batch)
            finally:
                hook.remove()
            yield answers, others

    def _call(self, side: str, node: fx.Node, values: dict[fx.Node, Any]) -> Any:
        return _call(self.models[side], self.constants, node, values)

    def _advance(self, held: _Held, side: str, until: int, batch: Tensor | None) -> None:
        values = held.values[side]
        for i in range(held.done[side], until):
            node = self.nodes[i]
            if node.op == "placeholder":
                values[node] = batch
            elif node.op != "output":
                values[node] = self._call(side, node, values)
            for old in [n for n in node.all_input_nodes if self.last_use[n] == i]:
                values.pop(old, None)
        held.done[side] = max(held.done[side], until)

    def _replayed(self, name: str) -> Pairs:
        layers = {side: model.get_submodule(name) for side, model in self.models.items()}
        for batch in self.batches:
            given: list[Tensor] = []
            wanted: list[Tensor] = []
            hooks = [
                layers["compressed"].register_forward_pre_hook(lambda _, args, to=given: to.append(args[0].clone())),
                layers["original"].register_forward_hook(lambda _, args, out, to=wanted: to.append(out.clone())),
            ]
            try:
                for model in self.models.values():
                    model(batch)
            finally:
                for hook in hooks:
                    hook.remove()
            yield from zip(given, wanted, strict=True)

    def norm_after(self, name: str) -> str | None:
        """Return the batch norm with running statistics that is the only user of this layer's output, if any."""
        calls = self.calls.get(name, [])
        users = list(self.nodes[calls[0]].users) if len(calls) == 1 else []
        if len(users) != 1 or users[0].op != "call_module":
            return None
        found = str(users[0].target)
        norm = self.models["original"].get_submodule(found)
        return found if isinstance(norm, BATCH_NORMS) and isinstance(norm.running_mean, Tensor) else None

    def rectified(self, name: str) -> bool:
        """Return whether only a ReLU uses this layer's output, directly or behind a concatenation or max-pooling."""
        calls = self.calls.get(name, [])
        return len(calls) == 1 and self._rectified(self.nodes[calls[0]])

    def _rectified(self, node: fx.Node) -> bool:
        return bool(node.users) and all(
            self._is_relu(user) or (self._joins(user) and self._rectified(user)) for user in node.users
        )

    def _is_relu(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return isinstance(self.models["original"].get_submodule(str(node.target)), nn.ReLU)
        return (node.target if node.op == "call_method" else getattr(node.target, "__name__", "")) in ("relu", "relu_")

    def _joins(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            module = self.models["original"].get_submodule(str(node.target))
            return isinstance(module, (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.Identity))
        return getattr(node.target, "__name__", "") in RELU_COMMUTES


def _call(model: nn.Module, constants: nn.Module, node: fx.Node, values: dict[fx.Node, Any]) -> Any:
    """Compute one node; tensors that tracing has found in the code are attributes of the traced copy."""
    args = fx.node.map_arg(node.args, values.__getitem__)
    kwargs = fx.node.map_arg(node.kwargs, values.__getitem__)
    if node.op == "call_module":
        return model.get_submodule(str(node.target))(*args, **kwargs)
    if node.op == "get_attr":
        name = str(node.target)
        return operator.attrgetter(name)(constants if name.startswith("_tensor_constant") else model)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    assert callable(node.target)
    return node.target(*args, **kwargs)


def _trace(model: nn.Module, batch: Tensor) -> tuple[list[fx.Node], nn.Module]:
    """Return the model's graph in the order of its calls, and the copy that was traced.

    The graph is empty if the model cannot be traced faithfully.
    """
    traced = copy_model(model)
    try:
        with _TRACING:
            nodes = list(_Tracer().trace(traced).nodes)
        if sum(node.op == "placeholder" for node in nodes) != 1:
            return [], traced
        values: dict[fx.Node, Any] = {}
        for node in nodes:
            if node.op == "output":
                found = values[node.args[0]]
                same = torch.allclose(found, model(batch[:1]), rtol=1e-4, atol=1e-5)
                return (nodes if same else []), traced
            values[node] = batch[:1] if node.op == "placeholder" else _call(model, traced, node, values)
    except Exception:  # whatever it was: such a model is run whole
        return [], traced
    return [], traced
