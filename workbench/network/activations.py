"""Two networks of the same graph, side by side and layer by layer: what goes in here, what came out there.

The original is traced once (torch.fx), and both networks are carried through its graph together, batch by batch, so
that every layer is computed once; only what later layers still need is held. Batches that do not fit into the memory
limit are computed again from their inputs. A model that cannot be traced (its forward looks at values) is run whole
for each layer, with hooks.
"""

import operator
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

MEMORY = 3 * 2**30
"""Bytes of activations that are held between layers."""

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
JOINS = ("cat", "max_pool1d", "max_pool2d", "max_pool3d")
Pairs = Iterator[tuple[Tensor, Tensor]]


@dataclass
class _Held:
    """One batch on its way: how far it has come in each network, and the values that are still needed there."""

    done: dict[str, int] = field(default_factory=lambda: {"smaller": 0, "original": 0})
    values: dict[str, dict[fx.Node, Any]] = field(default_factory=lambda: {"smaller": {}, "original": {}})
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


TRACING = threading.Lock()
"""torch.fx patches `nn.Module` while it traces: one at a time."""


class _Tracer(fx.Tracer):
    """Traces the calls of its own thread only; what other threads run meanwhile is not touched."""

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


class _Seen(Exception):  # noqa: N818 - no error: the rest of the forward pass is not needed
    pass


class Walk:
    """Pairs of (input of a layer in `smaller`, output of the same layer in `original`), in forward order.

    Parameters
    ----------
    smaller, original : models in eval mode; layers of `smaller` may be exchanged or changed once they were asked for.
    batches : inputs of the models, the same ones at each iteration.
    memory : bytes of activations to hold; None for `MEMORY`.
    """

    def __init__(
        self, smaller: nn.Module, original: nn.Module, batches: Iterable[Tensor], memory: int | None = None
    ) -> None:
        self.models = {"smaller": smaller, "original": original}
        self.batches, self.memory = batches, MEMORY if memory is None else memory
        self.seen = "original" if smaller is original else "smaller"
        self.held: list[_Held | None] = []
        self.nodes = _trace(original, next(iter(batches)))
        self.last_use = {user: i for i, node in enumerate(self.nodes) for user in node.all_input_nodes}
        self.calls: dict[str, list[int]] = {}
        for i, node in enumerate(self.nodes):
            if node.op == "call_module":
                self.calls.setdefault(str(node.target), []).append(i)

    def place(self, name: str) -> int:
        """Where in the forward order a layer is; those that the graph does not show come last."""
        return self.calls.get(name, [len(self.nodes)])[0]

    def pairs(self, name: str) -> Pairs:
        """(input in the smaller network, output in the original) of every batch; may be asked for again.

        Layers have to be asked for in forward order, batch norms too.
        """
        calls = self.calls.get(name, [])
        node = self.nodes[calls[0]] if len(calls) == 1 else None
        if node is None or len(node.args) != 1 or node.kwargs or not isinstance(node.args[0], fx.Node):
            yield from self._replayed(name)
            return
        source = iter(self.batches) if None in self.held or not self.held else None
        total, index = sum(h.bytes for h in self.held if h), 0
        while True:
            batch = next(source, None) if source else None
            if (source and batch is None) or (source is None and index == len(self.held)):
                return
            if index == len(self.held):
                self.held.append(None)
            held = self.held[index]
            before = held.bytes if held else 0
            held = held or _Held()
            self._advance(held, self.seen, calls[0], batch)
            given = held.given[1] if held.given[0] == calls[0] else held.values[self.seen][node.args[0]]
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
        """(answers of the original, its answers with one layer exchanged) of every batch; after :meth:`pairs`."""
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
            values[node] = _call(self.models["original"], node, values)
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

    def _advance(self, held: _Held, side: str, until: int, batch: Tensor | None) -> None:
        model, values = self.models[side], held.values[side]
        for i in range(held.done[side], until):
            node = self.nodes[i]
            if node.op == "placeholder":
                values[node] = batch
            elif node.op != "output":
                values[node] = _call(model, node, values)
            for old in [n for n in node.all_input_nodes if self.last_use[n] == i]:
                values.pop(old, None)
        held.done[side] = max(held.done[side], until)

    def _replayed(self, name: str) -> Pairs:
        layers = {side: model.get_submodule(name) for side, model in self.models.items()}
        for batch in self.batches:
            given: list[Tensor] = []
            wanted: list[Tensor] = []
            hooks = [
                layers["smaller"].register_forward_pre_hook(lambda _, args, to=given: to.append(args[0].clone())),
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
        """The batch norm with running statistics that alone takes this layer's output, if there is one."""
        calls = self.calls.get(name, [])
        users = list(self.nodes[calls[0]].users) if len(calls) == 1 else []
        if len(users) != 1 or users[0].op != "call_module":
            return None
        found = str(users[0].target)
        norm = self.models["original"].get_submodule(found)
        return found if isinstance(norm, BATCH_NORMS) and isinstance(norm.running_mean, Tensor) else None

    def rectified(self, name: str) -> bool:
        """Whether a ReLU is all that sees this layer's output, directly or behind a concatenation or max-pooling."""
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
        return getattr(node.target, "__name__", "") in JOINS


def _call(model: nn.Module, node: fx.Node, values: dict[fx.Node, Any]) -> Any:
    args = fx.node.map_arg(node.args, values.__getitem__)
    kwargs = fx.node.map_arg(node.kwargs, values.__getitem__)
    if node.op == "call_module":
        return model.get_submodule(str(node.target))(*args, **kwargs)
    if node.op == "get_attr":
        return operator.attrgetter(str(node.target))(model)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    assert callable(node.target)
    return node.target(*args, **kwargs)


def _trace(model: nn.Module, batch: Tensor) -> list[fx.Node]:
    """The model's graph in the order of its calls, or nothing if it cannot be traced faithfully."""
    try:
        with TRACING:
            nodes = list(_Tracer().trace(model).nodes)
        if sum(node.op == "placeholder" for node in nodes) != 1:
            return []
        values: dict[fx.Node, Any] = {}
        for node in nodes:
            if node.op == "output":
                found = values[node.args[0]]
                same = torch.allclose(found, model(batch[:1]), rtol=1e-4, atol=1e-5)
                return nodes if same else []
            values[node] = batch[:1] if node.op == "placeholder" else _call(model, node, values)
    except Exception:  # whatever it was: such a model is run whole
        return []
    return []
