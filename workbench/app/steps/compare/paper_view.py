"""The paper's table, computed and published; and the plan layer by layer, factor by factor."""

from html import escape

import ipywidgets as w

from workbench.app.debounce import Debounce
from workbench.app.steps.compare.model import PaperModel
from workbench.app.steps.plan.model import PlanModel
from workbench.app.steps.plan.view import LAYER_CHOICES
from workbench.app.widgets.job_row import JobRow
from workbench.app.worker import JobKind, Worker
from workbench.catalog.paper.published import SOURCE
from workbench.inspect.layerwise import layerwise


def view(paper: PaperModel, worker: Worker) -> w.Widget:
    """Return a choice of layers and a button above the table."""
    layers = w.Dropdown(options=LAYER_CHOICES, description="Compressed layers", layout={"width": "430px"})
    layers.style.description_width = "140px"
    linear = w.Checkbox(description="with fully connected layers", indent=False, layout={"width": "auto"})
    compute = w.Button(description="Compute the table", button_style="primary", layout={"width": "160px"})
    shown = w.HTML()

    def fill(_: object = None) -> None:
        shown.value = table_html(paper)

    def enable(_: object = None) -> None:
        for box in (layers, linear, compute):
            box.disabled = worker.busy(JobKind.PAPER)

    w.link((paper, "layers"), (layers, "value"))
    w.link((paper, "fully_connected"), (linear, "value"))
    compute.on_click(lambda _: paper.compute())
    paper.observe(fill, ["table", "note"])
    worker.observe(enable, ["jobs"])
    fill()
    enable()
    row = {"grid_gap": "10px", "align_items": "center", "flex_flow": "row wrap"}
    return w.VBox([w.HBox([layers, linear, compute], layout=row), JobRow(worker, JobKind.PAPER), shown])


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


def layerwise_view(plan: PlanModel) -> w.Widget:
    """Return weights and MACs of each factor of each layer, following the plan."""
    shown = w.HTML()

    def fill() -> None:
        html = layerwise(plan.plan)._repr_html_() if plan.plan is not None else ""
        shown.value = f"<div class='wb-scroll'>{html}</div>" if html else "<p class='wb-soft'>No network is open.</p>"

    plan.observe(Debounce(fill), ["plan"])  # a large table, mostly hidden behind another tab
    fill()
    return shown
