"""The compressed network as files to take home: made and checked in the background, then offered. No widgets."""

import shutil
import tempfile
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from traitlets import HasTraits, Instance, Tuple, Unicode

from workbench.app.jobs import Cancelled, Job
from workbench.app.state import State
from workbench.app.steps.recover.model import Stage
from workbench.exporters import executorch, onnx
from workbench.exporters.files import Exported, export_executorch, export_onnx
from workbench.exporters.weights import export_weights
from workbench.files import write_atomically
from workbench.inspect.gallery import gallery
from workbench.network.data import Split
from workbench.network.network import Network
from workbench.runs.run import Run

SHOWN = 8
"""Images in the report."""


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes
    ----------
    title : what it is called.
    suffix : of its name.
    about : what it is good for, in a sentence.
    """

    title: str
    suffix: str
    about: str


KINDS = {
    "executorch": Kind(
        "For phones: ExecuTorch",
        ".pte",
        "Runs in apps on Android and iOS. Takes longest to make.",
    ),
    "onnx": Kind(
        "For other programs: ONNX",
        ".onnx",
        "Runs in ONNX Runtime, in browsers and in many other tools, one image at a time.",
    ),
    "weights": Kind("For PyTorch: plan and weights", ".zip", "Loads into the original architecture in ten lines."),
    "report": Kind(
        "To read: report", ".html", "What was done and what came out: one page, for any browser or to print."
    ),
}


@dataclass(frozen=True)
class Made:
    """A file that is ready.

    Attributes
    ----------
    kind : key of `KINDS`.
    path : where it lies on this side.
    words : its size, and how it compares with the network it was made from.
    exported : what the export found; None for a report.
    """

    kind: str
    path: Path
    words: str
    exported: Exported | None = None

    @property
    def name(self) -> str:
        """What it is to be called on the user's machine."""
        return self.path.name


class Exports(HasTraits):
    """Files of the compressed network that is worked on; they go when it changes.

    Traits
    ------
    made : those that are ready.
    note : what is missing before one can export, in a sentence, or "".
    job : the making.
    """

    made = Tuple()
    note = Unicode()
    job = Instance(Job)

    def __init__(self, state: State) -> None:
        super().__init__(job=Job())
        self._state = state
        self._folder = Path(tempfile.mkdtemp(prefix="workbench-export-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        state.observe(self._follow, ["smaller", "network"])
        self._follow()

    def _follow(self, _: object = None) -> None:
        self.job.cancel()
        if not self.job.running:
            self.job.note = self.job.error = ""  # they were about the network before
        self.made = ()
        self.note = "" if self._state.smaller is not None else "Compress the network first: then it can be taken home."

    def of(self, kind: str) -> Made | None:
        """The file of a kind, if it is ready."""
        return next((made for made in self.made if made.kind == kind), None)

    def missing(self, kind: str) -> str:
        """Why a kind cannot be made here, in a sentence; "" if it can."""
        return {"onnx": onnx.missing, "executorch": executorch.missing}.get(kind, str)()

    def make(self, kind: str) -> bool:
        """Write a file of a kind and check it, in the background; False if another is being made."""
        state = self._state
        start, run = state.newest, next((r for r in state.runs if r.number == state.number), None)
        return self.job.start(f"Making {KINDS[kind].suffix}", lambda job: self._make(job, kind, start, run))

    def _make(self, job: Job, kind: str, start: Stage | None, run: Run | None) -> None:
        state = self._state
        if start is None or state.network is None:
            raise ValueError(self.note or "compress the network first")
        path = self._folder / file_name(start, kind)
        try:
            if kind == "report":
                made = Made(kind, path, self._report(job, path, start, run, state.network))
            else:
                export: Any = {"onnx": export_onnx, "executorch": export_executorch, "weights": export_weights}[kind]
                found: Exported = export(start.network, path, self._images(start.network), progress=job.report)
                made = Made(kind, path, f"{size(found.bytes)}; {found.check}", found)
        except Cancelled:
            self._expect_newest(start)  # if that is why, it is said
            raise
        self._expect_newest(start)
        job.post(lambda: self._ready(made, start))

    def _expect_newest(self, start: Stage) -> None:
        if self._state.smaller is not start.network:
            raise ValueError(
                self.note or "the compressed network became another one while its file was made: make it again"
            )

    def _images(self, network: Network) -> Split | None:
        """Images to compare on: those for the score, for nothing is chosen by them here."""
        data = self._state.data
        if data is None or self._state.misfit:
            return None
        return data.test if len(data.test) else data.validation if len(data.validation) else None

    def _report(self, job: Job, path: Path, start: Stage, run: Run | None, network: Network) -> str:
        from workbench.exporters.report import report_html  # here: matplotlib takes a while, and the page waits for us

        state, images = self._state, self._images(network)
        if run is None:
            raise ValueError("this run is not in the run store, so there is nothing to report on")
        pictures = None
        if images is not None and state.data is not None:
            pictures = gallery(
                network,
                start.network,
                images,
                SHOWN,
                classes=state.data.classes,
                progress=lambda share: job.report(0.6 * share, "looking at images"),
            )
        job.report(0.6, "drawing")
        plan = start.network.plan
        text = report_html(
            run if plan is None else replace(run, plan=plan),
            network=network,
            smaller=start.network,
            spectra=state.spectra,
            pictures=pictures,
            exports=[made.exported for made in self.made if made.exported is not None],
        )
        write_atomically(path, text.encode())
        return size(path.stat().st_size)

    def _ready(self, made: Made, start: Stage) -> None:
        if self._state.smaller is start.network:
            self.made = (*(other for other in self.made if other.kind != made.kind), made)


def file_name(start: Stage, kind: str) -> str:
    """Like "digits_vgg-run2-finetuned.onnx": of letters, digits and what is safe in any file system."""
    words = (start.network.name, f"run{start.result.number}", start.result.stage.replace("-", ""))
    safe = ["".join(c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in word) for word in words]
    return "-".join(safe).lstrip(".") + KINDS[kind].suffix


def size(count: int) -> str:
    """Bytes, in words."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
