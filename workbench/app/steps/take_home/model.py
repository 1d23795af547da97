"""The step *Take it home*: files of the compressed network, each checked before it is offered."""

import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path

from traitlets import HasTraits, Tuple, Unicode

from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.recover.model import RecoverModel
from workbench.app.worker import Job, JobKind, Worker
from workbench.exporters import executorch, onnx
from workbench.exporters.export import Exported, export
from workbench.inspect.gallery import gallery
from workbench.network.data import Split
from workbench.progress import part
from workbench.runs.run import Run

REPORT_IMAGES = 8
"""Images in the report."""


@dataclass(frozen=True)
class FileKind:
    """A kind of file: its title, the suffix of its name, and what it is good for."""

    title: str
    suffix: str
    about: str


FILE_KINDS = {
    "executorch": FileKind("For phones: ExecuTorch", ".pte", "Runs in apps on Android and iOS. Takes longest to make."),
    "onnx": FileKind(
        "For other programs: ONNX",
        ".onnx",
        "Runs in ONNX Runtime, in browsers and in many other tools, one image at a time.",
    ),
    "weights": FileKind("For PyTorch: plan and weights", ".zip", "Loads into the original architecture in ten lines."),
    "report": FileKind(
        "To read: report", ".html", "What was done and what came out: one page, for any browser or to print."
    ),
}


@dataclass(frozen=True)
class MadeFile:
    """A file that is ready.

    Attributes
    ----------
    kind : key of `FILE_KINDS`.
    path : where it is on the server's side; its name is the one on the user's machine.
    words : its size, and how it compares with the network.
    exported : what the export found; None for a report.
    """

    kind: str
    path: Path
    words: str
    exported: Exported | None = None


class TakeHomeModel(HasTraits):
    """Makes files of the compressed network; they go when another one is worked on.

    Traits
    ------
    made : files that are ready.
    note : what must be done before one can export, in a sentence, or "".
    """

    made = Tuple()
    note = Unicode()

    def __init__(self, worker: Worker, choose: ChooseModel, recover: RecoverModel) -> None:
        super().__init__()
        self._worker, self._choose, self._recover = worker, choose, recover
        self._folder = Path(tempfile.mkdtemp(prefix="workbench-export-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._network: object = None
        recover.observe(self._follow, "run")
        self._follow()

    def _follow(self, _: object = None) -> None:
        network = self._recover.compressed
        if network is not self._network:
            self._network, self.made = network, ()
        self.note = "" if network is not None else "Compress the network first: then it can be taken home."

    def file(self, kind: str) -> MadeFile | None:
        """Return the file of a kind, if it is ready."""
        return next((made for made in self.made if made.kind == kind), None)

    def missing(self, kind: str) -> str:
        """Return why a kind cannot be made here, in a sentence; "" if it can."""
        return {"onnx": onnx.missing, "executorch": executorch.missing}.get(kind, str)()

    def make(self, kind: str) -> Job:
        """Write a file of a kind and check it."""
        run, opened, made, note = self._recover.run, self._choose.opened, self.made, self.note
        folder = self._folder

        def compute(job: Job) -> MadeFile:
            if run is None or run.network is None or opened is None:
                raise ValueError(note or "compress the network first")
            path = folder / file_name(run, kind)
            data = opened.data
            split = None if opened.misfit else data.test if len(data.test) else data.validation
            images = split if split is not None and len(split) else None
            if kind == "report":
                self._report(job, run, path, images, data.classes, [m.exported for m in made if m.exported])
                return MadeFile(kind, path, size(path.stat().st_size))
            found = export(run.network, path, images, progress=job.report)
            return MadeFile(kind, path, f"{size(found.bytes)}; {found.verification}", found)

        def done(file: MadeFile) -> None:
            if run is None or self._recover.compressed is not run.network:
                raise ValueError("the compressed network became another one while its file was made: make it again")
            self.made = (*(other for other in self.made if other.kind != file.kind), file)

        return self._worker.submit(JobKind.EXPORT, f"Making {FILE_KINDS[kind].suffix}", compute, done)

    @staticmethod
    def _report(
        job: Job, run: Run, path: Path, images: Split | None, classes: tuple[str, ...], exports: list[Exported]
    ) -> None:
        from workbench.exporters.report import report

        pictures = None
        if images is not None and run.network is not None:
            pictures = gallery(
                run.network.original,
                images,
                REPORT_IMAGES,
                compressed=run.network,
                classes=classes,
                progress=part(job.report, 0.0, 0.6, "looking at images"),
            )
        job.report(0.6, "drawing")
        report(run, path, pictures=pictures, exports=exports)


def file_name(run: Run, kind: str) -> str:
    """Return a name like "digits_vgg-run2-finetuned.onnx", of characters that any file system takes."""
    stage = str(run.last.name).replace("-", "") if run.last else "planned"
    safe = [
        "".join(c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in word)
        for word in (run.network_name, f"run{run.number}", stage)
    ]
    return "-".join(safe).lstrip(".") + FILE_KINDS[kind].suffix


def size(count: int) -> str:
    """Return bytes in words."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
