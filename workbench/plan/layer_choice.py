"""Choose the layers that a planner reduces, and say why the others are kept."""

from collections.abc import Callable, Sequence

from workbench.network.layers import Layer
from workbench.plan.plan import LayerPlan
from workbench.plan.spectra import Spectra

CHOICES: dict[str, tuple[str, Callable[[Layer], bool]]] = {
    "default": ("all but 1x1 convolutions", lambda layer: not layer.pointwise),
    "spatial": ("spatial convolutions only", lambda layer: layer.kind == "conv" and not layer.pointwise),
    "all": ("all layers", lambda layer: True),
}
"""Choice -> its name in plans and on the page, and a function that says whether a layer belongs to it."""


def choose_layers(spectra: Spectra, layers: str | Sequence[str]) -> set[str]:
    """Return the names of the chosen layers; raise ValueError if the network has no layer of a given name."""
    if not isinstance(spectra, Spectra):
        raise TypeError(f"this takes spectra, as wb.analyze(network) returns them, not a {type(spectra).__name__}")
    if isinstance(layers, str):
        if layers not in CHOICES:
            raise ValueError(f"layers is one of {', '.join(map(repr, CHOICES))} or a list of names, not {layers!r}")
        return {layer.name for layer in spectra.layers if CHOICES[layers][1](layer)}
    unknown = sorted(set(layers) - {layer.name for layer in spectra.layers})
    if unknown:
        raise ValueError(f"{spectra.network} has no layer {', '.join(map(repr, unknown))}")
    return set(layers)


def kept_if_left_out(layer: Layer, chosen: set[str]) -> LayerPlan | None:
    """Return a LayerPlan that keeps a layer which cannot be factorised or is not chosen; None for other layers."""
    if layer.method == "keep":
        return LayerPlan.kept(layer, f"kept: {layer.reason}")
    if layer.name in chosen:
        return None
    reason = "1x1 convolutions are factors already" if layer.pointwise else "not among the chosen layers"
    return LayerPlan.kept(layer, f"kept: {reason}")
