"""How long a layer takes inside a network, from runs of the layer without the network.

Two things differ. PyTorch takes maps as they lie in memory, but a runtime that translates a network first lays maps
out in its own way; it does so once for a whole network, but for a layer that runs alone at both ends, and copies what
comes out. So there the layer is given two small neighbours inside the program, and what they take without it is
subtracted. And a layer that runs again and again finds its weights in the cache, where the rest of a large network
would have driven them out. So for a layer of such a network something else goes through the cache before each run;
not in PyTorch, where this would drive out the layer's maps too, with no neighbours to subtract that.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from workbench.measure.roofline import last_cache
from workbench.measure.runtimes import Runner, prepare

TRANSLATED = ("onnxruntime", "executorch")
"""Runtimes that lay out maps in their own way."""

REPEATS, ENOUGH, WHOLE = 7, 0.04, 2.0
"""Runs at least, and seconds after which there are enough: of a layer, and of a whole network."""

LONG = 5.0
"""Seconds of runs after which there are no more, few as they are."""

MOST = 128 << 20
"""Bytes at most that go through the cache to drive out what is in it."""


class Alone:
    """Times layers in one runtime.

    Parameters
    ----------
    runtime, threads, channels_last : as of :func:`~workbench.measure.runtimes.prepare`.
    device : of the inputs.
    cold : weights are not in the cache when a run begins, in a runtime that translates. See :func:`cold`.
    """

    def __init__(
        self, runtime: str, threads: int, channels_last: bool, device: torch.device, *, cold: bool = False
    ) -> None:
        self._runtime, self._threads, self._channels_last = runtime, threads, channels_last
        self._device = device
        self._ends: dict[tuple[int, ...], float] = {}
        size = min(2 * last_cache(), MOST) if cold and runtime in TRANSLATED else 0
        self._other = torch.zeros(size, dtype=torch.uint8)

    def seconds(self, module: nn.Module, shape: tuple[int, ...]) -> float:
        """Of a layer with inputs of this shape; of maps in a runtime that translates, as between two other layers."""
        if self._runtime not in TRANSLATED or len(shape) != 4:
            return self._run(module, shape)
        with torch.inference_mode():
            behind = tuple(module(torch.zeros(shape, device=self._device)).shape)
        if len(behind) != 4:
            return self._run(module, shape)
        both = self._run(_between(module, shape), _narrow(shape))
        return max(0.0, both - 0.5 * self._neighbours(shape) - 0.5 * self._neighbours(behind))

    def whole(self, model: nn.Module, shape: tuple[int, ...]) -> float:
        """Of a network as it is, with inputs of this shape; it drives out its own weights, nothing else does."""
        return quick(self._ready(model, shape).clock, enough=WHOLE)

    def _run(self, module: nn.Module, shape: tuple[int, ...]) -> float:
        """Of a program with inputs of this shape."""
        return quick(self._ready(module, shape).clock, self._drive_out)

    def _ready(self, module: nn.Module, shape: tuple[int, ...]) -> Runner:
        given = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(self._device)
        return prepare(module, given, self._runtime, threads=self._threads, channels_last=self._channels_last)

    def _drive_out(self) -> None:
        self._other += 1

    def _neighbours(self, shape: tuple[int, ...]) -> float:
        """Of the two neighbours with maps of this shape between them; one makes them, the other reads them."""
        if shape not in self._ends:
            self._ends[shape] = self._run(_between(None, shape), _narrow(shape))
        return self._ends[shape]


def cold(model: nn.Module) -> bool:
    """Whether a run of a network drives its own weights out of the cache: all of them together do not fit."""
    return sum(p.numel() * p.element_size() for p in model.parameters()) > last_cache()


def quick(clock: Callable[[], float], before: Callable[[], None] = lambda: None, enough: float = ENOUGH) -> float:
    """A low quartile of a few runs after one to warm up: what else the machine does only ever adds time."""
    clock()
    found: list[float] = []
    began = time.perf_counter()
    while len(found) < REPEATS or (time.perf_counter() - began < enough and len(found) < 100):
        before()
        found.append(clock())
        if sum(found) > LONG:
            break
    return float(np.quantile(found, 0.25))


def _narrow(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], 1, *shape[2:])


def _between(module: nn.Module | None, shape: tuple[int, ...]) -> nn.Module:
    """A layer that makes maps of this shape out of one channel, the module, and the means of its maps."""
    before = nn.utils.skip_init(nn.Conv2d, 1, shape[1], 1, bias=False)  # whoever measures draws no random numbers
    nn.init.ones_(before.weight)
    return nn.Sequential(before, *([] if module is None else [module]), nn.AdaptiveAvgPool2d(1))
