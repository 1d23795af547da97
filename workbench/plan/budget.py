"""Plan to a budget: choose the ranks of all layers together, so that the predicted error is smallest.

Every layer has candidates, each with a cost and a predicted error: Tucker-2 at any pair of ranks, Tucker-1 at any
rank, and the layer as it is. Budgets are of MACs, of weights, or of seconds where the layers' times on this machine
are known; :mod:`~workbench.plan.allocation` chooses one candidate of each layer.

References: Kim et al., ICLR 2016.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from workbench.kernels.complexity import factorised_cost
from workbench.kernels.evbmf import Vector
from workbench.network.layers import Layer
from workbench.plan.allocation import Options, allocate
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
"""Largest number of ranks tried for each mode; in wider layers only every second, third, ... rank is tried."""


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
    macs_ratio : original / compressed MACs of the whole network, at least; 2.06 (the paper's GoogLeNet) if neither this
        nor `time_ratio` is given.
    weights_ratio : original / compressed weights, at least; None for no such limit.
    time_ratio : original / compressed seconds, at least, as predicted by `times`.
    times : seconds of the layers on a machine, from :func:`~workbench.measure.layer_times.measure_times`. If given,
        only layers that get faster there are reduced, also if the budget is of MACs or weights.
    min_gain : share of its time that a layer must at least save to be reduced; with `times` only.
    importance : from :func:`~workbench.plan.importance.importance`, to measure errors in the network's outputs; None to
        measure them in the weights.
    pinned : layer -> (rank_in, rank_out), "keep", or its part of another plan; rank_in is None for Tucker-1.
    rank_multiple : ranks are multiples of this (some hardware is faster with multiples of 8 or 16).
    min_rank : smallest rank of any mode.
    layers : layers to reduce, all others are kept: "default" (all but 1x1 convolutions), "spatial" (convolutions larger
        than 1x1), "all", or names of layers.

    Returns
    -------
    Plan in which no layer costs more than before, pinned ones excepted.

    Raises
    ------
    PlanError : if the budget cannot be met, naming the largest ratio that can, or a pinned rank does not fit.
    ValueError : on settings that make no sense.
    """
    if macs_ratio is None and time_ratio is None:
        macs_ratio = DEFAULT_MACS_RATIO
    aims = {"MACs": macs_ratio, "weights": weights_ratio, "time": time_ratio}
    chosen = choose_layers(spectra, layers)
    _check_settings(aims, times, rank_multiple, min_rank, min_gain)
    for what, known in (("these times are", times), ("this importance is", importance)):
        if known is not None and known.network != spectra.network:
            raise PlanError(f"{what} of {known.network}, the spectra of {spectra.network}")
    pins = dict(pinned or {})
    unknown = sorted(set(pins) - {layer.name for layer in spectra.layers})
    if unknown:
        raise PlanError(f"{spectra.network} has no layer {', '.join(map(repr, unknown))} to pin")
    fixed: dict[str, LayerPlan] = {}
    options = []
    for layer in spectra.layers:
        part = _pinned(spectra, layer, pins[layer.name]) if layer.name in pins else kept_if_left_out(layer, chosen)
        if part is None:
            ranks, errors = _ranks(layer, rank_multiple, min_rank), _errors(layer, spectra, importance)
            options.append(_options(layer, ranks, errors, times, min_gain))
        else:
            fixed[layer.name] = part
            options.append(Options(_costs(part, times), np.zeros(1), np.zeros((1, 2), dtype=np.int64)))
    dense = np.array([spectra.total.macs, spectra.total.weights, times.dense if times else 0.0])
    other = np.array([spectra.other.macs, spectra.other.weights, times.other if times else 0.0])
    limit = np.array([np.inf if r is None else d / r - o for r, d, o in zip(aims.values(), dense, other, strict=True)])
    picks = allocate(options, limit, dense)
    asked = {name: ratio for name, ratio in aims.items() if ratio is not None}
    if picks is None:
        cheapest = np.sum([option.cost.min(axis=0) for option in options], axis=0) + other
        reachable = dict(zip(aims, dense / np.maximum(cheapest, 1e-300), strict=True))
        raise PlanError(f"{spectra.network}: {_out_of_reach(asked, reachable)}")
    parts = tuple(
        fixed.get(layer.name) or _part(spectra, layer, option, pick)
        for layer, option, pick in zip(spectra.layers, options, picks, strict=True)
    )
    by = "in weights" if importance is None else f"in outputs over {importance.images} images"
    where = f" on {times.where}" if times is not None else ""
    policy = f"budget {', '.join(f'{name} x{ratio:.4g}' for name, ratio in asked.items())}{where}, errors {by}"
    return Plan(spectra.network, spectra.input_shape, parts, spectra.other, policy, spectra)


def _check_settings(
    aims: Mapping[str, float | None], times: NetworkTimes | None, rank_multiple: int, min_rank: int, min_gain: float
) -> None:
    for name, value in (("rank_multiple", rank_multiple), ("min_rank", min_rank)):
        if int(value) != value or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, not {value}")
    if not 0 <= min_gain < 1:
        raise ValueError(f"min_gain is a share of a layer's time, from 0 to below 1, not {min_gain}")
    for name, wanted in aims.items():
        if wanted is not None and not 1 <= wanted < float("inf"):
            raise ValueError(f"{name.lower()}_ratio is original / compressed, a number of at least 1, not {wanted}")
    if aims["time"] is not None and times is None:
        raise ValueError("a budget of time needs the layers' times on this machine: times=wb.measure_times(network)")


def _ranks(layer: Layer, multiple: int, min_rank: int) -> NDArray[np.int64]:
    """Return the pairs (rank_in, rank_out) to try, (n, 2); rank_in 0 is Tucker-1."""

    def one_mode(max_rank: int) -> NDArray[np.int64]:
        numbers = np.arange(-(-min_rank // multiple), max_rank // multiple + 1, dtype=np.int64)
        return numbers[:: max(1, -(-len(numbers) // MAX_RANKS_TRIED))] * multiple

    max_in, max_out = layer.max_ranks
    ins = np.r_[0, one_mode(max_in)] if layer.method == "tucker2" else [0]
    return np.stack(np.meshgrid(ins, one_mode(max_out), indexing="ij"), axis=-1).reshape(-1, 2)


def _costs(part: LayerPlan, times: NetworkTimes | None) -> Vector:
    """Return MACs, weights and seconds (0 where they are not known), (1, 3)."""
    return np.array([[part.cost.macs, part.cost.weights, times.layer(part) if times else 0.0]])


def _options(
    layer: Layer, ranks: NDArray[np.int64], errors: Vector, times: NetworkTimes | None, min_gain: float
) -> Options:
    """Return the candidates of a layer that need no more MACs or weights, and less time if `times` is given."""
    known = times.layers.get(layer.name) if times else None
    kept = _costs(LayerPlan(layer, "keep"), times)
    new = np.zeros((len(ranks), 3))
    one_sided = ranks[:, 0] == 0
    for these in (one_sided, ~one_sided) if layer.method == "tucker2" else (one_sided,):
        ins, outs = None if these is one_sided else ranks[these, 0], ranks[these, 1]
        cost = factorised_cost(layer.shape, rank_in=ins, rank_out=outs)
        new[these, 0], new[these, 1] = cost.macs, cost.weights
        new[these, 2] = known.at(ins, outs) if known is not None else 0.0
    fits = (new <= kept).all(axis=1) & (new[:, :2] < kept[:, :2]).any(axis=1)
    if times is not None:  # a layer without measured times is kept
        fits &= new[:, 2] < (1 - min_gain) * known.dense if known is not None else False
    rows, columns = np.minimum(ranks[:, 1], len(errors) - 1), np.where(one_sided, -1, ranks[:, 0])
    error = np.r_[0.0, np.maximum(errors[rows, columns], 0.0)[fits]]
    return Options(np.concatenate([kept, new[fits]]), error, np.concatenate([[[0, 0]], ranks[fits]]))


def _errors(layer: Layer, spectra: Spectra, importance: Importance | None) -> Vector:
    """Return the weighted error at (rank_out, rank_in), in the last column that of Tucker-1."""
    if importance is None:
        return 1 - spectra[layer.name].captured
    if layer.name in importance.lost:
        return importance.lost[layer.name]
    typical = float(np.median([lost[0, -1] for lost in importance.lost.values()] or [1.0]))
    return typical * (1 - spectra[layer.name].captured)


def _pinned(spectra: Spectra, layer: Layer, pin: Pin) -> LayerPlan:
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


def _out_of_reach(asked: Mapping[str, float], reachable: Mapping[str, float]) -> str:
    for name, ratio in asked.items():
        if reachable[name] < ratio:
            where = "on this machine" if name == "time" else "with these settings"
            return f"{name} x{ratio:g} is out of reach: the most {where} is x{reachable[name]:.2f}"
    together = " together with ".join(f"{name} x{ratio:g}" for name, ratio in asked.items())
    each = " and ".join(f"x{reachable[name]:.2f}" for name in asked)
    return f"{together} is out of reach: one at a time they reach {each}"


def _part(spectra: Spectra, layer: Layer, option: Options, pick: int) -> LayerPlan:
    rank_in, rank_out = (int(rank) or None for rank in option.ranks[pick])
    if rank_out is None:
        return LayerPlan.kept(layer, NOT_CHEAPER if len(option.error) == 1 else NOT_WORTH_IT)
    error = spectra[layer.name].error(rank_out=rank_out, rank_in=rank_in)
    decision = "tucker1" if rank_in is None else "tucker2"
    return LayerPlan(layer, decision, rank_in, rank_out, "its share of the budget", error)
