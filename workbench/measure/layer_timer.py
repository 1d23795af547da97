"""Time single layers as they run inside a network.

Two things differ from a layer that runs by itself. A runtime that translates a network lays out maps in its own way,
once for the whole network, but for a single layer at both ends: the layer is timed between two small neighbours in one
program, and their time without it is subtracted. And a layer that runs again and again finds its weights in the cache,
where those of a large network's other layers would have evicted them: an array goes through the cache before each run.
Not in PyTorch: there it would evict the layer's maps too, and no neighbours are subtracted.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from workbench.measure.roofline import last_cache
from workbench.measure.runtimes import Runner, prepare

TRANSLATING_RUNTIMES = ("onnxruntime", "executorch")
"""Runtimes that lay out maps in their own way."""
MIN_RUNS, MAX_RUNS = 7, 100
LAYER_SECONDS, NETWORK_SECONDS, MAX_SECONDS = 0.04, 2.0, 5.0
"""Seconds of runs that are enough for a layer and for a network, and after which fewer than `MIN_RUNS` are enough."""
MAX_EVICTION_BYTES = 128 << 20


class LayerTimer:
    """Times layers in one runtime.

    Parameters
    ----------
    like : a tensor with the device and the number format of the inputs.
    evict : whether to evict weights from the cache before each run, in a runtime that translates.
    """

    def __init__(self, runtime: str, threads: int, channels_last: bool, like: Tensor, *, evict: bool = False) -> None:
        self._translates = runtime in TRANSLATING_RUNTIMES
        self._how = {"runtime": runtime, "threads": threads, "channels_last": channels_last}
        self._like = like.new_empty(0)
        self._neighbours: dict[tuple[int, ...], float] = {}
        size = min(2 * last_cache(), MAX_EVICTION_BYTES) if evict and self._translates else 0
        self._evicting = torch.zeros(size, dtype=torch.uint8)

    def layer_seconds(self, module: nn.Module, shape: tuple[int, ...]) -> float:
        """Return the time of a layer with inputs of this shape; 0 if its neighbours take as long without it."""
        if not self._translates or len(shape) != 4:
            return self._seconds(module, shape)
        with torch.inference_mode():
            output = tuple(module(self._like.new_zeros(shape)).shape)
        if len(output) != 4:
            return self._seconds(module, shape)
        both = self._between_neighbours(module, shape)
        return max(0.0, both - 0.5 * self._neighbours_seconds(shape) - 0.5 * self._neighbours_seconds(output))

    def network_seconds(self, model: nn.Module, shape: tuple[int, ...]) -> float:
        """Return the time of a network with inputs of this shape; it evicts its own weights, nothing else does."""
        return low_quartile(self._runner(model, shape).clock, seconds=NETWORK_SECONDS)

    def _seconds(self, module: nn.Module, shape: tuple[int, ...]) -> float:
        return low_quartile(self._runner(module, shape).clock, before=self._evict)

    def _runner(self, module: nn.Module, shape: tuple[int, ...]) -> Runner:
        inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(self._like)
        return prepare(module, inputs, **self._how)  # type: ignore[arg-type]

    def _evict(self) -> None:
        self._evicting += 1

    def _between_neighbours(self, module: nn.Module, shape: tuple[int, ...]) -> float:
        """Return the time of a layer that makes maps of this shape from one channel, the module, and their means."""
        before = nn.utils.skip_init(nn.Conv2d, 1, shape[1], 1, bias=False)  # draws no random numbers
        nn.init.ones_(before.weight)
        program = nn.Sequential(before.to(self._like), module, nn.AdaptiveAvgPool2d(1))
        return self._seconds(program, (shape[0], 1, *shape[2:]))

    def _neighbours_seconds(self, shape: tuple[int, ...]) -> float:
        """Return the time of the two neighbours, one of which makes maps of this shape and the other reads them."""
        if shape not in self._neighbours:
            self._neighbours[shape] = self._between_neighbours(nn.Identity(), shape)
        return self._neighbours[shape]


def exceeds_cache(model: nn.Module) -> bool:
    """Return whether a run of a network evicts its own weights: all of them together do not fit into the cache."""
    return sum(p.numel() * p.element_size() for p in model.parameters()) > last_cache()


def low_quartile(
    clock: Callable[[], float], *, seconds: float = LAYER_SECONDS, before: Callable[[], None] = lambda: None
) -> float:
    """Return the lower quartile of a few runs after one to warm up: disturbances only ever add time."""
    clock()
    found: list[float] = []
    began = time.perf_counter()
    while len(found) < MIN_RUNS or (time.perf_counter() - began < seconds and len(found) < MAX_RUNS):
        before()
        found.append(clock())
        if sum(found) > MAX_SECONDS:
            break
    return float(np.quantile(found, 0.25))
