"""The network, drawn: how large its layers are, what the plan leaves of them, and what that costs."""

import ipywidgets as w

from workbench.app.controls import column, follow, row
from workbench.app.session import Session
from workbench.app.widgets.network_graph import NetworkGraph
from workbench.inspect.drawing.fills import AREAS
from workbench.inspect.drawing.svg import Picture

ASPECT = 6.0
"""Width / height of the drawing's place on the page."""


def network_view(session: Session) -> w.Widget:
    """Return the drawing below the choice of what areas and colours mean."""
    plan, look = session.plan, session.look
    graph = NetworkGraph()
    areas = [(text, name) for name, text in AREAS.items()]
    area = w.ToggleButtons(options=areas, style={"button_width": "112px"})
    area.tooltips = ["Area of a block: multiply-adds for one image", "Area of a block: numbers that the network stores"]
    color = w.ToggleButtons(options=[("error", False), ("importance", True)], style={"button_width": "86px"})
    color.tooltips = ["Colour: predicted error of the kernel", "Colour: expected squared change of the answers"]

    def picture() -> Picture | None:
        if plan.plan is None:
            return None
        graph = plan.spectra.graph if plan.spectra is not None else ()
        measured = plan.importance if color.value else None
        return Picture(plan.plan.network, plan.plan.layers, graph, plan.plan.other, measured, area.value, ASPECT)

    def draw() -> None:
        graph.draw(picture())

    def fill() -> None:
        color.layout.display = "" if plan.importance is not None else "none"
        made = picture()
        if made is not None and graph.picture is not None and made.has_blocks_of(graph.picture):
            graph.fill(made)
        else:
            graph.draw(made)

    w.link((look, "picked"), (graph, "selected"))
    follow(fill, (plan, "plan importance"), (color, "value"))
    area.observe(lambda _: draw(), ["value"])
    drawing = column(row(area, color, gap=10), graph, gap=4)
    drawing.add_class("wb-drawing")
    return drawing
