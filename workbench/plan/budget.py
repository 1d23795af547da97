"""Plan to a budget: choose the ranks of all layers together for the smallest predicted error.

Each layer has candidates with a cost and a predicted error: Tucker-2 at any pair of ranks, Tucker-1 at any rank, and
the dense layer. A budget limits MACs, weights, or (with the layers' measured times) seconds;
:mod:`~workbench.plan.allocation` chooses one candidate per layer.

References: Kim et al., ICLR 2016.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from workbench.kernels.complexity import factorised_cost
from workbench.kernels.evbmf import Vector
from workbench.network.layers import Layer
from workbench.plan.allocation import Candidates, allocate
from workbench.plan.importance import Importance
from workbench.plan.layer_choice import choose_layers, kept_if_left_out
from workbench.plan.layer_times import NetworkTimes
from workbench.plan.plan import LayerPlan, Plan, PlanError
from workbench.plan.spectra import Spectra

Pin = LayerPlan | tuple[int | None, int] | str

DEFAULT_MACS_RATIO = 2.06
"""Original / compressed MACs if no budget is given; the paper's ratio for GoogLeNet."""

# Reasons why a layer is kept
NOT_CHEAPER = "kept: no ranks make it cheaper here"
NOT_WORTH_IT = "kept: other layers meet the budget at a smaller error"

MAX_RANKS_TRIED = 100
"""Largest number of ranks to try for a mode; in wider layers only every second, third, ... rank is tried."""


def budget_plan(
    spectra: Spectra,
    macs_ratio: float | None = None,
    *,
    weights_ratio: float | None = None,
    time_ratio: float | None = None,
    times: NetworkTimes | None = None,
    min_gain: float = 0.0,
    importance: Importance | None = None,
    pinned: Mapping[str, Pin] | None = None,
    rank_multiple: int = 1,
    min_rank: int = 1,
    layers: str | Sequence[str] = "all",
) -> Plan:
    """Plan the ranks with the smallest predicted error among those that meet a budget.

    Parameters
    ----------
    macs_ratio : smallest original / compressed MACs of the network; 2.06 (the paper's GoogLeNet) if neither this nor
        `time_ratio` is given.
    weights_ratio : smallest original / compressed weights; None for no limit.
    time_ratio : smallest original / compressed seconds, as predicted by `times`; None for no limit.
    times : seconds of the layers on a machine, from :func:`~workbench.measure.layer_times.measure_times`. If given,
        only layers that get faster there are reduced, whatever the budget.
    min_gain : smallest share of a layer's time that reducing it must save; with `times` only.
    importance : from :func:`~workbench.plan.importance.importance`, to measure errors in the network's outputs; None to
        measure them in the weights.
    pinned : layer -> (rank_in, rank_out), "keep", or its LayerPlan; rank_in is None for Tucker-1.
    rank_multiple : ranks are multiples of this (some hardware is faster with multiples of 8 or 16).
    min_rank : smallest rank of any mode.
    layers : layers to reduce, all others are kept: "default" (all but 1x1 convolutions), "spatial" (convolutions larger
        than 1x1), "all", or names of layers.

    Returns
    -------
    Plan in which no layer costs more than before, except pinned ones.

    Raises
    ------
    PlanError : if the budget cannot be met, naming the largest possible ratio, or a pinned rank does not fit.
    ValueError : if a setting is out of range.
    """
    if macs_ratio is None and time_ratio is None:
        macs_ratio = DEFAULT_MACS_RATIO
    ratios = {"MACs": macs_ratio, "weights": weights_ratio, "time": time_ratio}
    chosen = choose_layers(spectra, layers)
    _check_settings(ratios, times, rank_multiple, min_rank, min_gain)
    for subject, measured in (("these times are", times), ("this importance is", importance)):
        if measured is not None and measured.network != spectra.network:
            raise PlanError(f"{subject} of {measured.network}, the spectra of {spectra.network}")
    pins = dict(pinned or {})
    unknown = sorted(set(pins) - {layer.name for layer in spectra.layers})
    if unknown:
        raise PlanError(f"{spectra.network} has no layer {', '.join(map(repr, unknown))} to pin")
    fixed_parts: dict[str, LayerPlan] = {}
    candidates = []
    for layer in spectra.layers:
        part = _pinned_part(spectra, layer, pins[layer.name]) if layer.name in pins else kept_if_left_out(layer, chosen)
        if part is None:
            ranks, errors = _rank_pairs(layer, rank_multiple, min_rank), _errors(layer, spectra, importance)
            candidates.append(_candidates(layer, ranks, errors, times, min_gain))
        else:
            fixed_parts[layer.name] = part
            candidates.append(Candidates(_costs(part, times), np.zeros(1), np.zeros((1, 2), dtype=np.int64)))
    dense_costs = np.array([spectra.total.macs, spectra.total.weights, times.dense if times else 0.0])
    other_costs = np.array([spectra.other.macs, spectra.other.weights, times.other if times else 0.0])
    budgets = zip(ratios.values(), dense_costs, other_costs, strict=True)
    limits = np.array([np.inf if ratio is None else dense / ratio - other for ratio, dense, other in budgets])
    picks = allocate(candidates, limits, dense_costs)
    requested = {name: ratio for name, ratio in ratios.items() if ratio is not None}
    if picks is None:
        cheapest = np.sum([options.cost.min(axis=0) for options in candidates], axis=0) + other_costs
        reachable = dict(zip(ratios, dense_costs / np.maximum(cheapest, 1e-300), strict=True))
        raise PlanError(f"{spectra.network}: {_unreachable_text(requested, reachable)}")
    parts = tuple(
        fixed_parts.get(layer.name) or _layer_plan(spectra, layer, options, pick)
        for layer, options, pick in zip(spectra.layers, candidates, picks, strict=True)
    )
    errors_in = "in weights" if importance is None else f"in outputs over {importance.images} images"
    machine = f" on {times.where}" if times is not None else ""
    budget = ", ".join(f"{name} x{ratio:.4g}" for name, ratio in requested.items())
    policy = f"budget {budget}{machine}, errors {errors_in}"
    return Plan(spectra.network, spectra.input_shape, parts, spectra.other, policy, spectra)


def _check_settings(
    ratios: Mapping[str, float | None], times: NetworkTimes | None, rank_multiple: int, min_rank: int, min_gain: float
) -> None:
    for name, value in (("rank_multiple", rank_multiple), ("min_rank", min_rank)):
        if int(value) != value or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, not {value}")
    if not 0 <= min_gain < 1:
        raise ValueError(f"min_gain is a share of a layer's time, from 0 to below 1, not {min_gain}")
    for name, ratio in ratios.items():
        if ratio is not None and not 1 <= ratio < float("inf"):
            raise ValueError(f"{name.lower()}_ratio is original / compressed, a number of at least 1, not {ratio}")
    if ratios["time"] is not None and times is None:
        raise ValueError("a budget of time needs the layers' times on this machine: times=wb.measure_times(network)")


def _rank_pairs(layer: Layer, multiple: int, min_rank: int) -> NDArray[np.int64]:
    """Return the pairs (rank_in, rank_out) to try, (n, 2); rank_in 0 is Tucker-1."""

    def one_mode(max_rank: int) -> NDArray[np.int64]:
        ranks = np.arange(-(-min_rank // multiple), max_rank // multiple + 1, dtype=np.int64)
        return ranks[:: max(1, -(-len(ranks) // MAX_RANKS_TRIED))] * multiple

    max_in, max_out = layer.max_ranks
    ins = np.r_[0, one_mode(max_in)] if layer.method == "tucker2" else [0]
    return np.stack(np.meshgrid(ins, one_mode(max_out), indexing="ij"), axis=-1).reshape(-1, 2)


def _costs(part: LayerPlan, times: NetworkTimes | None) -> Vector:
    """Return MACs, weights and seconds (0 without `times`), (1, 3)."""
    return np.array([[part.cost.macs, part.cost.weights, times.layer(part) if times else 0.0]])


def _candidates(
    layer: Layer, ranks: NDArray[np.int64], errors: Vector, times: NetworkTimes | None, min_gain: float
) -> Candidates:
    """Return the dense layer, and candidates with no more MACs or weights, and with less time if `times` is given."""
    layer_times = times.layers.get(layer.name) if times else None
    kept_costs = _costs(LayerPlan(layer, "keep"), times)
    costs = np.zeros((len(ranks), 3))
    is_tucker1 = ranks[:, 0] == 0
    for mask in (is_tucker1, ~is_tucker1) if layer.method == "tucker2" else (is_tucker1,):
        ranks_in, ranks_out = None if mask is is_tucker1 else ranks[mask, 0], ranks[mask, 1]
        cost = factorised_cost(layer.shape, rank_in=ranks_in, rank_out=ranks_out)
        costs[mask, 0], costs[mask, 1] = cost.macs, cost.weights
        costs[mask, 2] = layer_times.at(ranks_in, ranks_out) if layer_times is not None else 0.0
    allowed = (costs <= kept_costs).all(axis=1) & (costs[:, :2] < kept_costs[:, :2]).any(axis=1)
    if times is not None:  # keep a layer without measured times
        allowed &= costs[:, 2] < (1 - min_gain) * layer_times.dense if layer_times is not None else False
    rows, columns = np.minimum(ranks[:, 1], len(errors) - 1), np.where(is_tucker1, -1, ranks[:, 0])
    error = np.r_[0.0, np.maximum(errors[rows, columns], 0.0)[allowed]]
    return Candidates(np.concatenate([kept_costs, costs[allowed]]), error, np.concatenate([[[0, 0]], ranks[allowed]]))


def _errors(layer: Layer, spectra: Spectra, importance: Importance | None) -> Vector:
    """Return the weighted errors at (rank_out, rank_in); the last column is Tucker-1."""
    if importance is None:
        return 1 - spectra[layer.name].captured
    if layer.name in importance.lost:
        return importance.lost[layer.name]
    typical = float(np.median([lost[0, -1] for lost in importance.lost.values()] or [1.0]))
    return typical * (1 - spectra[layer.name].captured)


def _pinned_part(spectra: Spectra, layer: Layer, pin: Pin) -> LayerPlan:
    if pin == "keep":
        return LayerPlan.kept(layer, "kept by hand")
    if isinstance(pin, LayerPlan):
        if pin.layer != layer:
            raise PlanError(f"layer {layer.name} is pinned to a part of another layer, {pin.name}")
        return pin
    if isinstance(pin, str):
        raise PlanError(f'layer {layer.name}: it is pinned to (rank_in, rank_out) or to "keep", not to {pin!r}')
    part = LayerPlan(layer, "tucker1" if pin[0] is None else "tucker2", *pin, "chosen by hand")
    return replace(part, error=spectra[layer.name].error(rank_in=pin[0], rank_out=pin[1]))


def _unreachable_text(requested: Mapping[str, float], reachable: Mapping[str, float]) -> str:
    for name, ratio in requested.items():
        if reachable[name] < ratio:
            condition = "on this machine" if name == "time" else "with these settings"
            return f"{name} x{ratio:g} is out of reach: the most {condition} is x{reachable[name]:.2f}"
    together = " together with ".join(f"{name} x{ratio:g}" for name, ratio in requested.items())
    separately = " and ".join(f"x{reachable[name]:.2f}" for name in requested)
    return f"{together} is out of reach: one at a time they reach {separately}"


def _layer_plan(spectra: Spectra, layer: Layer, candidates: Candidates, pick: int) -> LayerPlan:
    rank_in, rank_out = (int(rank) or None for rank in candidates.ranks[pick])
    if rank_out is None:
        return LayerPlan.kept(layer, NOT_CHEAPER if len(candidates.error) == 1 else NOT_WORTH_IT)
    error = spectra[layer.name].error(rank_out=rank_out, rank_in=rank_in)
    decision = "tucker1" if rank_in is None else "tucker2"
    return LayerPlan(layer, decision, rank_in, rank_out, "its share of the budget", error)
