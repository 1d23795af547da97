"""The network, drawn: how large its layers are, what the plan leaves of them, and what that costs."""

from dataclasses import replace

import ipywidgets as w

from workbench.app.controls import column, follow, row
from workbench.app.session import Session
from workbench.app.steps.compare.preview_view import preview_view
from workbench.app.widgets.network_graph import NetworkGraph
from workbench.inspect.drawing.fills import AREAS, Measured
from workbench.inspect.drawing.svg import Picture

COLORS = {
    "error": "Predicted error of the kernel",
    "importance": "Expected squared change of the answers",
    "noise": "Signal to noise of each layer, on the picture",
}
"""What the colours can mean -> a hint."""


def network_view(session: Session, aspect: float = 6.5) -> w.Widget:
    """Return a drawing of this width / height below the choice of its areas and colours, and the picture beside it."""
    plan, look, preview = session.plan, session.look, session.preview
    graph = NetworkGraph()
    areas = [(text, name) for name, text in AREAS.items()]
    area = w.ToggleButtons(options=areas, style={"button_width": "110px"})
    area.tooltips = ["Area of a block: multiply-adds for one image", "Area of a block: numbers that the network stores"]
    color = w.ToggleButtons(options=["error"], style={"button_width": "84px"})

    def measured() -> dict[str, Measured]:
        found: dict[str, Measured] = {"error": None}
        found |= {"importance": plan.measured} if plan.measured is not None else {}
        if preview.found is not None:
            noise = preview.found.comparison
            found["noise"] = noise if preview.current else replace(noise, layers=())  # not that of another plan
        return found

    def fill() -> None:
        found, shown = measured(), plan.plan
        if list(color.options) != (names := list(found)):
            with color.hold_trait_notifications():
                chosen, color.options = color.value, names
                color.value = chosen if chosen in names else names[0]
                color.tooltips = [COLORS[name] for name in names]
        color.layout.display = "" if len(names) > 1 else "none"
        if shown is None:
            graph.show(None)
            return
        edges = shown.spectra.graph if shown.spectra is not None else ()
        colored = found.get(color.value)
        graph.show(Picture(shown, edges, colored, area.value, aspect))

    def recolor() -> None:
        if color.value == "noise" or list(color.options) != list(measured()):
            fill()

    w.link((look, "picked"), (graph, "selected"))
    follow(fill, (plan, "plan measured"), (color, "value"), (area, "value"))
    follow(recolor, (preview, "found current"))
    drawing = column(row(area, color, gap=10), graph, gap=4)
    drawing.add_class("wb-drawing")
    drawing.layout.flex, drawing.layout.min_width = "1 1 0%", "min(100%, 460px)"
    return w.HBox([drawing, preview_view(session)], layout={"grid_gap": "12px", "flex_flow": "row wrap"})
