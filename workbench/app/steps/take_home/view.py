"""The step *Take home*: files of the compressed network, each checked before it is offered."""

from functools import partial
from html import escape

import ipywidgets as w

from workbench.app.controls import button, column, follow, row
from workbench.app.session import Session
from workbench.app.steps.take_home.model import FILE_KINDS
from workbench.app.widgets.download import Download
from workbench.app.worker import JobKind


def take_home_view(session: Session) -> w.Widget:
    """Return a row for each kind of file: what it is, a button that makes it, one that saves it."""
    take_home, recover, worker = session.take_home, session.recover, session.worker
    lines = {}
    for kind, about in FILE_KINDS.items():
        words = f"<div><b>{escape(about.title)}</b><div class='wb-soft'>{escape(about.about)}</div></div>"
        text = w.HTML(words, layout={"flex": "0 1 620px"})
        make = button(f"Make {about.label}", partial(take_home.make, kind), width="130px")
        lines[kind] = column(row(text, make, Download(), gap=10), w.HTML(), gap=0)
        lines[kind].add_class("wb-line")

    def fill() -> None:
        for kind, line in lines.items():
            made = take_home.file(kind)
            (_, _, saver), result = line.children[0].children, line.children[1]
            network, about = session.choose.network, FILE_KINDS[kind]
            saver.offer(made.path if made else None)
            words = f"{made.words}{take_home.timed(kind)}" if made else about.missing()
            result.value = f"<div class='wb-soft'>{escape(words)}</div>"
            shape = ", ".join(map(str, (1, *network.input_shape))) if network is not None else ""
            if made is None:
                continue
            for where, code in about.code.items():
                text = escape(code.format(file=made.path.name, shape=shape))
                result.value += f"<details class='wb-code'><summary>{where}</summary><pre>{text}</pre></details>"

    def sort() -> None:
        for kind, line in lines.items():
            line.layout.order = "0" if kind == take_home.first else "1"

    def enable() -> None:
        for kind, line in lines.items():
            missing, make = FILE_KINDS[kind].missing(), line.children[0].children[1]
            make.disabled = worker.busy(JobKind.EXPORT) or recover.busy or recover.run is None or bool(missing)
            make.tooltip = missing or FILE_KINDS[kind].about

    follow(fill, (take_home, "made"), (recover, "run"))
    follow(sort, (session.choose, "opened"))
    follow(enable, (recover, "run"), (worker, "jobs"))
    return column(*lines.values())
