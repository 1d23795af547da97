"""The step *Compare*: accuracy against FLOPs; every measured network of the session is a point."""

import ipywidgets as w

from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.compare.model import CompareModel
from workbench.app.steps.recover.model import RecoverModel
from workbench.app.widgets.figure_view import FigureView
from workbench.plot.interactive.tradeoff import tradeoff


def view(compare: CompareModel, recover: RecoverModel, choose: ChooseModel) -> w.Widget:
    """Return the plot."""
    figure = FigureView("Accuracy against FLOPs")

    def draw(_: object = None) -> None:
        here = {run.number for run in recover.runs}
        earlier = [run for run in compare.stored if run.number not in here]
        dense = choose.spectra.total if choose.spectra else None
        random = choose.network is not None and choose.network.random_weights
        figure.show(tradeoff(recover.runs, choose.original, earlier, dense=dense, random_weights=random))

    recover.observe(draw, ["runs"])
    compare.observe(draw, ["stored"])
    choose.observe(draw, ["opened"])
    draw()
    return figure
