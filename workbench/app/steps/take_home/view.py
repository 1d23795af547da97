"""The step *Take it home*: files of the compressed network, each checked before it is offered."""

from html import escape

import ipywidgets as w

from workbench.app.steps.recover.model import RecoverModel
from workbench.app.steps.take_home.model import FILE_KINDS, TakeHomeModel
from workbench.app.widgets.download import Download
from workbench.app.widgets.job_row import JobRow
from workbench.app.worker import JobKind, Worker


def view(take_home: TakeHomeModel, recover: RecoverModel, worker: Worker) -> w.Widget:
    """Return a row for each kind of file: what it is, a button that makes it, one that saves it."""
    width = {"width": "130px"}
    makers = {kind: w.Button(description=f"Make {f.suffix}", layout=width) for kind, f in FILE_KINDS.items()}
    savers = {kind: Download() for kind in FILE_KINDS}
    results = {kind: w.HTML(layout={"flex": "1 1 240px"}) for kind in FILE_KINDS}
    note = w.HTML()
    rows = []
    for kind, about in FILE_KINDS.items():
        text = w.HTML(
            f"<div><b>{escape(about.title)}</b><div class='wb-soft'>{escape(about.about)}</div></div>",
            layout={"width": "330px", "flex": "0 0 auto"},
        )
        makers[kind].on_click(lambda _, kind=kind: take_home.make(kind))
        line = w.HBox([text, makers[kind], savers[kind], results[kind]])
        line.layout.align_items, line.layout.flex_flow, line.layout.grid_gap = "center", "row wrap", "10px"
        line.add_class("wb-line")
        rows.append(line)

    def fill(_: object = None) -> None:
        for kind in FILE_KINDS:
            made = take_home.file(kind)
            savers[kind].offer(made.path if made else None)
            words = made.words if made else take_home.missing(kind)
            results[kind].value = f"<div class='wb-soft'>{escape(words)}</div>"
        note.value = f"<div class='wb-status'>{escape(take_home.note)}</div>"

    def enable(_: object = None) -> None:
        for kind, make in makers.items():
            missing = take_home.missing(kind)
            make.disabled = worker.busy(JobKind.EXPORT) or recover.busy or recover.run is None or bool(missing)
            wait = "The network is still being worked on: wait until that has ended" if recover.busy else ""
            what = "Write the page" if kind == "report" else "Write the file, run it and compare it"
            make.tooltip = missing or wait or f"{what}: {FILE_KINDS[kind].about}"

    take_home.observe(fill, ["made", "note"])
    recover.observe(enable, ["run"])
    worker.observe(enable, ["jobs"])
    fill()
    enable()
    return w.VBox([*rows, note, JobRow(worker, JobKind.EXPORT)], layout={"grid_gap": "6px"})
