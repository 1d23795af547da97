r"""A plan to a budget: ranks of all layers together, so that the predicted error is smallest at the asked cost.

Every layer has candidates, each with a cost and a predicted error: Tucker-2 at any pair of ranks, Tucker-1 at any
rank, and the layer as it is. Of the sum of errors :math:`\sum_l d_l e_l(r_l)` under :math:`\sum_l c_l(r_l) \le B` the
Lagrange multiplier gives the optimum over the convex hulls: begin with every layer at its cheapest, and go on along
the hulls' edges in the order of error saved for each MAC, while they fit. What one step is short of the budget is
less than one layer's step. Where the weights have a budget too, the same is done for a few fixed mixtures of both
costs, and the best is taken. On such paths a larger budget never predicts a larger error.

References: Everett, Operations Research 11 (1963) (Lagrange multipliers for allocation); Kim et al., ICLR 2016.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.compression.layers import Layer
from workbench.compression.network import Network
from workbench.compression.plan import LayerPlan, Plan, PlanError
from workbench.compression.ranks import choose_layers, why_not_chosen
from workbench.compression.sensitivities import Sensitivities, sensitivities
from workbench.compression.spectra import Spectra
from workbench.compression.views import Inputs
from workbench.kernels.complexity import Cost, tucker1_cost, tucker2_cost

Vector = NDArray[np.float64]
Pin = tuple[int | None, int] | str

MIXTURES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0)
"""Shares of the weights in the cost that is traded against error, where both are limited."""

FINEST = 100
"""Most ranks of one mode that are tried; wider layers go in steps."""


def budget_plan(
    spectra: Spectra,
    macs_ratio: float = 2.06,
    *,
    weights_ratio: float | None = None,
    images: Sensitivities | Inputs | None = None,
    network: Network | None = None,
    pinned: Mapping[str, Pin] | None = None,
    rank_multiple: int = 1,
    min_rank: int = 1,
    layers: str | Sequence[str] = "all",
) -> Plan:
    """The plan with the smallest predicted error of all that save that much.

    Parameters
    ----------
    spectra : from :func:`~workbench.compression.spectra.analyze`.
    macs_ratio : at least so many times fewer MACs in the whole network (2.06: the paper's GoogLeNet).
    weights_ratio : at least so many times fewer weights; None for no such limit.
    images : None to measure errors in the weights; a
        :class:`~workbench.compression.sensitivities.Sensitivities` to measure them in the network's outputs; or
        unlabelled images, from which those are measured first (which takes a minute: keep them for a slider).
    network : whose outputs `images` measure; None for the one that was analysed.
    pinned : layer -> (rank_in, rank_out), or "keep"; rank_in is None for Tucker-1.
    rank_multiple : ranks are multiples of this (some machines like 8 or 16).
    min_rank : smallest rank of any mode.
    layers : as for :func:`~workbench.compression.ranks.evbmf_plan`; all others are kept.

    Returns
    -------
    Plan in which no layer costs more than before, pinned ones excepted.

    Raises
    ------
    PlanError : if the budget cannot be met, naming the best that can be reached, or a pinned rank does not fit.
    ValueError : on settings that make no sense.
    """
    for name, value in (("rank_multiple", rank_multiple), ("min_rank", min_rank)):
        if int(value) != value or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, not {value}")
    for name, wanted in (("macs_ratio", macs_ratio), ("weights_ratio", weights_ratio)):
        if wanted is not None and not 0 < wanted < float("inf"):
            raise ValueError(f"{name} must be a number above 0, not {wanted}")
    measured = _measured(spectra, images, network)
    fixed = dict(pinned or {})
    unknown = sorted(set(fixed) - {layer.name for layer in spectra.layers})
    if unknown:
        raise PlanError(f"{spectra.network} has no layer {', '.join(map(repr, unknown))} to pin")
    chosen = choose_layers(spectra, layers)
    options = []
    for layer in spectra.layers:
        if layer.name in fixed:
            options.append(_pinned(layer, fixed[layer.name]))
        elif layer.method == "keep" or layer.name not in chosen:
            options.append(Options.kept(layer))
        else:
            options.append(_options(layer, spectra, measured, rank_multiple, min_rank))
    dense = spectra.total
    limit = (dense.macs / macs_ratio - spectra.other.macs, np.inf)
    if weights_ratio is not None:
        limit = (limit[0], dense.weights / weights_ratio - spectra.other.weights)
    picks = _allocate(options, limit, dense)
    if picks is None:
        raise PlanError(_out_of_reach(spectra, options, macs_ratio, weights_ratio))
    aims = f"MACs x{macs_ratio:g}" + (f", weights x{weights_ratio:g}" if weights_ratio is not None else "")
    by = "in weights" if measured is None else f"in outputs over {measured.images} images"
    parts = [
        _part(spectra, layer, option, pick, layer.name in fixed, layer.name in chosen)
        for layer, option, pick in zip(spectra.layers, options, picks, strict=True)
    ]
    policy = f"budget {aims}, errors {by}"
    return Plan(spectra.network, spectra.input_shape, tuple(parts), spectra.other, policy, spectra)


@dataclass(frozen=True)
class Options:
    """What can be done with one layer: cost (MACs, weights), error and ranks of each candidate (rank_in 0: Tucker-1;
    both 0: as it is).
    """

    cost: NDArray[np.float64]  # (candidates, 2)
    error: Vector
    ranks: NDArray[np.int64]  # (candidates, 2)

    @classmethod
    def kept(cls, layer: Layer) -> "Options":
        """Only the layer as it is."""
        cost = np.array([[layer.cost.macs, layer.cost.weights]], dtype=np.float64)
        return cls(cost, np.zeros(1), np.zeros((1, 2), dtype=np.int64))

    def hull(self, mixture: Vector) -> NDArray[np.intp]:
        """Candidates on the lower convex hull of error over mixed cost, the cheapest first."""
        cost = self.cost @ mixture
        order = np.lexsort((self.error, cost))
        order = order[np.flatnonzero(_falls(self.error[order]))]
        corners: list[int] = []
        for i in order:
            while len(corners) > 1 and _above(corners[-2], corners[-1], i, cost, self.error):
                corners.pop()
            corners.append(int(i))
        return np.array(corners, dtype=np.intp)


def _falls(error: Vector) -> NDArray[np.bool_]:
    """Where an error is below all before it."""
    before = np.concatenate([[np.inf], np.minimum.accumulate(error)[:-1]])
    return np.asarray(error < before)


def _above(a: int, b: int, c: int, cost: Vector, error: Vector) -> bool:
    """Whether b lies on or above the line from a to c."""
    left = (error[b] - error[a]) * (cost[c] - cost[a])
    right = (error[c] - error[a]) * (cost[b] - cost[a])
    return bool(left >= right)


def _measured(spectra: Spectra, images: Sensitivities | Inputs | None, network: Network | None) -> Sensitivities | None:
    if images is None or isinstance(images, Sensitivities):
        if images is not None and images.network != spectra.network:
            raise PlanError(f"these sensitivities are of {images.network}, the spectra of {spectra.network}")
        return images
    known = network or spectra.analyzed
    if known is None:
        raise ValueError("to measure errors in outputs, give the network too, or Sensitivities in place of the images")
    return sensitivities(known, images, spectra)


def _ranks(most: int, multiple: int, least: int) -> NDArray[np.int64]:
    """The ranks to try: multiples, from the smallest allowed, at most `FINEST` of them."""
    first = -(-least // multiple)
    numbers = np.arange(first, most // multiple + 1)
    step = -(-len(numbers) // FINEST) if len(numbers) else 1
    return np.asarray(numbers[::step] * multiple, dtype=np.int64)


def _options(layer: Layer, spectra: Spectra, measured: Sensitivities | None, multiple: int, least: int) -> Options:
    """All candidates of a layer that are no larger than it is."""
    most_in, most_out = layer.max_ranks
    outs = _ranks(most_out, multiple, least)
    one_sided, table, damage = _errors(layer, spectra, measured)
    ranks = [np.stack([np.zeros_like(outs), outs], axis=1)]
    errors = [one_sided[outs]]
    costs = [_linear(lambda r: tucker1_cost(layer.shape, rank_out=r), outs)]
    if table is not None:
        ins = _ranks(most_in, multiple, least)
        pair_in, pair_out = (m.ravel() for m in np.meshgrid(ins, outs, indexing="ij"))
        ranks.append(np.stack([pair_in, pair_out], axis=1))
        errors.append(table[pair_out, pair_in])
        costs.append(_bilinear(layer, pair_in, pair_out))
    kept = Options.kept(layer)
    cost, error = np.concatenate([kept.cost, *costs]), np.concatenate([kept.error, *[damage * e for e in errors]])
    rank = np.concatenate([kept.ranks, *ranks])
    fits = (cost <= kept.cost[0]).all(axis=1)
    fits[1:] &= (cost[1:] < kept.cost[0]).any(axis=1)
    return Options(cost[fits], np.maximum(error[fits], 0.0), rank[fits])


def _linear(cost_of: object, ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    assert callable(cost_of)
    one, two = cost_of(1), cost_of(2)
    slope = np.array([two.macs - one.macs, two.weights - one.weights], dtype=np.float64)
    return np.asarray(np.array([one.macs, one.weights]) + (ranks[:, None] - 1) * slope)


def _bilinear(layer: Layer, rank_in: NDArray[np.int64], rank_out: NDArray[np.int64]) -> NDArray[np.float64]:
    """Costs of Tucker-2, which are a + b R3 + c R4 + d R3 R4, from four of them."""

    def at(i: int, o: int) -> Vector:
        cost: Cost = tucker2_cost(layer.shape, rank_in=i, rank_out=o)
        return np.array([cost.macs, cost.weights], dtype=np.float64)

    both = at(2, 2) - at(1, 2) - at(2, 1) + at(1, 1)
    i, o = (rank_in[:, None] - 1.0), (rank_out[:, None] - 1.0)
    return np.asarray(at(1, 1) + i * (at(2, 1) - at(1, 1)) + o * (at(1, 2) - at(1, 1)) + i * o * both)


def _errors(layer: Layer, spectra: Spectra, measured: Sensitivities | None) -> tuple[Vector, Vector | None, float]:
    """(error by rank_out for Tucker-1, error by (rank_out, rank_in) or None, weight of the layer's error)."""
    captured = spectra[layer.name].captured
    rows = np.minimum(np.arange(layer.max_ranks[1] + 1), len(captured) - 1)
    one_sided = 1 - captured[rows, -1]
    table = 1 - captured[rows] if layer.method == "tucker2" else None
    if measured is None:
        return one_sided, table, 1.0
    middle = float(np.median(list(measured.damage.values()) or [1.0]))
    one_sided = measured.lost_one_sided.get(layer.name, one_sided)
    table = measured.lost.get(layer.name, table) if table is not None else None
    return one_sided, table, measured.damage.get(layer.name, middle)


def _pinned(layer: Layer, pin: Pin) -> Options:
    if pin == "keep":
        return Options.kept(layer)
    if isinstance(pin, str):
        raise PlanError(f'layer {layer.name}: it is pinned to (rank_in, rank_out) or to "keep", not to {pin!r}')
    rank_in, rank_out = pin
    part = LayerPlan(layer, "tucker1" if rank_in is None else "tucker2", rank_in, rank_out)
    cost = np.array([[part.cost.macs, part.cost.weights]], dtype=np.float64)
    return Options(cost, np.zeros(1), np.array([[rank_in or 0, rank_out]], dtype=np.int64))


def _allocate(options: Sequence[Options], limit: tuple[float, float], dense: Cost) -> list[int] | None:
    """Which candidate each layer takes; None if even the cheapest do not fit."""

    def mixture(share: float) -> Vector:
        return np.array([(1 - share) / max(1, dense.macs), share / max(1, dense.weights)])

    shares = MIXTURES if np.isfinite(limit[1]) else (0.0,)
    # MACs and weights are nearly proportional within a layer: hulls of a few mixtures hold what any of them needs.
    few = [
        np.unique(np.concatenate([o.hull(mixture(s)) for s in shares[:: max(1, len(shares) // 2)]])) for o in options
    ]
    best: tuple[float, list[int]] | None = None
    for share in shares:
        small = [Options(o.cost[f], o.error[f], o.ranks[f]) for o, f in zip(options, few, strict=True)]
        found = _walk_hulls(small, mixture(share), np.array(limit))
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


def _out_of_reach(spectra: Spectra, options: Sequence[Options], macs_ratio: float, weights_ratio: float | None) -> str:
    least = np.sum([option.cost.min(axis=0) for option in options], axis=0)
    dense, other = spectra.total, spectra.other
    macs, weights = dense.macs / (least[0] + other.macs), dense.weights / (least[1] + other.weights)
    if macs < macs_ratio:
        best = f"MACs x{macs_ratio:g} is out of reach: the most with these settings is x{macs:.2f}"
    elif weights_ratio is not None and weights < weights_ratio:
        best = f"weights x{weights_ratio:g} is out of reach: the most with these settings is x{weights:.2f}"
    else:
        best = (
            f"MACs x{macs_ratio:g} together with weights x{weights_ratio:g} is out of reach: "
            f"alone they reach x{macs:.2f} and x{weights:.2f}"
        )
    return f"{spectra.network}: {best}"


def _part(spectra: Spectra, layer: Layer, option: Options, pick: int, pinned: bool, chosen: bool) -> LayerPlan:
    rank_in, rank_out = (int(r) for r in option.ranks[pick])
    if not rank_out:
        if pinned:
            reason = "kept by hand"
        elif layer.method == "keep":
            reason = f"kept: {layer.reason}"
        else:
            reason = "kept: the budget is better saved elsewhere" if chosen else why_not_chosen(layer)
        return LayerPlan(layer, "keep", reason=reason, error=0.0)
    error = spectra[layer.name].error(rank_out=rank_out, rank_in=rank_in or None)
    reason = "chosen by hand" if pinned else "its share of the budget"
    return LayerPlan(layer, "tucker2" if rank_in else "tucker1", rank_in or None, rank_out, reason, error)
