"""A dashboard as a page sees it: messages go in, sentences come out, and nothing else may have changed."""

import re
from collections import Counter
from html import unescape
from pathlib import Path

import ipywidgets as w

from tests.helpers.widgets import find
from workbench.app.session import Session
from workbench.app.steps.plan.settings import PlanSettings
from workbench.app.stored_runs import runs_file
from workbench.app.widgets.download import Download
from workbench.app.widgets.job_row import JobLine
from workbench.app.widgets.layer_table import LayerTable
from workbench.app.widgets.resend import below
from workbench.app.widgets.upload import Upload
from workbench.runs.store import RunStore

SAID = re.compile(r"<div class='wb-(?:error|notice)'[^>]*>(.+?)</div>", re.S)
RAW = re.compile(
    r"Traceback|\w+(Error|Exception)\b|<class|object at 0x|Errno|NoneType|invalid literal|\bint\(\)|deserializ|codec"
    r"|\bNone\b(?! of)"
)
"""What Python says to programmers."""


class Page:
    """What a user, or a program that has taken over their page, can do; without an event loop, each job ends at once.

    Parameters
    ----------
    session, page : of the dashboard.
    watched : folders in which nothing may change.
    """

    def __init__(self, session: Session, page: w.Widget, *watched: Path) -> None:
        self.session, self.page = session, page
        self.uploader, self.saver = self.one(Upload), self.one(Download)
        self.watched = (*watched, Path(self.uploader._folder.name))
        self.replies: list[dict] = []
        for widget in (self.uploader, self.saver):
            widget.send = lambda content, buffers=None: self.replies.append(content)

    def one(self, kind, text=""):
        return next(x for x in below(self.page) if isinstance(x, kind) and text in (_text(x), ""))

    def message(self, widget: w.Widget, data, buffers=()) -> None:
        """As the kernel hears it."""
        widget.comm.handle_msg({"content": {"data": data}, "buffers": [memoryview(b) for b in buffers]})

    def set(self, kind, text: str, **values) -> None:
        self.message(self.one(kind, text), {"method": "update", "state": values, "buffer_paths": []})

    def say(self, widget: w.Widget, content, *buffers: bytes) -> None:
        self.message(widget, {"method": "custom", "content": content}, buffers)

    def click(self, text: str) -> None:
        self.say(self.one(w.Button, text), {"event": "click"})

    def pick(self, layer: str) -> None:
        self.set(LayerTable, "Layers", selected=layer)

    def choose(self, text: str, value: str) -> None:
        box = self.one(w.Dropdown, text)
        self.set(w.Dropdown, text, index=[v for _, v in box.options].index(value))

    def upload(self, name, content: bytes = b"", *, size=None) -> None:
        """A file in pieces, as long as the kernel wants more of it."""
        begin = {"kind": "begin", "name": name, "size": len(content) if size is None else size}
        pieces = [({"kind": "piece", "at": at}, content[at : at + 2**20]) for at in range(0, len(content), 2**20)]
        for message, *buffers in ((begin,), *pieces, ({"kind": "end"},)):
            self.say(self.uploader, message, *buffers)
            if not self.replies[-1]["ok"]:
                return

    def said(self) -> Counter[str]:
        """Sentences on the page; one that stands in two places is one."""
        on_page = {unescape(text) for html in find(self.page, w.HTML) for text in SAID.findall(html.value)}
        return Counter(on_page | {reply["problem"] for reply in self.replies if reply.get("problem")})

    def values(self) -> list:
        """Of everything that can be set."""
        return [getattr(x, "value", None) or getattr(x, "selected", None) for x in below(self.page) if _is_input(x)]

    def written(self) -> dict[str, tuple]:
        """Every file of the watched folders, and every run; SQLite's own notes beside its file come and go."""
        files = [f for folder in self.watched for f in folder.rglob("*") if not f.name.endswith(("-shm", "-wal"))]
        sizes = {str(f): (f.stat().st_size if f.is_file() else 0, f.stat().st_mtime_ns) for f in files}
        runs = {f"run {r.number}": (r.created, len(r.stages)) for r in RunStore(runs_file()).runs()}
        return {**sizes, **runs}

    def _known(self) -> tuple:
        s = self.session
        return s.choose.network, s.choose.choice, s.plan.plan, s.recover.run, len(s.recover.runs)

    def check(self, act, arrange=lambda page: None) -> str:
        """Do it; exactly one readable sentence, and all as it was; gives the sentence."""
        try:
            arrange(self)
            before, said, known = self.written(), self.said(), self._known()
            act(self)
            assert not self.session.worker.jobs
            assert known == self._known()
            after = self.written()
            changed = {name: (before.get(name), after.get(name)) for name in before | after}
            changed = {name: both for name, both in changed.items() if both[0] != both[1]}
            assert not changed, changed
            (sentence,) = self.said() - said
            expect_readable(sentence)
            self.expect_alive()
            return sentence
        finally:
            self._reset()

    def expect_alive(self) -> None:
        """A valid edit is taken, and undone again."""
        self.pick("features.3")
        plan = self.session.plan
        before = plan.plan["features.3"]
        rank = 5 if before.rank_in != 5 else 6
        self.set(w.IntSlider, "input rank", value=rank)
        assert plan.plan["features.3"].rank_in == rank
        assert self.one(w.IntSlider, "input rank").value == rank
        assert plan.notice == ""

    def _reset(self) -> None:
        s = self.session
        self.uploader.problem, s.recover.store_problem = "", ""
        if s.recover.store is not None:
            s.recover.store.problem = ""
        s.recover.run, s.recover.runs, s.recover.curve = None, (), ()
        for line in find(self.page, JobLine):
            line.show(None)
        s.plan.replan(**PlanSettings().used())
        s.plan.reset()
        s.plan.notice = ""
        self.replies.clear()


def expect_readable(sentence: str) -> None:
    assert sentence.endswith("."), sentence
    assert sentence.isprintable(), sentence
    assert 10 < len(sentence) < 420, sentence
    assert sentence[0].isupper() or sentence[0] in '"<$' or set(sentence.split()[0]) & set("._-0123456789"), sentence
    assert not RAW.search(sentence), sentence
    assert not re.search(r"(?<![\w.])/(tmp|home|root|work|usr|var)\b|site-packages", sentence), sentence


def _is_input(widget: w.Widget) -> bool:
    return isinstance(widget, LayerTable) or (
        hasattr(widget, "value") and not isinstance(widget, w.HTML | w.FloatProgress)
    )


def _text(widget: w.Widget) -> str:
    return getattr(widget, "description", "") or getattr(widget, "label", "")
