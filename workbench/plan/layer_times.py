"""Predict the seconds of each layer at any ranks on one machine, by interpolation in a measured table.

:func:`workbench.measure.layer_times.measure_times` measures all factors of a layer together on a grid of ranks.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import RegularGridInterpolator

from workbench.kernels.evbmf import Vector
from workbench.plan.plan import LayerPlan, Plan


@dataclass(frozen=True)
class LayerTimes:
    """Seconds of one dense layer, and of its factors on a grid of growing ranks (no `ranks_in` without Tucker-2)."""

    dense: float
    ranks_in: tuple[int, ...]
    ranks_out: tuple[int, ...]
    two_sided: Vector = field(repr=False)  # (ranks_in, ranks_out) of Tucker-2's three factors; (0,) if there is none
    one_sided: Vector = field(repr=False)  # (ranks_out,) of Tucker-1's two

    def at(self, rank_in: ArrayLike | None, rank_out: ArrayLike) -> Vector:
        """Return the seconds of Tucker-2 at these pairs of ranks, or of Tucker-1 if `rank_in` is None.

        Interpolation is linear, and constant beyond the grid.
        """
        if rank_in is None:
            return np.asarray(np.interp(np.asarray(rank_out), self.ranks_out, self.one_sided))
        grid = (self.ranks_in, self.ranks_out)
        points = [np.clip(ranks, axis[0], axis[-1]) for ranks, axis in zip((rank_in, rank_out), grid, strict=True)]
        seconds: Vector = RegularGridInterpolator(grid, self.two_sided)(np.stack(points, axis=-1))
        return seconds.reshape(np.shape(rank_in))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in vars(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "LayerTimes":
        """Return times from the values of :meth:`to_dict`; raise ValueError if they are no table."""
        ranks_in, ranks_out = (tuple(int(r) for r in values[key]) for key in ("ranks_in", "ranks_out"))
        shapes = {"two_sided": (len(ranks_in), len(ranks_out)) if ranks_in else (0,), "one_sided": (len(ranks_out),)}
        arrays = {key: np.asarray(values[key], dtype=np.float64) for key in shapes}
        if any(arrays[key].shape != shape or (arrays[key] < 0).any() for key, shape in shapes.items()):
            raise ValueError("this is no table of times")
        return cls(float(values["dense"]), ranks_in, ranks_out, **arrays)


@dataclass(frozen=True)
class NetworkTimes:
    """Seconds of a network's layers on one machine."""

    network: str
    where: str  # runtime, threads, batch and machine, in words
    layers: dict[str, LayerTimes] = field(repr=False)  # those that can be factorised
    other: float  # seconds of everything else in one run
    seconds: float  # duration of the measurement
    disturbed: str = ""  # a sentence if another process of the workbench computed meanwhile

    @property
    def dense(self) -> float:
        """Seconds of the original network in one run, as the sum over its layers and `other`."""
        return sum(layer.dense for layer in self.layers.values()) + self.other

    def layer(self, part: LayerPlan) -> float:
        """Return the predicted seconds of a planned layer; 0 for a layer that `other` includes."""
        if part.name not in self.layers:
            return 0.0
        times = self.layers[part.name]
        return times.dense if part.rank_out is None else float(times.at(part.rank_in, part.rank_out))

    def of(self, plan: Plan) -> float:
        """Return the predicted seconds of a planned network in one run."""
        return sum(self.layer(part) for part in plan) + self.other

    def speedup(self, plan: Plan) -> float:
        """Return original / predicted seconds."""
        return self.dense / self.of(plan)

    def __str__(self) -> str:
        measured = f"measured in {self.seconds:.0f} s" + (f"; {self.disturbed}" if self.disturbed else "")
        return f"{self.network}: {len(self.layers)} layers, {1e3 * self.dense:.1f} ms a run ({self.where}); {measured}"

    __repr__ = __str__
