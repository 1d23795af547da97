"""Accuracy against FLOPs: every measured network of the session is a point."""

import ipywidgets as w
import plotly.graph_objects as go

from workbench.app.figures import fill_tradeoff, tradeoff_figure
from workbench.app.state import State


def tradeoff_panel(state: State) -> w.Widget:
    """The plot, filled from the state's results."""
    figure = go.FigureWidget(tradeoff_figure())

    def fill(_: object = None) -> None:
        fill_tradeoff(figure, state.results)

    state.observe(fill, ["results"])
    fill()
    return figure
