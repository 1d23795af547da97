"""Pick a layer in a figure."""

from workbench.app.steps.look.model import LookModel
from workbench.app.widgets.figure_view import FigureView


def pick_layers(look: LookModel, *figures: FigureView) -> None:
    """Let points whose ids are names of layers, with "#" and a number after them where there are several, pick them."""

    def picked(change: dict[str, object], figure: FigureView) -> None:
        look.pick(str(change["new"]).split("#")[0])
        figure.picked = ""  # the same point may be clicked again

    for figure in figures:
        figure.observe(lambda change, figure=figure: picked(change, figure), ["picked"])
