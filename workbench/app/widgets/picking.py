"""A layer that is picked in a figure is the picked layer everywhere."""

from workbench.app.state import State
from workbench.app.widgets.figure_view import FigureView


def pick_layers(state: State, *figures: FigureView) -> None:
    """Let points whose ids are names of layers, with "#" and a number after them where there are several, pick them."""

    def picked(change: dict[str, object], figure: FigureView) -> None:
        name = str(change["new"]).split("#")[0]
        if name in {part.name for part in state.plan or ()}:
            state.selected = name
        figure.picked = ""  # the same point may be clicked again

    for figure in figures:
        figure.observe(lambda change, figure=figure: picked(change, figure), ["picked"])
