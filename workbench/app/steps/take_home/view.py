"""The step *Take home*: files of the compressed network, each checked before it is offered."""

from html import escape

import ipywidgets as w

from workbench.app.controls import button, column, follow, row, updated_html
from workbench.app.session import Session
from workbench.app.steps.take_home.model import FILE_KINDS
from workbench.app.widgets.download import Download
from workbench.app.worker import JobKind


def take_home_view(session: Session) -> w.Widget:
    """Return a line for each kind of file."""
    return column(*(file_view(session, kind) for kind in FILE_KINDS))


def file_view(session: Session, kind: str) -> w.Widget:
    """Return what a kind of file is, a button that makes it, one that saves it, and below them how it came out."""
    take_home, recover, worker = session.take_home, session.recover, session.worker
    about = FILE_KINDS[kind]
    missing = about.missing()
    words = f"<div><b>{escape(about.title)}</b><div class='wb-soft'>{escape(about.about)}</div></div>"
    text = w.HTML(words, layout={"flex": "0 1 620px"})
    make = button(f"Make {about.label}", lambda: take_home.make(kind), missing or about.about, width="130px")
    saver = Download()

    def result() -> str:
        made, network = take_home.made.get(kind), session.choose.network
        saver.offer(made.path if made else None)
        if made is None or network is None:
            return f"<div class='wb-soft'>{escape(missing)}</div>"
        shape = ", ".join(map(str, (1, *network.input_shape)))
        html = f"<div class='wb-soft'>{escape(made.words + take_home.timed(kind))}</div>"
        for where, code in about.code.items():
            lines = escape(code.format(file=made.path.name, shape=shape))
            html += f"<details class='wb-code'><summary>{where}</summary><pre>{lines}</pre></details>"
        return html

    def enable() -> None:
        make.disabled = worker.busy(JobKind.EXPORT) or recover.busy or recover.run is None or bool(missing)

    def sort() -> None:
        line.layout.order = "0" if kind == take_home.first else "1"

    results = updated_html(result, (take_home, "made"), (recover, "run"))
    line = column(row(text, make, saver, gap=10), results, gap=0).add_class("wb-line")
    follow(sort, (session.choose, "opened"))
    follow(enable, (recover, "run"), (worker, "jobs"))
    return line
