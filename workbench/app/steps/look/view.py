"""A bar for every layer; a click picks it."""

import ipywidgets as w

from workbench.app.state import State
from workbench.app.widgets.debounce import Later
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.picking import pick_layers
from workbench.plot.interactive.layers import MEASURES, fill_glance, glance_figure


def glance_panel(state: State) -> w.Widget:
    """What every layer costs, original and planned, by MACs or by weights."""
    figure = FigureView(glance_figure(), "Layers at a glance")
    measure = w.ToggleButtons(
        options=[(text, name) for name, text in MEASURES.items()],
        tooltips=["Multiply-adds for one image", "Numbers that the network stores"],
        style={"button_width": "132px"},
    )

    def fill(_: object = None) -> None:
        figure.show(fill_glance, state.plan, state.selected, measure.value)

    pick_layers(state, figure)
    measure.observe(fill, "value")
    state.observe(fill, ["selected"])
    state.observe(Later(fill), ["plan"])  # the hand is on the picked layer: that goes before
    fill()
    return w.VBox([measure, figure], layout={"grid_gap": "2px"})
