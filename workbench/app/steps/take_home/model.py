"""The step *Take it home*: files of the compressed network, each checked before it is offered."""

import re
import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traitlets import HasTraits, Tuple

from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.recover.model import RecoverModel
from workbench.app.worker import Job, JobKind, Worker
from workbench.exporters import executorch, onnx
from workbench.exporters.export import Exported, export
from workbench.inspect.gallery import gallery
from workbench.progress import part
from workbench.runs.run import Run
from workbench.tables import quantity

REPORT_IMAGES = 8
FIRST = "Compress the network first: then it can be taken home."


@dataclass(frozen=True)
class FileKind:
    """A kind of file: its title, the suffix of its name, what it is good for, and why it cannot be made here."""

    title: str
    suffix: str
    about: str
    missing: Callable[[], str] = str
    int8: bool = False  # whether it is quantised

    @property
    def label(self) -> str:
        """Its suffix, after "int8" if it is quantised."""
        return f"int8 {self.suffix}" if self.int8 else self.suffix


INT8 = "Computes with 8-bit integers: a quarter of the size and often faster, but some answers may change."


FILE_KINDS = {
    "executorch": FileKind("For phones: ExecuTorch", ".pte", "Runs in apps on Android and iOS.", executorch.missing),
    "onnx": FileKind("For other programs: ONNX", ".onnx", "Runs in many tools, one image at a time.", onnx.missing),
    "executorch_int8": FileKind("For phones, int8: ExecuTorch", ".pte", INT8, executorch.missing, int8=True),
    "onnx_int8": FileKind("For other programs, int8: ONNX", ".onnx", INT8, onnx.missing, int8=True),
    "weights": FileKind("For PyTorch: plan and weights", ".zip", "Loads into the original architecture in ten lines."),
    "report": FileKind("To read: report", ".html", "What was done and what came out, for any browser or to print."),
}


@dataclass(frozen=True)
class MadeFile:
    """A file that is ready."""

    kind: str  # key of `FILE_KINDS`
    path: Path  # on the server's side; its name is the one on the user's machine
    words: str  # its size, and how it compares with the network
    exported: Exported | None = None  # None for a report


class TakeHomeModel(HasTraits):
    """Makes files of the compressed network; they go when another one is worked on."""

    made = Tuple()  # files that are ready

    def __init__(self, worker: Worker, choose: ChooseModel, recover: RecoverModel) -> None:
        super().__init__()
        self._worker, self._choose, self._recover = worker, choose, recover
        self._folder = Path(tempfile.mkdtemp(prefix="workbench-export-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._network: object = None
        recover.observe(self._follow, "run")

    def _follow(self, _: object) -> None:
        if self._recover.compressed is not self._network:
            self._network, self.made = self._recover.compressed, ()

    def file(self, kind: str) -> MadeFile | None:
        """Return the file of a kind, if it is ready."""
        return next((made for made in self.made if made.kind == kind), None)

    def make(self, kind: str) -> Job:
        """Write a file of a kind and check it."""
        run, opened, made, folder = self._recover.run, self._choose.opened, self.made, self._folder

        def compute(job: Job) -> MadeFile:
            if run is None or run.network is None or opened is None:
                raise ValueError(FIRST)
            path = folder / file_name(run, kind)
            data = opened.data
            split = data.test if len(data.test) else data.validation
            images = split if len(split) and not opened.misfit else None
            if FILE_KINDS[kind].int8 and opened.misfit:
                raise ValueError(opened.misfit)
            if kind != "report":
                ranges = opened.data.unlabelled if FILE_KINDS[kind].int8 else None
                found = export(run.network, path, images, int8=ranges, progress=job.report)
                return MadeFile(kind, path, f"{quantity(found.bytes, 'B')}; {found.verification}", found)
            pictures = None
            if images is not None:
                more: dict[str, Any] = {"compressed": run.network, "classes": data.classes}
                progress = part(job.report, 0.0, 0.6, "looking at images")
                pictures = gallery(run.network.original, images, REPORT_IMAGES, progress=progress, **more)
            job.report(0.6, "drawing")
            from workbench.exporters.report import report  # takes a second: matplotlib

            report(run, path, pictures=pictures, exports=[file.exported for file in made if file.exported])
            return MadeFile(kind, path, quantity(path.stat().st_size, "B"))

        def done(file: MadeFile) -> None:
            if run is None or self._recover.compressed is not run.network:
                raise ValueError("the compressed network became another one while its file was made: make it again")
            self.made = (*(other for other in self.made if other.kind != file.kind), file)

        return self._worker.submit(JobKind.EXPORT, f"Making {FILE_KINDS[kind].label}", compute, done)


def file_name(run: Run, kind: str) -> str:
    """Return a name like "digits_vgg-run2-finetuned.onnx", of characters that any file system takes."""
    stage = str(run.last.name).replace("-", "") if run.last else "planned"
    words = (run.network_name, f"run{run.number}", stage, *["int8"] * FILE_KINDS[kind].int8)
    return "-".join(re.sub(r"[^A-Za-z0-9_.]", "_", word) for word in words).lstrip(".") + FILE_KINDS[kind].suffix
