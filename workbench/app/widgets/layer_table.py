"""Which layers there are, what each costs, what is to be done to it and why; click one to look at it."""

from pathlib import Path
from typing import Any

import traitlets

from workbench.app.state import State
from workbench.app.widgets.base import PatientWidget
from workbench.app.widgets.glossary import TERMS
from workbench.plan.plan import DECISIONS, LayerPlan
from workbench.tables import times

HERE = Path(__file__).parent
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


class LayerTable(PatientWidget):
    """A table whose rows can be picked, by mouse or keyboard.

    Traits
    ------
    file : name under which its rows can be saved as CSV; "" for no such button.
    """

    _esm = HERE / "layer_table.js"
    _css = HERE / "layer_table.css"
    label = traitlets.Unicode("Layers").tag(sync=True)
    columns = traitlets.List(COLUMNS).tag(sync=True)
    rows: traitlets.List[Any] = traitlets.List().tag(sync=True)
    selected = traitlets.Unicode().tag(sync=True)
    file = traitlets.Unicode().tag(sync=True)


def layer_table(state: State) -> LayerTable:
    """The table, linked to the state's plan and selected layer."""
    table = LayerTable(file="layers.csv")

    def fill(_: object = None) -> None:
        table.rows = rows(state)

    state.observe(fill, ["plan"])
    fill()
    traitlets.link((state, "selected"), (table, "selected"))
    return table


def rows(state: State) -> list[dict[str, Any]]:
    """What the table shows, one dictionary a layer."""
    if state.plan is None or state.spectra is None:
        return []
    macs = max(1, state.spectra.total.macs)
    most = max(part.layer.cost.macs for part in state.plan) / macs or 1.0
    shares = [part.layer.cost.macs / macs for part in state.plan]
    return [{**_row(part, share, state), "bar": share / most} for part, share in zip(state.plan, shares, strict=True)]


def _row(part: LayerPlan, share: float, state: State) -> dict[str, Any]:
    spectra = state.spectra
    evbmf = "-"
    if spectra is not None and part.name in spectra:
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
