"""The paper's policy: every layer at the ranks that EVBMF finds, where that makes it smaller."""

from collections.abc import Sequence

from workbench.kernels.evbmf import Evbmf
from workbench.network.layers import Layer
from workbench.plan.plan import DECISIONS, LayerPlan, Plan, ratio
from workbench.plan.spectra import Spectra
from workbench.plan.spectrum import Spectrum

CHOICES = {
    "default": "EVBMF, all but 1x1 convolutions",
    "spatial": "EVBMF, spatial convolutions only",
    "all": "EVBMF, all layers",
}
"""Choices of layers, and how a plan made by them is called."""


def evbmf_plan(spectra: Spectra, layers: str | Sequence[str] = "default", *, strength: float = 1.0) -> Plan:
    """Plan every layer at the ranks that EVBMF finds, where that makes it smaller.

    Parameters
    ----------
    spectra : from :func:`~workbench.plan.spectra.analyze`.
    layers : "default" (all but 1x1 convolutions, which are factors already), "spatial" (only convolutions larger than
        1x1, no fully connected layers), "all", or the names of layers.
    strength : factor on EVBMF's thresholds on the singular values. 1 is EVBMF, above it ranks are smaller, below it
        larger; at 0 all ranks are full, so that no layer is reduced.

    Returns
    -------
    Plan in which no layer has more weights or MACs than before: one that would, or in which EVBMF finds nothing but
    noise (rank 0), is kept, with the reason.

    Raises
    ------
    ValueError : if a name is no layer of the network, or the strength is negative or not finite.

    References: Kim et al., ICLR 2016, sec. 3.1.
    """
    expect_spectra(spectra)
    if not 0 <= strength < float("inf"):
        raise ValueError(f"the strength must be a number of at least 0 (1 is EVBMF itself), not {strength}")
    chosen = choose_layers(spectra, layers)
    parts = []
    for layer in spectra.layers:
        if layer.method == "keep":
            parts.append(LayerPlan(layer, "keep", reason=f"kept: {layer.reason}", error=0.0))
        elif layer.name not in chosen:
            parts.append(LayerPlan(layer, "keep", reason=why_not_chosen(layer), error=0.0))
        else:
            parts.append(_at_evbmf_ranks(spectra[layer.name], strength))
    policy = CHOICES[layers] if isinstance(layers, str) else f"EVBMF, {len(chosen)} chosen layers"
    policy += "" if strength == 1 else f", strength {strength:g}"
    return Plan(spectra.network, spectra.input_shape, tuple(parts), spectra.other, policy, spectra)


def expect_spectra(value: object) -> None:
    """Raise TypeError with a hint unless the value is a Spectra."""
    if not isinstance(value, Spectra):
        raise TypeError(f"this takes spectra, as wb.analyze(network) returns them, not a {type(value).__name__}")


def choose_layers(spectra: Spectra, layers: str | Sequence[str]) -> set[str]:
    """Return the names of the layers that a choice stands for; raise ValueError for a name of no layer."""
    known = {layer.name for layer in spectra.layers}
    if isinstance(layers, str):
        if layers not in CHOICES:
            raise ValueError(f"layers is one of {', '.join(map(repr, CHOICES))} or a list of names, not {layers!r}")
        return {layer.name for layer in spectra.layers if _in_choice(layer, layers)}
    unknown = sorted(set(layers) - known)
    if unknown:
        raise ValueError(f"{spectra.network} has no layer {', '.join(map(repr, unknown))}")
    return set(layers)


def why_not_chosen(layer: Layer) -> str:
    """Return the reason to give for a layer that a choice leaves out."""
    why = "1x1 convolutions are factors already" if layer.pointwise else "not among the chosen layers"
    return f"kept: {why}"


def _in_choice(layer: Layer, choice: str) -> bool:
    if choice == "spatial":
        return layer.kind == "conv" and not layer.pointwise
    return choice == "all" or not layer.pointwise


def scaled_rank(found: Evbmf, strength: float, full: int) -> int:
    """Return EVBMF's rank with its threshold scaled; `full` at strength 0. It never rises with the strength.

    A matrix of exactly low rank has no noise, and its rank whatever the strength.
    """
    if strength in (0, 1) or found.exact:
        return full if strength == 0 else found.rank
    return int((found.singular_values > strength * found.threshold).sum())


def _at_evbmf_ranks(spectrum: Spectrum, strength: float) -> LayerPlan:
    layer = spectrum.layer
    full_in, full_out = layer.max_ranks
    rank_out = scaled_rank(spectrum.out, strength, full_out)
    rank_in = scaled_rank(spectrum.in_, strength, full_in) if spectrum.in_ is not None else None
    empty = [mode for mode, rank in (("input", rank_in), ("output", rank_out)) if rank == 0]
    if empty:
        where = " and ".join(empty)
        reason = f"kept: EVBMF finds nothing above the noise in its {where} channels (rank 0)"
        if strength != 1:
            reason += f" at strength {strength:g}"
        return LayerPlan(layer, "keep", reason=reason, error=0.0)
    decision = "tucker1" if rank_in is None else "tucker2"
    error = spectrum.error(rank_out=rank_out, rank_in=rank_in)
    reason = "EVBMF ranks" + ("" if strength == 1 else f" at strength {strength:g}")
    part = LayerPlan(layer, decision, rank_in, rank_out, reason, error)
    new, old = part.cost, part.layer.cost
    smaller = new.macs <= old.macs and new.weights <= old.weights and new != old
    return part if smaller else _kept_for_cost(part)


def _kept_for_cost(part: LayerPlan) -> LayerPlan:
    method = DECISIONS[part.decision]
    macs = ratio(part.cost.macs, part.layer.cost.macs)
    weights = ratio(part.cost.weights, part.layer.cost.weights)
    ranks = ", ".join(str(r) for r in (part.rank_in, part.rank_out) if r is not None)
    cost = f"{macs:.2f}x the MACs" if macs >= weights else f"{weights:.2f}x the weights"
    reason = f"kept: {method} at EVBMF ranks ({ranks}) would cost {cost}"
    return LayerPlan(part.layer, "keep", reason=reason, error=0.0)
