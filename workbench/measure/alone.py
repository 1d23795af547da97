"""How long a layer takes inside a network, from runs of the layer without the network.

PyTorch takes maps as they lie in memory. A runtime that translates a network first lays maps out in its own way; it
does so once for a whole network, but for a layer that runs alone at both ends, and copies what comes out. So there the
layer is given two small neighbours inside the program, and what they take without it is subtracted.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from workbench.measure.runtimes import prepare

TRANSLATED = ("onnxruntime", "executorch")
"""Runtimes that lay out maps in their own way."""

REPEATS, ENOUGH = 5, 0.03
"""Runs at least, and seconds after which there are enough."""


class Alone:
    """Times layers in one runtime.

    Parameters
    ----------
    runtime, threads, channels_last : as of :func:`~workbench.measure.runtimes.prepare`.
    device : of the inputs.
    """

    def __init__(self, runtime: str, threads: int, channels_last: bool, device: torch.device) -> None:
        self._runtime, self._threads, self._channels_last = runtime, threads, channels_last
        self._device = device
        self._ends: dict[tuple[int, ...], float] = {}

    def seconds(self, module: nn.Module, shape: tuple[int, ...]) -> float:
        """Of a layer with inputs of this shape; of maps in a runtime that translates, as between two other layers."""
        if self._runtime not in TRANSLATED or len(shape) != 4:
            return self.whole(module, shape)
        with torch.inference_mode():
            behind = tuple(module(torch.zeros(shape, device=self._device)).shape)
        if len(behind) != 4:
            return self.whole(module, shape)
        both = self.whole(_between(module, shape), _narrow(shape))
        return max(0.0, both - 0.5 * self._neighbours(shape) - 0.5 * self._neighbours(behind))

    def whole(self, module: nn.Module, shape: tuple[int, ...]) -> float:
        """Of a module as it is, with inputs of this shape."""
        given = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(self._device)
        runner = prepare(module, given, self._runtime, threads=self._threads, channels_last=self._channels_last)
        return quick(runner.clock)

    def _neighbours(self, shape: tuple[int, ...]) -> float:
        """Of the two neighbours with maps of this shape between them; one makes them, the other reads them."""
        if shape not in self._ends:
            self._ends[shape] = self.whole(_between(None, shape), _narrow(shape))
        return self._ends[shape]


def quick(clock: Callable[[], float]) -> float:
    """A low quartile of a few runs after one to warm up: what else the machine does only ever adds time."""
    clock()
    found: list[float] = []
    while len(found) < REPEATS or (sum(found) < ENOUGH and len(found) < 100):
        found.append(clock())
        if sum(found) > 100 * ENOUGH:
            break
    return float(np.quantile(found, 0.25))


def _narrow(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], 1, *shape[2:])


def _between(module: nn.Module | None, shape: tuple[int, ...]) -> nn.Module:
    """A layer that makes maps of this shape out of one channel, the module, and the means of its maps."""
    before = nn.utils.skip_init(nn.Conv2d, 1, shape[1], 1, bias=False)  # whoever measures draws no random numbers
    nn.init.ones_(before.weight)
    return nn.Sequential(before, *([] if module is None else [module]), nn.AdaptiveAvgPool2d(1))
