"""Plan to a budget: choose the ranks of all layers together, so that the predicted error is smallest.

Every layer has candidates, each with a cost and a predicted error: Tucker-2 at any pair of ranks, Tucker-1 at any
rank, and the layer as it is. Budgets are of MACs, of weights, or of seconds where the layers' times on this machine
are known; :mod:`~workbench.plan.allocation` shares them out.

References: Kim et al., ICLR 2016.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.kernels.complexity import factor_costs, total
from workbench.network.layers import Layer
from workbench.plan.allocation import Options, allocate
from workbench.plan.evbmf import choose_layers, expect_spectra, why_not_chosen
from workbench.plan.importance import Importance
from workbench.plan.layer_times import NetworkTimes
from workbench.plan.plan import LayerPlan, Plan, PlanError
from workbench.plan.spectra import Spectra

Vector = NDArray[np.float64]
Pin = tuple[int | None, int] | str

DEFAULT_MACS_RATIO = 2.06
"""Budget of MACs where none is named: the paper's GoogLeNet."""

NOT_CHEAPER = "kept: no ranks make it cheaper here"
NOT_WORTH_IT = "kept: the budget is better saved elsewhere"

MAX_RANKS_TRIED = 100
"""Ranks of one mode that are tried; wider layers go in steps."""


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
    spectra : from :func:`~workbench.plan.spectra.analyze`.
    macs_ratio : at least so many times fewer MACs in the whole network; 2.06 (the paper's GoogLeNet) if neither this
        nor a `time_ratio` is named.
    weights_ratio : at least so many times fewer weights; None for no such limit.
    time_ratio : at least so many times faster, as predicted by `times`.
    times : seconds of the layers on a machine, from :func:`~workbench.measure.layer_times.measure_times`. With them, no
        layer is reduced that is not faster there, whatever the budget is of.
    min_gain : share of its time that a layer must at least save to be reduced; with `times` only.
    importance : from :func:`~workbench.plan.importance.importance`, to measure errors in the network's outputs; None to
        measure them in the weights.
    pinned : layer -> (rank_in, rank_out), or "keep"; rank_in is None for Tucker-1.
    rank_multiple : ranks are multiples of this (some machines like 8 or 16).
    min_rank : smallest rank of any mode.
    layers : as for :func:`~workbench.plan.evbmf.evbmf_plan`; all others are kept.

    Returns
    -------
    Plan in which no layer costs more than before, pinned ones excepted.

    Raises
    ------
    PlanError : if the budget cannot be met, naming the best that can be reached, or a pinned rank does not fit.
    ValueError : on settings that make no sense.
    """
    if macs_ratio is None and time_ratio is None:
        macs_ratio = DEFAULT_MACS_RATIO
    aims = {"MACs": macs_ratio, "weights": weights_ratio, "time": time_ratio}
    _check(spectra, aims, times, rank_multiple, min_rank, min_gain)
    if importance is not None and importance.network != spectra.network:
        raise PlanError(f"this importance is of {importance.network}, the spectra of {spectra.network}")
    fixed = dict(pinned or {})
    unknown = sorted(set(fixed) - {layer.name for layer in spectra.layers})
    if unknown:
        raise PlanError(f"{spectra.network} has no layer {', '.join(map(repr, unknown))} to pin")
    chosen = choose_layers(spectra, layers)
    options = []
    for layer in spectra.layers:
        if layer.name in fixed:
            options.append(_pinned(layer, fixed[layer.name], times))
        elif layer.method == "keep" or layer.name not in chosen:
            options.append(Options.only(_costs(LayerPlan(layer, "keep"), times)))
        else:
            options.append(_options(layer, spectra, importance, rank_multiple, min_rank, times, min_gain))
    dense = np.array([spectra.total.macs, spectra.total.weights, times.dense if times else 0.0])
    rest = np.array([spectra.other.macs, spectra.other.weights, times.rest if times else 0.0])
    limit = np.array([np.inf if r is None else d / r - o for r, d, o in zip(aims.values(), dense, rest, strict=True)])
    picks = allocate(options, limit, dense)
    if picks is None:
        raise PlanError(_out_of_reach(spectra.network, options, aims, dense, rest))
    parts = [
        _part(spectra, layer, option, pick, layer.name in fixed, layer.name in chosen)
        for layer, option, pick in zip(spectra.layers, options, picks, strict=True)
    ]
    asked = ", ".join(f"{name} x{ratio:g}" for name, ratio in aims.items() if ratio is not None)
    by = "in weights" if importance is None else f"in outputs over {importance.images} images"
    where = f" on {times.where}" if times is not None else ""
    policy = f"budget {asked}{where}, errors {by}"
    return Plan(spectra.network, spectra.input_shape, tuple(parts), spectra.other, policy, spectra)


def _check(
    spectra: Spectra,
    aims: Mapping[str, float | None],
    times: NetworkTimes | None,
    rank_multiple: int,
    min_rank: int,
    min_gain: float,
) -> None:
    """Raise on settings that make no sense, naming the one."""
    expect_spectra(spectra)
    for name, value in (("rank_multiple", rank_multiple), ("min_rank", min_rank)):
        if int(value) != value or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, not {value}")
    if not 0 <= min_gain < 1:
        raise ValueError(f"min_gain is a share of a layer's time, from 0 to below 1, not {min_gain}")
    for name, wanted in zip(("macs_ratio", "weights_ratio", "time_ratio"), aims.values(), strict=True):
        if wanted is not None and not 1 <= wanted < float("inf"):
            raise ValueError(f"{name} is original / compressed, a number of at least 1, not {wanted}")
    if aims["time"] is not None and times is None:
        raise ValueError("a budget of time needs the layers' times on this machine: times=wb.measure_times(network)")
    if times is not None and times.network != spectra.network:
        raise PlanError(f"these times are of {times.network}, the spectra of {spectra.network}")


def _ranks(most: int, multiple: int, least: int) -> NDArray[np.int64]:
    """Return the ranks to try: multiples, from the smallest allowed, at most `MAX_RANKS_TRIED` of them."""
    first = -(-least // multiple)
    numbers = np.arange(first, most // multiple + 1)
    step = -(-len(numbers) // MAX_RANKS_TRIED) if len(numbers) else 1
    return np.asarray(numbers[::step] * multiple, dtype=np.int64)


def _costs(part: LayerPlan, times: NetworkTimes | None) -> tuple[float, float, float]:
    """Return MACs, weights and seconds (0 where they are not known)."""
    return part.cost.macs, part.cost.weights, times.layer(part) if times else 0.0


def _options(
    layer: Layer,
    spectra: Spectra,
    importance: Importance | None,
    multiple: int,
    least: int,
    times: NetworkTimes | None,
    min_gain: float,
) -> Options:
    """Return all candidates of a layer that are no larger than it is, and faster where times are known."""
    most_in, most_out = layer.max_ranks
    outs = _ranks(most_out, multiple, least)
    one_sided, table, weight = _errors(layer, spectra, importance)
    known = times.layers.get(layer.name) if times else None
    ranks = [np.stack([np.zeros_like(outs), outs], axis=1)]
    errors = [one_sided[outs]]
    costs = [_costs_at(layer, None, outs)]
    seconds = [known.tucker1(outs) if known else np.zeros(len(outs))]
    if table is not None:
        ins = _ranks(most_in, multiple, least)
        pair_in, pair_out = (m.ravel() for m in np.meshgrid(ins, outs, indexing="ij"))
        ranks.append(np.stack([pair_in, pair_out], axis=1))
        errors.append(table[pair_out, pair_in])
        costs.append(_costs_at(layer, pair_in, pair_out))
        seconds.append(known.tucker2(pair_in, pair_out) if known else np.zeros(len(pair_in)))
    kept = Options.only(_costs(LayerPlan(layer, "keep"), times))
    new = np.column_stack([np.concatenate(costs), np.concatenate(seconds)])
    everything = Options(
        np.concatenate([kept.cost, new]),
        np.maximum(np.concatenate([kept.error, *[weight * e for e in errors]]), 0.0),
        np.concatenate([kept.ranks, *ranks]),
    )
    fits = (everything.cost <= kept.cost[0]).all(axis=1)
    fits[1:] &= (new[:, :2] < kept.cost[0, :2]).any(axis=1)
    if known is not None:
        fits[1:] &= new[:, 2] < (1 - min_gain) * known.dense
    elif times is not None:
        fits[1:] = False  # nobody knows whether it would be faster
    return everything.among(fits)


def _costs_at(layer: Layer, rank_in: Any, rank_out: Any) -> NDArray[np.float64]:
    """Return (n, 2) MACs and weights at arrays of ranks; `rank_in` is None for Tucker-1."""
    cost = total(factor_costs(layer.shape, rank_in=rank_in, rank_out=rank_out).values())
    return np.column_stack([cost.macs, cost.weights]).astype(np.float64)


def _errors(layer: Layer, spectra: Spectra, importance: Importance | None) -> tuple[Vector, Vector | None, float]:
    """Return (error by rank_out for Tucker-1, by (rank_out, rank_in) or None, weight of the layer's error)."""
    captured = spectra[layer.name].captured
    rows = np.minimum(np.arange(layer.max_ranks[1] + 1), len(captured) - 1)
    one_sided = 1 - captured[rows, -1]
    table = 1 - captured[rows] if layer.method == "tucker2" else None
    if importance is None:
        return one_sided, table, 1.0
    middle = float(np.median(list(importance.weight.values()) or [1.0]))
    one_sided = importance.lost_one_sided.get(layer.name, one_sided)
    table = importance.lost.get(layer.name, table) if table is not None else None
    return one_sided, table, importance.weight.get(layer.name, middle)


def _pinned(layer: Layer, pin: Pin, times: NetworkTimes | None) -> Options:
    if pin == "keep":
        return Options.only(_costs(LayerPlan(layer, "keep"), times))
    if isinstance(pin, str):
        raise PlanError(f'layer {layer.name}: it is pinned to (rank_in, rank_out) or to "keep", not to {pin!r}')
    rank_in, rank_out = pin
    part = LayerPlan(layer, "tucker1" if rank_in is None else "tucker2", rank_in, rank_out)
    return Options.only(_costs(part, times), (rank_in or 0, rank_out))


def _out_of_reach(
    network: str, options: Sequence[Options], aims: Mapping[str, float | None], dense: Vector, rest: Vector
) -> str:
    least = np.sum([option.cost.min(axis=0) for option in options], axis=0)
    most = dict(zip(aims, dense / np.maximum(least + rest, 1e-300), strict=True))
    asked = {name: ratio for name, ratio in aims.items() if ratio is not None}
    for name, ratio in asked.items():
        if most[name] < ratio:
            known = " on this machine" if name == "time" else " with these settings"
            return f"{network}: {name} x{ratio:g} is out of reach: the most{known} is x{most[name]:.2f}"
    together = " together with ".join(f"{name} x{ratio:g}" for name, ratio in asked.items())
    alone = " and ".join(f"x{most[name]:.2f}" for name in asked)
    return f"{network}: {together} is out of reach: alone they reach {alone}"


def _part(spectra: Spectra, layer: Layer, option: Options, pick: int, pinned: bool, chosen: bool) -> LayerPlan:
    rank_in, rank_out = (int(r) for r in option.ranks[pick])
    if not rank_out:
        if pinned:
            reason = "kept by hand"
        elif layer.method == "keep":
            reason = f"kept: {layer.reason}"
        else:
            reason = (NOT_CHEAPER if len(option.error) == 1 else NOT_WORTH_IT) if chosen else why_not_chosen(layer)
        return LayerPlan(layer, "keep", reason=reason, error=0.0)
    error = spectra[layer.name].error(rank_out=rank_out, rank_in=rank_in or None)
    reason = "chosen by hand" if pinned else "its share of the budget"
    return LayerPlan(layer, "tucker2" if rank_in else "tucker1", rank_in or None, rank_out, reason, error)
