"""Accuracy against FLOPs: every measured network of the session is a point."""

import ipywidgets as w

from workbench.app.history import results_of
from workbench.app.state import State
from workbench.app.widgets.figure_view import FigureView
from workbench.plot.interactive.tradeoff import fill_tradeoff, tradeoff_figure


def tradeoff_panel(state: State) -> w.Widget:
    """The plot, filled from the state's results."""
    figure = FigureView(tradeoff_figure(), "Accuracy against FLOPs")

    def fill(_: object = None) -> None:
        here = {result.number for result in state.results}
        earlier = [results_of(run)[-1] for run in state.runs if run.number not in here]
        figure.show(fill_tradeoff, state.results, earlier)

    state.observe(fill, ["results", "runs"])
    fill()
    return figure
