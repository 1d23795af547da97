r"""Allocate a budget over layers: choose one candidate for each layer so that the sum of their errors is smallest.

The problem is to minimise :math:`\sum_l d_l e_l(r_l)` under :math:`\sum_l c_l(r_l) \le B`. Lagrange multipliers give
the optimum over the convex hulls: start with the cheapest candidate of every layer, and walk along the hulls' edges in
the order of error saved per unit of cost, until a step exceeds the budget. What remains of the budget is less than
that step. If several costs are limited, the walk is repeated for a few fixed mixtures of them, and the best result
counts. On such paths a larger budget never predicts a larger error.

References: Everett, Operations Research 11 (1963) (Lagrange multipliers for allocation).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from workbench.kernels.evbmf import Vector

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0)
"""Shares of the second cost in the mixtures of two limited costs."""


@dataclass(frozen=True)
class Candidates:
    """Candidates for one layer; the first is the dense layer."""

    cost: Vector  # (candidates, costs)
    error: Vector  # (candidates,) predicted
    ranks: NDArray[np.int64]  # (candidates, 2) rank_in and rank_out; rank_in 0 is Tucker-1, both 0 the dense layer

    def subset(self, indices: NDArray[np.intp]) -> "Candidates":
        """Return the candidates at these indices."""
        return Candidates(self.cost[indices], self.error[indices], self.ranks[indices])

    def hull(self, mixture: Vector) -> NDArray[np.intp]:
        """Return indices of the candidates on the lower convex hull of error over mixed cost, the cheapest first."""
        cost, error = self.cost @ mixture, self.error
        order = np.lexsort((error, cost))
        order = order[error[order] < np.minimum.accumulate(np.r_[np.inf, error[order][:-1]])]  # below all cheaper ones

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
    """Return weights (mixtures, costs) by which limited costs are summed; if none is limited, the first cost counts."""
    indices = np.flatnonzero(limited) if limited.any() else np.array([0])
    shares: list[tuple[float, ...]] = [(1.0,)]
    if len(indices) == 2:
        shares = [(1 - s, s) for s in SHARES]
    elif len(indices) == 3:
        shares = [tuple(s / 4 for s in steps) for steps in product(range(5), repeat=3) if sum(steps) == 4]
    weights = np.zeros((len(shares), len(scale)))
    weights[:, indices] = np.array(shares) / np.maximum(scale[indices], 1e-300)
    return weights


def allocate(layers: Sequence[Candidates], limit: Vector, scale: Vector) -> list[int] | None:
    """Return the index of each layer's candidate; None if even the cheapest ones exceed the limits.

    `limit` (costs,) is infinite for unlimited costs; `scale` (costs,) is the cost of the original network, by which the
    shares of a mixture are normalised.
    """
    all_mixtures = mixtures(scale, np.isfinite(limit))
    # Costs are nearly proportional within a layer: the hulls of a few mixtures hold all useful candidates.
    few_mixtures = all_mixtures[:: max(1, len(all_mixtures) // 2)]
    corners = [np.unique(np.concatenate([layer.hull(mixture) for mixture in few_mixtures])) for layer in layers]
    on_hulls = [layer.subset(indices) for layer, indices in zip(layers, corners, strict=True)]
    results = [result for mixture in all_mixtures if (result := _walk_hulls(on_hulls, mixture, limit)) is not None]
    if not results:
        return None
    _, best = min(results, key=lambda result: result[0])
    return [int(indices[pick]) for indices, pick in zip(corners, best, strict=True)]


def _walk_hulls(layers: Sequence[Candidates], mixture: Vector, limit: Vector) -> tuple[float, list[int]] | None:
    """Return (sum of errors, index of each layer's candidate); None if the cheapest ones exceed the limits."""
    hulls = [layer.hull(mixture) for layer in layers]
    picks = [int(hull[0]) for hull in hulls]
    cost = np.sum([layer.cost[pick] for layer, pick in zip(layers, picks, strict=True)], axis=0)
    if (cost > limit).any():
        return None
    edges = []
    for i, (layer, hull) in enumerate(zip(layers, hulls, strict=True)):
        mixed_cost = layer.cost[hull] @ mixture
        slopes = np.diff(layer.error[hull]) / np.maximum(np.diff(mixed_cost), 1e-300)
        edges += [(float(slope), i, step) for step, slope in enumerate(slopes)]
    for _, i, step in sorted(edges):
        next_pick = int(hulls[i][step + 1])
        next_cost = cost + layers[i].cost[next_pick] - layers[i].cost[picks[i]]
        if (next_cost > limit).any():
            break
        cost, picks[i] = next_cost, next_pick
    return float(sum(layer.error[pick] for layer, pick in zip(layers, picks, strict=True))), picks
