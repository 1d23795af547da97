"""The paper's policy: reduce every layer to its EVBMF ranks, if that makes it cheaper."""

from collections.abc import Sequence

from workbench.kernels.evbmf import Evbmf
from workbench.plan.layer_choice import CHOICES, choose_layers, kept_if_left_out
from workbench.plan.plan import DECISIONS, LayerPlan, Plan, ratio
from workbench.plan.spectra import Spectra
from workbench.plan.spectrum import Spectrum


def evbmf_plan(spectra: Spectra, layers: str | Sequence[str] = "default", *, strength: float = 1.0) -> Plan:
    """Plan every layer at its EVBMF ranks, if that makes it cheaper.

    Parameters
    ----------
    layers : "default" (all but 1x1 convolutions, which are factors already), "spatial" (convolutions larger than 1x1,
        no fully connected layers), "all", or the names of layers.
    strength : factor on EVBMF's thresholds of the singular values: 1 is EVBMF, more gives smaller ranks, less larger
        ones; 0 gives full ranks, so that no layer is reduced.

    Returns
    -------
    Plan in which no layer has more weights or MACs than before. A layer that would, or whose EVBMF rank is 0 (noise
    only), is kept, and its `reason` says so.

    Raises
    ------
    ValueError : if the network has no layer of that name, or the strength is negative or not finite.

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


def scaled_rank(result: Evbmf, strength: float, max_rank: int) -> int:
    """Return EVBMF's rank with a scaled threshold, which never rises with the strength; `max_rank` at strength 0.

    A matrix of exactly low rank has no noise: its rank is the same at any other strength.
    """
    if strength in (0, 1) or result.exact:
        return max_rank if strength == 0 else result.rank
    return int((result.singular_values > strength * result.threshold).sum())


def _at_evbmf_ranks(spectrum: Spectrum, strength: float) -> LayerPlan:
    layer, (max_in, max_out) = spectrum.layer, spectrum.layer.max_ranks
    rank_out = scaled_rank(spectrum.out, strength, max_out)
    rank_in = scaled_rank(spectrum.in_, strength, max_in) if spectrum.in_ is not None else None
    suffix = "" if strength == 1 else f" at strength {strength:g}"
    empty_modes = " and ".join(mode for mode, rank in (("input", rank_in), ("output", rank_out)) if rank == 0)
    if empty_modes:
        reason = f"kept: EVBMF finds nothing above the noise in its {empty_modes} channels (rank 0){suffix}"
        return LayerPlan.kept(layer, reason)
    error = spectrum.error(rank_out=rank_out, rank_in=rank_in)
    part = LayerPlan(layer, layer.method, rank_in, rank_out, f"EVBMF ranks{suffix}", error)
    cost, dense = part.cost, layer.cost
    if cost.macs <= dense.macs and cost.weights <= dense.weights and cost != dense:
        return part
    macs, weights = ratio(cost.macs, dense.macs), ratio(cost.weights, dense.weights)
    growth = f"{macs:.2f}x the MACs" if macs >= weights else f"{weights:.2f}x the weights"
    ranks = rank_out if rank_in is None else f"{rank_in}, {rank_out}"
    return LayerPlan.kept(layer, f"kept: {DECISIONS[layer.method]} at EVBMF ranks ({ranks}) would cost {growth}")
