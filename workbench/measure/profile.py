"""Where the time of a forward pass goes: each convolution and linear layer, factor by factor, and its memory traffic.

Multiply-adds alone do not say how long a layer takes. A 1x1 convolution does few for each number that it loads, and the
processor waits for memory; :func:`profile` puts time, multiply-adds and bytes of each part side by side.
"""

import copy
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from math import prod
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from workbench.kernels.complexity import bytes_moved
from workbench.measure.profile_table import OTHER, Profile, Row
from workbench.measure.roofline import torch_threads
from workbench.network.data import evaluating
from workbench.network.layers import Layer, find_layers
from workbench.network.network import Network, expect_network

PARTS = ("factor_in", "core", "factor_out")
WARM_UP = 2
"""Passes of each network before those that count."""

Progress = Callable[[float, str], None]


def profile(
    network: Network,
    *,
    batch: int = 1,
    threads: int = 1,
    channels_last: bool = False,
    repeats: int = 10,
    progress: Progress | None = None,
) -> Profile:
    """Time and memory traffic of each convolution and linear layer, in eager PyTorch.

    Parameters
    ----------
    network : original or decomposed; it is not changed.
    batch : inputs of one pass.
    threads : of PyTorch.
    channels_last : whether weights and inputs lie in memory with the channels last (of a copy).
    repeats : passes that are timed; seconds are medians over them, of each layer and of each stretch between two.
    progress : called with (share done, name of the network) before each pass; what it raises ends the work.

    Raises
    ------
    ValueError : if the network does not run, or does not call the same layers each time, or a number makes no sense.
    """
    return profiles(
        [network], batch=batch, threads=threads, channels_last=channels_last, repeats=repeats, progress=progress
    )[0]


def profiles(
    networks: Sequence[Network],
    *,
    batch: int = 1,
    threads: int = 1,
    channels_last: bool = False,
    repeats: int = 10,
    progress: Progress | None = None,
) -> list[Profile]:
    """Profiles of several networks, measured in turns, so that whatever else the machine does meets them alike.

    The parameters are those of :func:`profile`.
    """
    for network in networks:
        expect_network(network)
    for name, value in (("batch", batch), ("repeats", repeats)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} is a whole number of at least 1, not {value!r}")
    with torch_threads(threads), torch.inference_mode():
        runs = [_Run(network, batch, channels_last) for network in networks]
        passes = [run for _ in range(WARM_UP + repeats) for run in runs]
        for i, run in enumerate(passes):
            if progress:
                progress(i / len(passes), run.network.name)
            run()
    if progress:
        progress(1.0, "")
    return [
        Profile(run.network.name, *run.result(), batch, threads, channels_last, repeats, run.device, run.item)
        for run in runs
    ]


class _Run:
    """One network, ready to be timed, and the seconds of each of its layers, pass by pass."""

    def __init__(self, network: Network, batch: int, channels_last: bool) -> None:
        self.network = network
        self.layers = find_layers(network).layers
        self.batch, self.device = batch, network.device.type
        self.model, self.inputs = network.model, batch_of(network, batch)
        if channels_last:
            self.model = copy.deepcopy(network.model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.inputs = tuple(
                x.to(memory_format=torch.channels_last) if isinstance(x, Tensor) and x.ndim == 4 else x
                for x in self.inputs
            )
        self.item = next((p.element_size() for p in network.model.parameters()), 4)
        self.stretches: list[str] = []
        self.passes: list[list[float]] = []

    def __call__(self) -> None:
        """One pass, as stretches of time: between layers, in a layer, between layers, and so on."""
        names, stamps = [], []

        def begin(*_: object) -> None:
            names.append(OTHER)
            stamps.append(self._now())

        def end(name: str, *_: object) -> None:
            stamps.append(self._now())
            names.append(name)

        hooks = []
        try:
            for layer in self.layers:
                module = self.model.get_submodule(layer.name)
                hooks.append(module.register_forward_pre_hook(begin))
                hooks.append(module.register_forward_hook(partial(end, layer.name), prepend=True))
            with evaluating(self.model):
                stamps.append(self._now())
                self.model(*self.inputs)
                begin()
        finally:
            for hook in hooks:
                hook.remove()
        if self.stretches and names != self.stretches:
            raise ValueError(f"{self.network.name} does not call the same layers each time: it cannot be profiled")
        self.stretches = names
        self.passes.append([after - before for before, after in pairwise(stamps)])

    def _now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def result(self) -> tuple[tuple[Row, ...], float]:
        """Every layer with its median, and what is left over of a pass."""
        spent = dict.fromkeys([OTHER, *(layer.name for layer in self.layers)], 0.0)
        for name, seconds in zip(self.stretches, zip(*self.passes[WARM_UP:], strict=True), strict=True):
            spent[name] += median(seconds)  # of each stretch, so that a disturbed one does not spoil a whole pass
        owners = _owners(self.network)
        rows = []
        for layer in self.layers:
            macs, moved = self.batch * layer.cost.macs, bytes_moved(layer.shape, batch=self.batch, item=self.item)
            owner, part, linear = owners.get(layer.name, (layer.name, "dense", layer.kind == "linear"))
            kind = "linear" if linear else part if part == "dense" else "1x1" if layer.pointwise else "core"
            rows.append(Row(layer.name, macs, moved, spent[layer.name], owner, part, kind, kernel_text(layer)))
        return tuple(rows), spent[OTHER]


def batch_of(network: Network, batch: int) -> tuple[Any, ...]:
    """Positional inputs to run a network with: its example, repeated, or seeded noise of its input shape."""
    if network.example is not None:
        return tuple(torch.cat([x] * batch) if isinstance(x, Tensor) and x.ndim else x for x in network.example)
    like = next((p for p in network.model.parameters() if p.is_floating_point()), torch.zeros(()))
    noise = torch.randn(batch, *network.input_shape, generator=torch.Generator().manual_seed(0))
    return (noise.to(like),)


def kernel_text(layer: Layer) -> str:
    """Size of a layer's kernel, like "3x3", "3x3, 2 groups", "3x3, depthwise" or "linear"."""
    shape = layer.shape
    if layer.kind == "linear":
        return "linear"
    size = "x".join(map(str, shape.kernel_size)) + (", transposed" if shape.transposed else "")
    if shape.groups == 1:
        return size
    depthwise = shape.groups == shape.in_channels and prod(shape.kernel_size) > 1
    return f"{size}, depthwise" if depthwise else f"{size}, {shape.groups} groups"


def _owners(network: Network) -> dict[str, tuple[str, str, bool]]:
    """Module of a factor -> (layer it belongs to, which part it is, whether that layer is fully connected)."""
    found: dict[str, tuple[str, str, bool]] = {}
    for part in network.plan or ():
        if part.decision != "keep":
            module = network.model.get_submodule(part.name)
            for name in PARTS:
                if isinstance(getattr(module, name, None), nn.Module):
                    path = f"{part.name}.{name}" if part.name else name
                    found[path] = (part.name, name, part.layer.kind == "linear")
    return found
