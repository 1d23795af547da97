"""The step *Look*: the layers as a table and as bars."""

from typing import Any

import ipywidgets as w
import traitlets

from workbench.app.debounce import Debounce
from workbench.app.steps.look.model import LookModel
from workbench.app.steps.plan.model import PlanModel
from workbench.app.widgets.figure_view import FigureView, pick_layers
from workbench.app.widgets.glossary import TERMS
from workbench.app.widgets.layer_table import LayerTable
from workbench.plan.plan import DECISIONS, LayerPlan, Plan
from workbench.plan.spectra import Spectra
from workbench.plot.interactive.layers import MEASURES, layer_costs
from workbench.tables import times

KINDS = {"conv": "convolution", "linear": "fully connected"}
COLUMNS = [
    {"key": "name", "title": "layer", "kind": "text"},
    {"key": "kind", "title": "kind", "kind": "text"},
    {
        "key": "shape",
        "title": "channels, kernel",
        "kind": "text",
        "hint": "Input channels -> output channels, and the size of the window that slides over the image.",
    },
    {"key": "share", "title": "share of MACs", "kind": "share", "hint": TERMS["MACs"]},
    {
        "key": "evbmf",
        "title": "EVBMF ranks",
        "kind": "number",
        "hint": f"{TERMS['EVBMF']} Input x output; a single number where only the output is reduced.",
    },
    {"key": "decision", "title": "decision", "kind": "decision", "hint": TERMS["Tucker-2"]},
    {"key": "ranks", "title": "ranks", "kind": "number", "hint": f"Chosen ranks, input x output. {TERMS['rank']}"},
    {"key": "ratio", "title": "fewer MACs", "kind": "number", "hint": "Original / planned multiply-adds."},
    {"key": "error", "title": "kernel error", "kind": "number", "hint": TERMS["kernel error"]},
    {"key": "reason", "title": "why", "kind": "reason"},
]


def view(look: LookModel, plan: PlanModel) -> w.Widget:
    """Return the table above the bars."""
    table = LayerTable(file="layers.csv", columns=COLUMNS)
    figure = FigureView("Cost of each layer")
    measure = w.ToggleButtons(
        options=[(text, name) for name, text in MEASURES.items()],
        tooltips=["Multiply-adds for one image", "Numbers that the network stores"],
        style={"button_width": "132px"},
    )

    def fill(_: object = None) -> None:
        table.rows = rows(plan.plan, plan.spectra)

    def draw(_: object = None) -> None:
        figure.show(layer_costs(plan.plan, look.selected, measure.value))

    traitlets.link((look, "selected"), (table, "selected"))
    pick_layers(look, figure)
    measure.observe(draw, "value")
    look.observe(draw, ["selected"])
    plan.observe(fill, ["plan"])
    plan.observe(Debounce(draw), ["plan"])
    fill()
    draw()
    return w.VBox([table, measure, figure], layout={"grid_gap": "6px"})


def rows(plan: Plan | None, spectra: Spectra | None) -> list[dict[str, Any]]:
    """Return what the table shows, one dictionary a layer."""
    if plan is None or spectra is None:
        return []
    macs = max(1, spectra.total.macs)
    largest = max(part.layer.cost.macs for part in plan) / macs or 1.0
    shares = [part.layer.cost.macs / macs for part in plan]
    return [{**_row(part, share, spectra), "bar": share / largest} for part, share in zip(plan, shares, strict=True)]


def _row(part: LayerPlan, share: float, spectra: Spectra) -> dict[str, Any]:
    evbmf = "-"
    if part.name in spectra:
        spectrum = spectra[part.name]
        evbmf = _ranks(spectrum.in_.rank if spectrum.in_ else None, spectrum.out.rank)
    return {
        "name": part.name,
        "kind": KINDS[part.layer.kind],
        "shape": part.layer.describe().replace("->", "→"),
        "share": share,
        "evbmf": evbmf,
        "decision": DECISIONS[part.decision],
        "tag": part.decision,
        "ranks": "-" if part.rank_out is None else _ranks(part.rank_in, part.rank_out),
        "ratio": times(part.macs_ratio),
        "error": "-" if part.error is None else f"{100 * part.error:.1f} %",
        "reason": part.reason.removeprefix("kept: "),
    }


def _ranks(rank_in: int | None, rank_out: int) -> str:
    return str(rank_out) if rank_in is None else f"{rank_in} x {rank_out}"
