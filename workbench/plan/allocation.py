r"""Allocate one budget over many layers: choose a candidate for each so that the sum of errors is smallest.

Of the sum of errors :math:`\sum_l d_l e_l(r_l)` under :math:`\sum_l c_l(r_l) \le B` the Lagrange multiplier gives the
optimum over the convex hulls: begin with every layer at its cheapest, and go on along the hulls' edges in the order of
error saved for each unit of cost, while they fit. What one step is short of the budget is less than one layer's step.
Where several costs are limited, the same is done for a few fixed mixtures of them, and the best is taken. On such
paths a larger budget never predicts a larger error.

References: Everett, Operations Research 11 (1963) (Lagrange multipliers for allocation).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from workbench.kernels.evbmf import Vector

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0)
"""Shares of the second cost in the mixture that is traded against error, where two are limited."""


@dataclass(frozen=True)
class Options:
    """What can be done with one layer: candidates, the layer as it is first."""

    cost: Vector  # (candidates, costs)
    error: Vector  # (candidates,) predicted
    ranks: NDArray[np.int64]  # (candidates, 2) rank_in and rank_out; rank_in 0 is Tucker-1, both 0 the layer as it is

    def among(self, picks: NDArray[np.intp]) -> "Options":
        """Return the candidates at these indices."""
        return Options(self.cost[picks], self.error[picks], self.ranks[picks])

    def hull(self, mixture: Vector) -> NDArray[np.intp]:
        """Return the candidates on the lower convex hull of error over mixed cost, the cheapest first."""
        cost, error = self.cost @ mixture, self.error
        order = np.lexsort((error, cost))
        order = order[error[order] < np.minimum.accumulate(np.r_[np.inf, error[order][:-1]])]  # below all before it

        def above(a: int, b: int, c: int) -> bool:
            """Return whether b lies on or above the line from a to c."""
            return bool((error[b] - error[a]) * (cost[c] - cost[a]) >= (error[c] - error[a]) * (cost[b] - cost[a]))

        corners: list[int] = []
        for i in order:
            while len(corners) > 1 and above(corners[-2], corners[-1], i):
                corners.pop()
            corners.append(int(i))
        return np.array(corners, dtype=np.intp)


def mixtures(scale: Vector, limited: NDArray[np.bool_]) -> Vector:
    """Return weights of the costs in the sum traded against error: a single cost, or shares of the limited ones."""
    which = np.flatnonzero(limited) if limited.any() else np.array([0])
    shares: list[tuple[float, ...]] = [(1.0,)]
    if len(which) == 2:
        shares = [(1 - s, s) for s in SHARES]
    elif len(which) == 3:
        shares = [tuple(s / 4 for s in steps) for steps in product(range(5), repeat=3) if sum(steps) == 4]
    found = np.zeros((len(shares), len(scale)))
    found[:, which] = np.array(shares) / np.maximum(scale[which], 1e-300)
    return found


def allocate(options: Sequence[Options], limit: Vector, scale: Vector) -> list[int] | None:
    """Return the candidate of each layer; None if even the cheapest do not fit.

    `limit` (costs,) is the most of each, infinite where it does not matter; `scale` (costs,) what each costs in the
    original network, to mix them in fair shares.
    """
    mixed = mixtures(scale, np.isfinite(limit))
    # Costs are nearly proportional within a layer: hulls of a few mixtures hold what any of them needs.
    coarse = mixed[:: max(1, len(mixed) // 2)]
    few = [np.unique(np.concatenate([o.hull(m) for m in coarse])) for o in options]
    small = [option.among(picks) for option, picks in zip(options, few, strict=True)]
    walked = [found for mixture in mixed if (found := _walk_hulls(small, mixture, limit)) is not None]
    if not walked:
        return None
    _, best = min(walked, key=lambda found: found[0])
    return [int(f[pick]) for f, pick in zip(few, best, strict=True)]


def _walk_hulls(options: Sequence[Options], mixture: Vector, limit: Vector) -> tuple[float, list[int]] | None:
    """Return (sum of errors, candidate of each layer); None if the cheapest do not fit."""
    hulls = [option.hull(mixture) for option in options]
    picks = [int(hull[0]) for hull in hulls]
    cost = np.sum([option.cost[pick] for option, pick in zip(options, picks, strict=True)], axis=0)
    if (cost > limit).any():
        return None
    edges = []
    for i, (option, hull) in enumerate(zip(options, hulls, strict=True)):
        mixed = option.cost[hull] @ mixture
        slopes = np.diff(option.error[hull]) / np.maximum(np.diff(mixed), 1e-300)
        edges += [(float(slope), i, step) for step, slope in enumerate(slopes)]
    for _, i, step in sorted(edges):
        now = int(hulls[i][step + 1])
        new = cost + options[i].cost[now] - options[i].cost[picks[i]]
        if (new > limit).any():
            break
        cost, picks[i] = new, now
    return float(sum(option.error[pick] for option, pick in zip(options, picks, strict=True))), picks
