"""A dashboard as a page sees it: messages go in, sentences come out, and nothing else may have changed."""

import re
from html import unescape
from pathlib import Path

import ipywidgets as w

from tests.helpers.widgets import find, upload_messages
from workbench.app.controls import Alert
from workbench.app.session import Session
from workbench.app.steps.plan.settings import PlanSettings
from workbench.app.stored_runs import runs_file
from workbench.app.widgets.download import Download
from workbench.app.widgets.job_row import JobLine
from workbench.app.widgets.layer_table import LayerTable
from workbench.app.widgets.page_start import walk
from workbench.app.widgets.upload import Upload
from workbench.runs.store import RunStore

SAID = re.compile(r"<div class='wb-error'[^>]*>(.+?)</div>", re.S)
# What Python says to programmers
RAW = r"Traceback|\w+(Error|Exception)\b|<class|object at 0x|Errno|NoneType|invalid literal|\bint\(\)|deserializ|codec"
RAW += r"|\bNone\b(?! of)"


class Page:
    """What a user, or a program that has taken over their page, can do; nothing may change in the folders `watched`."""

    def __init__(self, session: Session, page: w.Widget, *watched: Path) -> None:
        self.session, self.page = session, page
        self.uploader, self.saver = find(self.page, Upload)[0], self.one(Download)
        self.rank = self.one(w.IntSlider, "input rank")
        self.watched = (*watched, Path(self.uploader._folder.name))
        self.replies: list[dict] = []
        for widget in (self.uploader, self.saver):
            widget.send = lambda content, buffers=None: self.replies.append(content)

    def one(self, kind, text=""):
        names = ((x, getattr(x, "description", "") or getattr(x, "label", "")) for x in find(self.page, kind))
        return next(x for x, name in names if text in (name, ""))

    def message(self, widget: w.Widget, data, buffers=()) -> None:
        """As the kernel hears it."""
        widget.comm.handle_msg({"content": {"data": data}, "buffers": [memoryview(b) for b in buffers]})

    def assign(self, kind, text: str, **values) -> None:
        self.message(self.one(kind, text), {"method": "update", "state": values, "buffer_paths": []})

    def say(self, widget: w.Widget, content, *buffers: bytes) -> None:
        self.message(widget, {"method": "custom", "content": content}, buffers)

    def click(self, text: str) -> None:
        self.say(self.one(w.Button, text), {"event": "click"})

    def choose(self, text: str, value: str) -> None:
        self.assign(w.Dropdown, text, index=[v for _, v in self.one(w.Dropdown, text).options].index(value))

    def upload(self, name, content: bytes = b"", size=None) -> None:
        """A file in pieces, as long as the kernel wants more of it."""
        for message, *buffers in upload_messages([(name, content)], size):
            self.say(self.uploader, message, *buffers)
            if not self.replies[-1]["ok"]:
                return

    def say_piece(self, at, *pieces: bytes) -> None:
        """The first piece of a file of four bytes."""
        self.say(self.uploader, {"kind": "begin", "files": [["a.pth", 4]]})
        self.say(self.uploader, {"kind": "piece", "at": at}, *pieces)

    def said(self) -> set[str]:
        """Sentences on the page; one that stands in two places is one."""
        on_page = {unescape(text) for html in find(self.page, w.HTML) for text in SAID.findall(html.value)}
        return on_page | {reply["problem"] for reply in self.replies if reply.get("problem")}

    def known(self) -> tuple:
        """What must not change: the session, every file of the watched folders but SQLite's own notes, every run."""
        s = self.session
        files = [f for folder in self.watched for f in folder.rglob("*") if not f.name.endswith(("-shm", "-wal"))]
        sizes = {str(f): (f.stat().st_size if f.is_file() else 0, f.stat().st_mtime_ns) for f in files}
        runs = {r.number: (r.created, len(r.stages)) for r in RunStore(runs_file()).runs()}
        return s.choose.network, s.choose.choice, s.plan.plan, s.recover.run, len(s.recover.runs), sizes, runs

    def values(self) -> list:
        """Of everything that can be set."""
        inputs = [x for x in walk(self.page) if not isinstance(x, w.HTML | w.FloatProgress)]
        return [getattr(x, "value", None) or getattr(x, "selected", None) for x in inputs]

    def check(self, act, arrange=lambda page: None) -> str:
        """Do it; exactly one readable sentence, and all as it was. `arrange` may return another act."""
        try:
            act = arrange(self) or act
            before, said = self.known(), self.said()
            act()
            assert not self.session.worker.jobs
            assert self.known() == before
            (sentence,) = self.said() - said
            expect_readable(sentence)
            self.expect_alive()
            return sentence
        finally:
            self._reset()

    def expect_alive(self) -> None:
        """A valid edit is taken."""
        plan = self.session.plan
        self.assign(LayerTable, "Layers", selected="features.3")
        rank = 5 if plan.plan["features.3"].rank_in != 5 else 6
        self.assign(w.IntSlider, "input rank", value=rank)
        assert (plan.plan["features.3"].rank_in, self.rank.value, plan.notice) == (rank, rank, "")

    def _reset(self) -> None:
        s = self.session
        self.uploader.problem, s.recover.store_problem = "", ""
        if s.recover.store is not None:
            s.recover.store.problem = ""
        s.recover.run, s.recover.runs, s.recover.curve = None, (), ()
        for line in find(self.page, JobLine):
            line.show(None)
        for alert in find(self.page, Alert):
            alert.say("")
        s.plan.replan(**PlanSettings().used())
        s.plan.reset()
        s.plan.notice = ""
        self.replies.clear()


def expect_readable(sentence: str) -> None:
    assert sentence.endswith(".") and sentence.isprintable() and 10 < len(sentence) < 420, sentence  # noqa: PT018
    assert sentence[0].isupper() or sentence[0] in '"<$' or set(sentence.split()[0]) & set("._-0123456789"), sentence
    assert not re.search(RAW, sentence), sentence
    assert not re.search(r"(?<![\w.])/(tmp|home|root|work|usr|var)\b|site-packages", sentence), sentence
