"""Take it home: files of the compressed network, each checked against it before it is offered."""

from html import escape

import ipywidgets as w

from workbench.app.state import State
from workbench.app.steps.take_home.model import KINDS, Exports
from workbench.app.widgets.download import Download


def export_panel(state: State, exports: Exports | None = None) -> w.Widget:
    """A row for each kind of file: what it is, a button that makes it, one that saves it."""
    model = exports or Exports(state)
    status = w.HTML()
    bar = w.FloatProgress(min=0, max=1, layout={"width": "200px", "height": "14px", "align_self": "center"})
    cancel = w.Button(description="Cancel", layout={"width": "90px"}, tooltip="Stop making the file")
    rows, makers = [], {}
    savers = {kind: Download() for kind in KINDS}
    results = {kind: w.HTML(layout={"flex": "1 1 240px"}) for kind in KINDS}
    for kind, about in KINDS.items():
        text = w.HTML(
            f"<div><b>{escape(about.title)}</b><div class='wb-soft'>{escape(about.about)}</div></div>",
            layout={"width": "330px", "flex": "0 0 auto"},
        )
        make = w.Button(description=f"Make {about.suffix}", layout={"width": "130px"})
        make.on_click(lambda _, kind=kind: model.make(kind))
        makers[kind] = make
        line = w.HBox([text, make, savers[kind], results[kind]])
        line.layout.align_items, line.layout.flex_flow, line.layout.grid_gap = "center", "row wrap", "10px"
        line.add_class("wb-line")
        rows.append(line)

    def fill(_: object = None) -> None:
        for kind in KINDS:
            made, why = model.of(kind), model.missing(kind)
            savers[kind].offer(made.path if made else None)
            words = made.words if made else why
            results[kind].value = f"<div class='wb-soft'>{escape(words)}</div>"
        busy()

    def busy(_: object = None) -> None:
        job = model.job
        bar.layout.visibility = cancel.layout.visibility = "visible" if job.running else "hidden"
        for kind, make in makers.items():
            why = model.missing(kind)
            make.disabled = job.running or state.job.running or state.smaller is None or bool(why)
            wait = "The network is still being worked on: wait until that has ended" if state.job.running else ""
            what = "Write the page" if kind == "report" else "Write the file, run it and compare it"
            make.tooltip = why or wait or f"{what}: {KINDS[kind].about}"
        note = f"{job.title}: {job.note}" if job.running and job.note else job.note if job.title else ""
        error = f"<div class='wb-error' role='alert'>{escape(job.error)}</div>" if job.error else ""
        status.value = error or f"<div class='wb-status' role='status'>{escape(model.note or note)}</div>"

    cancel.on_click(lambda _: model.job.cancel())
    model.observe(fill, ["made", "note"])
    model.job.observe(busy, ["running", "note", "error"])
    model.job.observe(lambda change: setattr(bar, "value", change["new"]), ["progress"])
    state.observe(busy, ["smaller"])
    state.job.observe(busy, ["running"])
    fill()
    foot = w.HBox([status, bar, cancel], layout={"grid_gap": "10px", "align_items": "center", "flex_flow": "row wrap"})
    return w.VBox([*rows, foot], layout={"grid_gap": "6px"})
