"""The step *Look*: the layers as a drawing and as a table."""

from typing import Any

import ipywidgets as w

from workbench.app.controls import column, follow
from workbench.app.network_view import network_view
from workbench.app.session import Session
from workbench.app.widgets.glossary import TERMS
from workbench.app.widgets.layer_table import LayerTable
from workbench.plan.plan import DECISIONS, Plan
from workbench.plan.spectra import Spectra
from workbench.tables import times

LAYER_KINDS = {"conv": "convolution", "linear": "fully connected"}
SHAPE_HINT = "Input channels -> output channels, and the size of the window that slides over the image."
EVBMF_HINT = f"{TERMS['EVBMF']} Input x output; a single number where only the output is reduced."
LAYER_COLUMNS = [
    {"key": key, "title": title, "kind": kind, "hint": hint, "expert": key in ("kind", "evbmf", "error")}
    for key, title, kind, hint in (
        ("name", "layer", "text", ""),
        ("kind", "kind", "text", ""),
        ("shape", "channels, kernel", "text", SHAPE_HINT),
        ("share", "share of MACs", "share", TERMS["MACs"]),
        ("evbmf", "EVBMF ranks", "number", EVBMF_HINT),
        ("decision", "decision", "decision", TERMS["Tucker-2"]),
        ("ranks", "ranks", "number", f"Chosen ranks, input x output. {TERMS['rank']}"),
        ("ratio", "fewer MACs", "number", "Original / planned multiply-adds."),
        ("error", "kernel error", "number", TERMS["kernel error"]),
        ("reason", "why", "reason", ""),
    )
]


def look_view(session: Session) -> w.Widget:
    """Return the drawing of the network above the table of its layers."""
    plan = session.plan
    drawing = network_view(session, aspect=4.4)  # built first, so that it is redrawn first
    table = LayerTable(file="layers.csv", columns=LAYER_COLUMNS)

    def fill() -> None:
        table.set_items(rows(plan.plan))

    w.link((session.look, "picked"), (table, "selected"))
    follow(fill, (plan, "plan"))
    return column(drawing, table)


def rows(plan: Plan | None) -> list[dict[str, Any]]:
    """Return the rows of the table, a dictionary for each layer."""
    if plan is None or plan.spectra is None:
        return []
    spectra, total_macs = plan.spectra, max(1, plan.dense.macs)
    max_macs = max(part.layer.cost.macs for part in plan) or 1
    return [
        {
            "name": part.name,
            "kind": LAYER_KINDS[part.layer.kind],
            "shape": part.layer.describe().replace("->", "→"),
            "share": part.layer.cost.macs / total_macs,
            "bar": part.layer.cost.macs / max_macs,
            "evbmf": _evbmf_ranks_text(part.name, spectra),
            "decision": DECISIONS[part.decision],
            "tag": part.decision,
            "ranks": "-" if part.rank_out is None else _ranks_text(part.rank_in, part.rank_out),
            "ratio": times(part.macs_ratio),
            "error": "-" if part.error is None else f"{100 * part.error:.1f} %",
            "reason": part.reason.removeprefix("kept: "),
        }
        for part in plan
    ]


def _evbmf_ranks_text(name: str, spectra: Spectra) -> str:
    if name not in spectra:
        return "-"
    spectrum = spectra[name]
    return _ranks_text(spectrum.in_.rank if spectrum.in_ else None, spectrum.out.rank)


def _ranks_text(rank_in: int | None, rank_out: int) -> str:
    return str(rank_out) if rank_in is None else f"{rank_in} x {rank_out}"
