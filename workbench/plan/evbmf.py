"""The paper's policy: every layer at the ranks that EVBMF finds, where that makes it smaller."""

from collections.abc import Sequence

from workbench.kernels.evbmf import Evbmf
from workbench.plan.layer_choice import CHOICES, choose_layers, kept_if_left_out
from workbench.plan.plan import DECISIONS, LayerPlan, Plan, ratio
from workbench.plan.spectra import Spectra
from workbench.plan.spectrum import Spectrum


def evbmf_plan(spectra: Spectra, layers: str | Sequence[str] = "default", *, strength: float = 1.0) -> Plan:
    """Plan every layer at the ranks that EVBMF finds, where that makes it smaller.

    Parameters
    ----------
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
    if not 0 <= strength < float("inf"):
        raise ValueError(f"the strength must be a number of at least 0 (1 is EVBMF itself), not {strength}")
    chosen = choose_layers(spectra, layers)
    parts = tuple(
        kept_if_left_out(layer, chosen) or _at_evbmf_ranks(spectra[layer.name], strength) for layer in spectra.layers
    )
    policy = f"EVBMF, {CHOICES[layers][0] if isinstance(layers, str) else f'{len(chosen)} chosen layers'}"
    policy += "" if strength == 1 else f", strength {strength:g}"
    return Plan(spectra.network, spectra.input_shape, parts, spectra.other, policy, spectra)


def scaled_rank(found: Evbmf, strength: float, full: int) -> int:
    """Return EVBMF's rank with its threshold scaled; `full` at strength 0. It never rises with the strength.

    A matrix of exactly low rank has no noise, and its rank whatever the strength.
    """
    if strength in (0, 1) or found.exact:
        return full if strength == 0 else found.rank
    return int((found.singular_values > strength * found.threshold).sum())


def _at_evbmf_ranks(spectrum: Spectrum, strength: float) -> LayerPlan:
    layer, (full_in, full_out) = spectrum.layer, spectrum.layer.max_ranks
    rank_out = scaled_rank(spectrum.out, strength, full_out)
    rank_in = scaled_rank(spectrum.in_, strength, full_in) if spectrum.in_ is not None else None
    at = "" if strength == 1 else f" at strength {strength:g}"
    empty = " and ".join(mode for mode, rank in (("input", rank_in), ("output", rank_out)) if rank == 0)
    if empty:
        reason = f"kept: EVBMF finds nothing above the noise in its {empty} channels (rank 0){at}"
        return LayerPlan.kept(layer, reason)
    error = spectrum.error(rank_out=rank_out, rank_in=rank_in)
    part = LayerPlan(layer, layer.method, rank_in, rank_out, f"EVBMF ranks{at}", error)
    new, old = part.cost, layer.cost
    if new.macs <= old.macs and new.weights <= old.weights and new != old:
        return part
    macs, weights = ratio(new.macs, old.macs), ratio(new.weights, old.weights)
    cost = f"{macs:.2f}x the MACs" if macs >= weights else f"{weights:.2f}x the weights"
    ranks = rank_out if rank_in is None else f"{rank_in}, {rank_out}"
    return LayerPlan.kept(layer, f"kept: {DECISIONS[layer.method]} at EVBMF ranks ({ranks}) would cost {cost}")
