"""Which layers a planner reduces: the choices by name, and the reasons for which a layer is kept."""

from collections.abc import Callable, Sequence

from workbench.network.layers import Layer
from workbench.plan.plan import DECISIONS, LayerPlan, ratio
from workbench.plan.spectra import Spectra

IN_CHOICE: dict[str, Callable[[Layer], bool]] = {
    "default": lambda layer: not layer.pointwise,
    "spatial": lambda layer: layer.kind == "conv" and not layer.pointwise,
    "all": lambda layer: True,
}
"""Choice -> whether a layer is in it."""


def choose_layers(spectra: Spectra, layers: str | Sequence[str]) -> set[str]:
    """Return the names of the layers that a choice stands for; raise ValueError for a name of no layer."""
    if isinstance(layers, str):
        if layers not in IN_CHOICE:
            raise ValueError(f"layers is one of {', '.join(map(repr, IN_CHOICE))} or a list of names, not {layers!r}")
        return {layer.name for layer in spectra.layers if IN_CHOICE[layers](layer)}
    unknown = sorted(set(layers) - {layer.name for layer in spectra.layers})
    if unknown:
        raise ValueError(f"{spectra.network} has no layer {', '.join(map(repr, unknown))}")
    return set(layers)


def kept_if_left_out(layer: Layer, chosen: set[str]) -> LayerPlan | None:
    """Return the part of a layer that cannot be factorised or is not chosen: kept, with the reason. Else None."""
    if layer.method == "keep":
        return LayerPlan.kept(layer, f"kept: {layer.reason}")
    if layer.name in chosen:
        return None
    why = "1x1 convolutions are factors already" if layer.pointwise else "not among the chosen layers"
    return LayerPlan.kept(layer, f"kept: {why}")


def kept_unless_smaller(part: LayerPlan, ranks_by: str) -> LayerPlan:
    """Return the part if it has fewer weights or MACs than its layer, and not more of the other; else keep the layer.

    The reason then says what it would cost at the ranks of `ranks_by`.
    """
    new, old = part.cost, part.layer.cost
    if new.macs <= old.macs and new.weights <= old.weights and new != old:
        return part
    macs, weights = ratio(new.macs, old.macs), ratio(new.weights, old.weights)
    cost = f"{macs:.2f}x the MACs" if macs >= weights else f"{weights:.2f}x the weights"
    ranks = ", ".join(str(r) for r in (part.rank_in, part.rank_out) if r is not None)
    method = DECISIONS[part.decision]
    return LayerPlan.kept(part.layer, f"kept: {method} at {ranks_by} ranks ({ranks}) would cost {cost}")
