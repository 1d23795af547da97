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

Vector = NDArray[np.float64]

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0)
"""Shares of the second cost in the mixture that is traded against error, where two are limited."""


@dataclass(frozen=True)
class Options:
    """What can be done with one layer.

    Attributes
    ----------
    cost : (candidates, costs) of each candidate, as it is first.
    error : (candidates,) predicted.
    ranks : (candidates, 2) rank_in and rank_out; rank_in 0 is Tucker-1, both 0 the layer as it is.
    """

    cost: NDArray[np.float64]
    error: Vector
    ranks: NDArray[np.int64]

    @classmethod
    def only(cls, cost: Sequence[float], ranks: tuple[int, int] = (0, 0)) -> "Options":
        """Return a single candidate without an error."""
        return cls(np.array([cost], dtype=np.float64), np.zeros(1), np.array([ranks], dtype=np.int64))

    def among(self, picks: NDArray[np.intp] | NDArray[np.bool_]) -> "Options":
        """Return the candidates at these indices."""
        return Options(self.cost[picks], self.error[picks], self.ranks[picks])

    def hull(self, mixture: Vector) -> NDArray[np.intp]:
        """Return the candidates on the lower convex hull of error over mixed cost, the cheapest first."""
        cost = self.cost @ mixture
        order = np.lexsort((self.error, cost))
        error = self.error[order]
        order = order[error < np.minimum.accumulate(np.r_[np.inf, error[:-1]])]  # below all before it
        corners: list[int] = []
        for i in order:
            while len(corners) > 1 and _above(corners[-2], corners[-1], i, cost, self.error):
                corners.pop()
            corners.append(int(i))
        return np.array(corners, dtype=np.intp)


def _above(a: int, b: int, c: int, cost: Vector, error: Vector) -> bool:
    """Return whether b lies on or above the line from a to c."""
    left = (error[b] - error[a]) * (cost[c] - cost[a])
    right = (error[c] - error[a]) * (cost[b] - cost[a])
    return bool(left >= right)


def mixtures(scale: Vector, limited: NDArray[np.bool_]) -> list[Vector]:
    """Return weights of the costs in the sum traded against error: a single cost, or shares of the limited ones."""
    which = np.flatnonzero(limited)
    if len(which) < 2:
        which = which if len(which) else np.array([0])
        shares: list[tuple[float, ...]] = [(1.0,)]
    elif len(which) == 2:
        shares = [(1 - s, s) for s in SHARES]
    else:
        shares = [tuple(s / 4 for s in steps) for steps in product(range(5), repeat=len(which)) if sum(steps) == 4]
    found = []
    for share in shares:
        mixture = np.zeros(len(scale))
        mixture[which] = np.array(share) / np.maximum(scale[which], 1e-300)
        found.append(mixture)
    return found


def allocate(options: Sequence[Options], limit: Vector, scale: Vector) -> list[int] | None:
    """Return the candidate of each layer; None if even the cheapest do not fit.

    Parameters
    ----------
    limit : (costs,) most of each, infinite where it does not matter.
    scale : (costs,) what each costs in the original network, to mix them in fair shares.
    """
    mixed = mixtures(scale, np.isfinite(limit))
    # Costs are nearly proportional within a layer: hulls of a few mixtures hold what any of them needs.
    coarse = mixed[:: max(1, len(mixed) // 2)]
    few = [np.unique(np.concatenate([o.hull(m) for m in coarse])) for o in options]
    small = [option.among(picks) for option, picks in zip(options, few, strict=True)]
    best: tuple[float, list[int]] | None = None
    for mixture in mixed:
        found = _walk_hulls(small, mixture, limit)
        if found is not None and (best is None or found[0] < best[0]):
            best = found
    return None if best is None else [int(f[pick]) for f, pick in zip(few, best[1], strict=True)]


def _walk_hulls(options: Sequence[Options], mixture: Vector, limit: Vector) -> tuple[float, list[int]] | None:
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
