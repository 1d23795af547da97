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
    """Return title and purpose of a kind of file, buttons to make and save it, and its result below."""
    take_home, recover, worker = session.take_home, session.recover, session.worker
    file_kind = FILE_KINDS[kind]
    missing, purpose = file_kind.missing(), file_kind.purpose
    heading = f"<div><b>{escape(file_kind.title)}</b><div class='wb-soft'>{escape(purpose)}</div></div>"
    text = w.HTML(heading, layout={"flex": "0 1 620px"})
    make = button(f"Make {file_kind.label}", lambda: take_home.make(kind), missing or purpose, width="130px")
    saver = Download()

    def result() -> str:
        file, network = take_home.made.get(kind), session.choose.network
        saver.offer(file.path if file else None)
        if file is None or network is None:
            return f"<div class='wb-soft'>{escape(missing)}</div>"
        shape = ", ".join(map(str, (1, *network.input_shape)))
        html = f"<div class='wb-soft'>{escape(file.words + take_home.time_text(kind))}</div>"
        for program, code in file_kind.code.items():
            lines = escape(code.format(file=file.path.name, shape=shape))
            html += f"<details class='wb-code'><summary>{program}</summary><pre>{lines}</pre></details>"
        return html

    def enable() -> None:
        make.disabled = worker.busy(JobKind.EXPORT) or recover.busy or recover.run is None or bool(missing)

    def sort() -> None:
        line.layout.order = "0" if kind == take_home.original_kind else "1"

    results = updated_html(result, (take_home, "made"), (recover, "run"))
    line = column(row(text, make, saver, gap=10), results, gap=0).add_class("wb-line")
    follow(sort, (session.choose, "opened"))
    follow(enable, (recover, "run"), (worker, "jobs"))
    return line
