"""Accuracy against the rank of the picked layer, all others as they are."""

from html import escape

import ipywidgets as w

from workbench.app.state import State
from workbench.app.steps.compare.rank_curve import RankCurve
from workbench.app.widgets.figure_view import FigureView
from workbench.plot.interactive.tradeoff import fill_ranks, ranks_figure


def curves_panel(state: State, curve: RankCurve | None = None) -> w.Widget:
    """A button above the curve."""
    model = curve or RankCurve(state)
    measure = w.Button(button_style="primary", layout={"width": "auto", "min_width": "200px"})
    measure.tooltip = "Decompose this layer alone at several ranks, and score the network each time"
    bar = w.FloatProgress(min=0, max=1, layout={"width": "200px", "height": "14px", "align_self": "center"})
    cancel = w.Button(description="Cancel", layout={"width": "90px"}, tooltip="Stop measuring")
    words = w.HTML()
    figure = FigureView(ranks_figure(), "Accuracy against rank")

    def busy(_: object = None) -> None:
        bar.layout.visibility = cancel.layout.visibility = "visible" if model.job.running else "hidden"
        measure.description = f"Try ranks of {state.selected or 'the picked layer'}"
        measure.disabled = model.job.running or not state.calibratable or not state.selected
        error = f"<div class='wb-error' role='alert'>{escape(model.job.error)}</div>" if model.job.error else ""
        words.value = error or (
            "<p class='wb-soft'>Which rank can this layer bear? It alone is decomposed, at several ranks; the others "
            "stay as they are. Nothing is recovered.</p>"
        )

    def draw(_: object = None) -> None:
        figure.show(fill_ranks, model.layer, model.points)

    measure.on_click(lambda _: model.measure())
    cancel.on_click(lambda _: model.job.cancel())
    state.observe(busy, ["selected", "data", "misfit", "network"])
    model.job.observe(busy, ["running", "error"])
    model.job.observe(lambda change: setattr(bar, "value", change["new"]), ["progress"])
    model.observe(draw, ["points"])
    busy()
    draw()
    row = w.HBox([measure, bar, cancel], layout={"grid_gap": "10px", "align_items": "center"})
    return w.VBox([words, row, figure], layout={"grid_gap": "6px"})
