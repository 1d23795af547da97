"""The step *Compare*: accuracy against FLOPs, accuracy against rank, the layers' factors, and the paper's table."""

from html import escape

import ipywidgets as w

from workbench.app.controls import button, column, follow, row, slot
from workbench.app.debounce import Debounce
from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.compare.model import CompareModel, PaperModel, RankCurveModel
from workbench.app.steps.look.model import LookModel
from workbench.app.steps.plan.model import PlanModel
from workbench.app.steps.plan.view import LAYER_CHOICES
from workbench.app.steps.recover.model import RecoverModel
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.job_row import JobRow
from workbench.app.worker import JobKind, Worker
from workbench.catalog.paper.published import SOURCE
from workbench.inspect.layerwise import layerwise
from workbench.plot.interactive.rank_curve import rank_curve
from workbench.plot.interactive.tradeoff import tradeoff


def tradeoff_view(compare: CompareModel, recover: RecoverModel, choose: ChooseModel) -> w.Widget:
    """Return the plot of accuracy against FLOPs; every measured network of the session is a point."""
    figure = FigureView("Accuracy against FLOPs")

    def draw() -> None:
        here = {run.number for run in recover.runs}
        earlier = [run for run in compare.stored if run.number not in here]
        dense = choose.spectra.total if choose.spectra else None
        random = choose.network is not None and choose.network.random_weights
        figure.show(tradeoff(recover.runs, choose.original, earlier, dense=dense, random_weights=random))

    follow(draw, (recover, "runs"), (compare, "stored"), (choose, "opened"))
    return figure


def rank_curve_view(curve: RankCurveModel, choose: ChooseModel, look: LookModel, worker: Worker) -> w.Widget:
    """Return a button above the curve of accuracy against the rank of the picked layer."""
    hint = "Decompose only this layer at several ranks, and score the network each time"
    measure = button("", curve.measure, hint, width="auto", primary=True)
    measure.layout.min_width = "200px"
    words = w.HTML(
        "<p class='wb-soft'>Which rank can this layer bear? Only this layer is decomposed, at several ranks; the "
        "others stay as they are. Nothing is recovered.</p>"
    )
    figure = FigureView("Accuracy against rank")

    def enable() -> None:
        measure.description = f"Try ranks of {look.picked or 'the picked layer'}"
        measure.disabled = worker.busy(JobKind.RANK_CURVE) or not choose.calibratable or not look.picked

    follow(enable, (look, "picked"), (choose, "opened"), (worker, "jobs"))
    follow(lambda: figure.show(rank_curve(curve.layer, curve.points)), (curve, "points"))
    return column(words, row(measure, JobRow(worker, JobKind.RANK_CURVE), gap=10), figure)


def layerwise_view(plan: PlanModel) -> w.Widget:
    """Return weights and MACs of each factor of each layer, following the plan."""
    shown = w.HTML()

    def fill() -> None:
        html = layerwise(plan.plan)._repr_html_() if plan.plan is not None else ""
        shown.value = f"<div class='wb-scroll'>{html}</div>" if html else "<p class='wb-soft'>No network is open.</p>"

    plan.observe(Debounce(fill), ["plan"])  # a large table, mostly hidden behind another tab
    fill()
    return shown


def paper_view(paper: PaperModel, worker: Worker) -> w.Widget:
    """Return a choice of layers and a button above the paper's table."""
    layers = slot(w.Dropdown, "Compressed layers", 430, 140, options=LAYER_CHOICES)
    linear = w.Checkbox(description="with fully connected layers", indent=False, layout={"width": "auto"})
    compute = button("Compute the table", paper.compute, width="160px", primary=True)
    shown = w.HTML()

    def fill() -> None:
        shown.value = table_html(paper)

    def enable() -> None:
        for box in (layers, linear, compute):
            box.disabled = worker.busy(JobKind.PAPER)

    w.link((paper, "layers"), (layers, "value"))
    w.link((paper, "fully_connected"), (linear, "value"))
    follow(fill, (paper, "table note"))
    follow(enable, (worker, "jobs"))
    return w.VBox([row(layers, linear, compute, gap=10), JobRow(worker, JobKind.PAPER), shown])


def table_html(paper: PaperModel) -> str:
    """Return the table with its published half marked, or what it will show."""
    if paper.table is None:
        return (
            "<p class='wb-soft'>The paper's four networks: weights and MACs computed here from their definitions, "
            "what compression makes of the open network if it has real weights, and beside them the published figures "
            f"({escape(SOURCE)}).</p>"
        )
    return (
        f"<p class='wb-soft'>{escape(paper.note)} Tinted columns, marked (p), "
        "are <b>published</b>, not computed here.</p>"
        f"<div class='wb-scroll wb-paper'>{paper.table._repr_html_()}</div>"
    )
