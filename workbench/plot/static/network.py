"""The network as a drawing: layers as blocks, branches as they are."""

from workbench.inspect.drawing.fills import AREAS, Measured
from workbench.inspect.drawing.svg import Drawing, graph_of
from workbench.network.network import Network
from workbench.network.tracing import find_layers
from workbench.plan.compressed import CompressedNetwork
from workbench.plan.plan import LayerPlan, Plan
from workbench.plan.spectra import Spectra


def network(subject: Network | Spectra | Plan, measured: Measured = None, *, area: str = "macs") -> Drawing:
    """Draw a network: each layer is a block with an area by its cost, filled by the share that the plan leaves.

    Parameters
    ----------
    subject : a network; a compressed network, with its plan; spectra; or a plan. A plan that was read from a file has
        no spectra, so that its layers are drawn as a chain.
    measured : source of the colours: the importance of the layers, or a comparison of the compressed network with its
        original, for their signal to noise. None for the predicted errors of the plan.
    area : "macs" or "weights".

    Returns
    -------
    Drawing, which a notebook shows; ``.save("network.svg")`` writes it.

    Raises
    ------
    TypeError : if `subject` or `measured` has another type.
    ValueError : if `area` is neither of the two.

    References: Sugiyama, Tagawa, Toda, 1981 (layered layouts).
    """
    if area not in AREAS:
        raise ValueError(f"area={area!r}: the area of a block is one of {', '.join(map(repr, AREAS))}")
    if not isinstance(measured, Measured):
        raise TypeError(f"measured is an importance, a comparison or None, not a {type(measured).__name__}")
    if isinstance(subject, Plan):
        plan, graph = subject, graph_of(subject)
    elif isinstance(subject, CompressedNetwork):
        plan, graph = subject.plan, graph_of(subject.plan, subject.original)
    elif isinstance(subject, Network | Spectra):
        traced = find_layers(subject) if isinstance(subject, Network) else subject
        name = subject.name if isinstance(subject, Network) else subject.network
        parts = tuple(LayerPlan.kept(layer, "") for layer in traced.layers)
        plan, graph = Plan(name, subject.input_shape, parts, traced.other, "nothing is planned"), traced.graph
    else:
        raise TypeError(f"this draws a network, spectra or a plan, not a {type(subject).__name__}")
    return Drawing(plan, graph, measured, area)
