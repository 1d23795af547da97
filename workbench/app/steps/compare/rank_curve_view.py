"""Accuracy against the rank of the picked layer, all others as they are."""

import ipywidgets as w

from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.compare.model import RankCurveModel
from workbench.app.steps.look.model import LookModel
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.job_row import JobRow
from workbench.app.worker import JobKind, Worker
from workbench.plot.interactive.curves import rank_curve


def view(curve: RankCurveModel, choose: ChooseModel, look: LookModel, worker: Worker) -> w.Widget:
    """Return a button above the curve."""
    measure = w.Button(button_style="primary", layout={"width": "auto", "min_width": "200px"})
    measure.tooltip = "Decompose only this layer at several ranks, and score the network each time"
    words = w.HTML(
        "<p class='wb-soft'>Which rank can this layer bear? Only this layer is decomposed, at several ranks; the "
        "others stay as they are. Nothing is recovered.</p>"
    )
    figure = FigureView("Accuracy against rank")

    def enable(_: object = None) -> None:
        measure.description = f"Try ranks of {look.selected or 'the picked layer'}"
        measure.disabled = worker.busy(JobKind.RANK_CURVE) or not choose.calibratable or not look.selected

    def draw(_: object = None) -> None:
        figure.show(rank_curve(curve.layer, curve.points))

    measure.on_click(lambda _: curve.measure())
    look.observe(enable, ["selected"])
    choose.observe(enable, ["opened"])
    worker.observe(enable, ["jobs"])
    curve.observe(draw, ["points"])
    enable()
    draw()
    progress = JobRow(worker, JobKind.RANK_CURVE)
    row = w.HBox([measure, progress], layout={"grid_gap": "10px", "align_items": "center"})
    return w.VBox([words, row, figure], layout={"grid_gap": "6px"})
