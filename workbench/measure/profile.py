"""Time, multiply-adds and memory traffic of each convolution and linear layer, of a network and of its original."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from workbench.kernels.complexity import bytes_moved
from workbench.measure import runtimes as rt
from workbench.measure.exclusive import watching
from workbench.network.network import Network, copy_model
from workbench.network.outputs import call
from workbench.network.tracing import find_layers
from workbench.plan.compressed import CompressedNetwork
from workbench.progress import Progress
from workbench.tables import Table, count, quantity, times

FACTORS = ("factor_in", "core", "factor_out")
WARM_UP_PASSES = 2
PART_KINDS = {"dense": "whole convolutions", "core": "cores", "1x1": "1x1 factors", "linear": "fully connected layers"}
"""Kind of a part -> its name in the plural. Factors of fully connected layers are of the kind "linear"."""
OTHER = "everything else"
"""Name of all but the convolutions and linear layers: activations, pooling, normalisation, and PyTorch itself."""


@dataclass(frozen=True)
class Group:
    """Multiply-adds, bytes moved (each weight, input and output once) and seconds of parts of a network in one pass."""

    name: str
    macs: int
    moved: int
    seconds: float

    def __add__(self, other: "Group") -> "Group":
        return Group(self.name, self.macs + other.macs, self.moved + other.moved, self.seconds + other.seconds)

    @property
    def intensity(self) -> float:
        """Multiply-adds for each byte moved."""
        return self.macs / self.moved if self.moved else 0.0

    @property
    def rate(self) -> float:
        """Multiply-adds a second."""
        return self.macs / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Part(Group):
    """A convolution or linear layer of a model; `name` is that of its module."""

    layer: str  # the layer of the original network that it is, or is a factor of
    part: str  # "dense", "factor_in", "core" or "factor_out"
    kind: str  # a key of PART_KINDS
    kernel: str  # like "3x3", "3x3, 2 groups" or "linear"


@dataclass(frozen=True, repr=False)
class NetworkProfile(Table):
    """Time of one network by part: its convolutions and linear layers in the order of their first call."""

    network: str
    parts: tuple[Part, ...]
    other: float  # seconds of everything else

    headers = ("layer", "part", "kernel", "MACs", "bytes", "MACs per byte", "time", "share", "MAC/s")
    left = (0, 1, 2)

    @property
    def total(self) -> Group:
        """Sums over the whole pass; MACs are those of the parts only."""
        return sum(self.parts, Group("total", 0, 0, self.other))

    @property
    def seconds(self) -> float:
        """Seconds of one pass of the whole batch."""
        return self.total.seconds

    def sums(self, by: Literal["layer", "kind"]) -> dict[str, Group]:
        """Return sums over the parts of each layer of the original network, or of each kind."""
        groups: dict[str, Group] = {}
        for part in self.parts:
            name = getattr(part, by)
            groups[name] = groups.get(name, Group(name, 0, 0, 0.0)) + part
        return groups

    @property
    def rows(self) -> list[list[str]]:
        """One row for each part, one for everything else, and the total."""
        rows = []
        for group in (*self.parts, Group(OTHER, 0, 0, self.other), self.total):
            names = [group.layer, group.part, group.kernel] if isinstance(group, Part) else [group.name, "", ""]
            costs = [*_costs(group), f"{group.intensity:.3g}", quantity(group.seconds, "s")]
            rows.append([*names, *costs, f"{group.seconds / (self.seconds or 1.0):.1%}", count(group.rate)])
        return rows


def _costs(group: Group) -> list[str]:
    return [count(group.macs), quantity(group.moved, "B")] if group.moved else ["", ""]


@dataclass(frozen=True, repr=False)
class Profile(Table):
    """Time of an original and its compressed network by layer, and by factor in `compressed`."""

    original: NetworkProfile  # or the only network
    compressed: NetworkProfile | None = None
    how: str = ""  # runtime, batch, threads, memory format and repeats, in words
    threads: int = 1
    device: str = "cpu"
    disturbed: str = ""  # a sentence if another process of the workbench computed meanwhile

    @property
    def networks(self) -> dict[str, NetworkProfile]:
        """The profiles by "original" and, if there is one, "compressed"."""
        return {"original": self.original} | ({"compressed": self.compressed} if self.compressed else {})

    def timed(self) -> Iterator[tuple[str, str, list[Part]]]:
        """Yield (name of the network, kind, parts of this kind that logarithmic axes can show), if there are any."""
        for name, network in self.networks.items():
            for kind in PART_KINDS:
                if parts := [part for part in network.parts if part.kind == kind and part.seconds > 0 and part.macs]:
                    yield name, kind, parts

    @property
    def caption(self) -> str:
        """The conditions of the measurement, and whether it was disturbed."""
        return "; ".join(filter(None, (f"{self.original.network}, one pass: {self.how}", self.disturbed)))

    @property
    def headers(self) -> tuple[str, ...]:  # type: ignore[override]
        """Titles of the columns."""
        columns = ("layer", "MACs", "bytes", "time")
        return (*columns, "MACs after", "bytes after", "time after", "faster") if self.compressed else columns

    @property
    def rows(self) -> list[list[str]]:
        """One row for each layer of the original, one for everything else, and the total."""
        columns = [
            network.sums("layer") | {OTHER: Group(OTHER, 0, 0, network.other), "total": network.total}
            for network in self.networks.values()
        ]
        rows = []
        for name in columns[0]:
            groups = [column.get(name, Group(name, 0, 0, 0.0)) for column in columns]
            cells = [cell for group in groups for cell in (*_costs(group), quantity(group.seconds, "s"))]
            speedup = [times(groups[0].seconds / (group.seconds or groups[0].seconds or 1.0)) for group in groups[1:]]
            rows.append([name, *cells, *speedup])
        return rows


def profile(
    network: Network,
    *,
    batch: int = 1,
    threads: int = 1,
    channels_last: bool = False,
    repeats: int = 10,
    progress: Progress | bool | None = None,
) -> Profile:
    """Profile a compressed network and its original in turns, or one network, in eager PyTorch.

    Parameters
    ----------
    batch, threads, channels_last : images in one run, threads that it may use, and PyTorch's memory format.
    repeats : timed passes; the seconds of each layer, and of each interval between two, are medians over them.

    Raises
    ------
    ValueError : if the network does not call the same layers each time, or a setting is no number of at least 1.
    """
    rt.check_counts(batch=batch, threads=threads, repeats=repeats)
    with watching(progress) as watch, rt.torch_threads(threads), torch.inference_mode():
        timers = [_PassTimer(n, batch, channels_last) for n in rt.with_original(network).values()]
        turns = [timer for _ in range(WARM_UP_PASSES + repeats) for timer in timers]
        for i, timer in enumerate(turns):
            watch.report(i / len(turns), timer.network.name)
            timer.run()
        watch.report(1.0, "")
    original, *compressed = [timer.result() for timer in timers]
    device = network.device.type
    how = f"{rt.configuration('eager', batch, threads, channels_last)}, median of {repeats}"
    return Profile(original, compressed[0] if compressed else None, how, threads, device, watch.disturbed)


class _PassTimer:
    """Times passes of a copy of a network by hooks on its layers."""

    def __init__(self, network: Network, batch: int, channels_last: bool) -> None:
        self.network, self.batch = network, batch
        self.layers = find_layers(network).layers
        layout = torch.channels_last if channels_last else torch.preserve_format
        self.model = copy_model(network.model).to(memory_format=layout)  # type: ignore[call-overload]
        self.inputs = tree_map_only(
            Tensor,
            lambda x: x.contiguous(memory_format=layout) if channels_last and x.ndim == 4 else x,
            rt.batch_inputs(network, batch),
        )
        self.stamps: list[tuple[str, float]] = []
        self.passes: list[list[tuple[str, float]]] = []
        for layer in self.layers:
            module = self.model.get_submodule(layer.name)
            module.register_forward_pre_hook(partial(self._stamp, OTHER))
            module.register_forward_hook(partial(self._stamp, layer.name), prepend=True)

    def _stamp(self, name: str, *_: object) -> None:
        """End an interval that was spent in the layer `name`, or in `OTHER`."""
        self.stamps.append((name, self._now()))

    def _now(self) -> float:
        rt.synchronize(self.network.device)
        return time.perf_counter()

    def run(self) -> None:
        """Time one pass as intervals: between layers, in a layer, between layers, and so on."""
        self.stamps = []
        self._stamp(OTHER)
        call(self.model, self.inputs)
        self._stamp(OTHER)
        self.passes.append(self.stamps)

    def result(self) -> NetworkProfile:
        """Return sums of the medians of the intervals, so that a disturbance does not spoil a whole pass."""
        names = {tuple(name for name, _ in stamps) for stamps in self.passes}
        if len(names) > 1:
            raise ValueError(f"{self.network.name} does not call the same layers each time: it cannot be profiled")
        intervals = np.diff([[time_s for _, time_s in stamps] for stamps in self.passes[WARM_UP_PASSES:]])
        seconds = dict.fromkeys([OTHER, *(layer.name for layer in self.layers)], 0.0)
        for name, interval in zip(names.pop()[1:], np.median(intervals, axis=0), strict=True):
            seconds[name] += float(interval)
        item_bytes = next((p.element_size() for p in self.model.parameters()), 4)
        plan = self.network.plan if isinstance(self.network, CompressedNetwork) else ()
        reduced_kinds = {part.name: part.layer.kind for part in plan if part.decision != "keep"}
        parts = []
        for layer in self.layers:
            original, _, part = layer.name.rpartition(".")
            if part not in FACTORS or original not in reduced_kinds:
                original, part = layer.name, "dense"
            linear = reduced_kinds.get(original, layer.kind) == "linear"
            kind = "linear" if linear else part if part == "dense" else "1x1" if layer.pointwise else "core"
            macs, moved = self.batch * layer.cost.macs, bytes_moved(layer.shape, batch=self.batch, item=item_bytes)
            kernel = "linear" if layer.kind == "linear" else layer.describe().partition(", ")[2]
            parts.append(Part(layer.name, macs, moved, seconds[layer.name], original, part, kind, kernel))
        return NetworkProfile(self.network.name, tuple(parts), seconds[OTHER])
