"""The paper's table, computed and published; and the plan layer by layer, factor by factor."""

from html import escape

import ipywidgets as w

from workbench.app.state import State
from workbench.app.steps.compare.paper import Paper
from workbench.app.steps.plan.view import POLICIES
from workbench.app.widgets.debounce import Later
from workbench.catalog.paper.published import SOURCE
from workbench.inspect.layerwise import layerwise


def paper_panel(state: State, paper: Paper | None = None) -> w.Widget:
    """Choice of layers and a button above the table."""
    model = paper or Paper(state)
    layers = w.Dropdown(options=POLICIES, description="Compressed layers", layout={"width": "430px"})
    layers.style.description_width = "140px"
    linear = w.Checkbox(description="with fully connected layers", indent=False, layout={"width": "auto"})
    compute = w.Button(description="Compute the table", button_style="primary", layout={"width": "160px"})
    bar = w.FloatProgress(min=0, max=1, layout={"width": "160px", "height": "14px", "align_self": "center"})
    cancel = w.Button(description="Cancel", layout={"width": "90px"}, tooltip="Stop computing")
    status, shown = w.HTML(), w.HTML()

    def fill(_: object = None) -> None:
        shown.value = table_html(model)

    def busy(_: object = None) -> None:
        running = model.job.running
        bar.layout.visibility = cancel.layout.visibility = "visible" if running else "hidden"
        for box in (layers, linear, compute):
            box.disabled = running
        error = f"<div class='wb-error' role='alert'>{escape(model.job.error)}</div>" if model.job.error else ""
        status.value = error or f"<div class='wb-status' role='status'>{escape(model.job.note or model.note)}</div>"

    w.link((model, "layers"), (layers, "value"))
    w.link((model, "fully_connected"), (linear, "value"))
    compute.on_click(lambda _: model.compute())
    cancel.on_click(lambda _: model.job.cancel())
    model.observe(fill, ["table", "note"])
    model.job.observe(busy, ["running", "note", "error"])
    model.job.observe(lambda change: setattr(bar, "value", change["new"]), ["progress"])
    fill()
    busy()
    row = {"grid_gap": "10px", "align_items": "center", "flex_flow": "row wrap"}
    return w.VBox([w.HBox([layers, linear, compute, bar, cancel], layout=row), status, shown])


def table_html(paper: Paper) -> str:
    """The table with its published half marked, or what it will show."""
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


def layerwise_panel(state: State) -> w.Widget:
    """Weights and MACs of each factor of each layer, following the plan."""
    shown = w.HTML()

    def fill() -> None:
        html = layerwise(state.plan)._repr_html_() if state.plan is not None else ""
        shown.value = f"<div class='wb-scroll'>{html}</div>" if html else "<p class='wb-soft'>No network is open.</p>"

    state.observe(Later(fill), ["plan"])  # a large table, mostly hidden behind another tab
    fill()
    return shown
