"""The step *Take home*: files of the compressed network, each checked before it is offered."""

import re
import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traitlets import Dict, HasTraits

from workbench.app.steps.choose.model import ChooseModel, Opened
from workbench.app.steps.recover.model import RecoverModel
from workbench.app.worker import Job, JobKind, Worker
from workbench.catalog.datasets.load import bundled_data_names
from workbench.catalog.datasets.table import TORCH_DATASETS
from workbench.catalog.networks.entries import OWN, Centred
from workbench.exporters import executorch, onnx
from workbench.exporters.export import Exported, export
from workbench.exporters.notebook import notebook
from workbench.exporters.report import report
from workbench.inspect.gallery import gallery
from workbench.network.inputs import TRAIN_SHARE, VALIDATION_SHARE, image_size
from workbench.progress import part
from workbench.runs.run import Run
from workbench.tables import quantity

REPORT_IMAGES = 8
IN_CHANNELS = """
from workbench.network.inputs import in_channels
data = in_channels(network, data)"""  # after the line that loads data other than the bundled ones
LOOSE_FILES = re.compile(r"\d+ files")  # what the page calls pictures that were uploaded without a folder


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

    @property
    def code(self) -> dict[str, str]:
        """Where a program is to use it -> how, in three lines; "{file}" is its name, "{shape}" that of its input."""
        return CODE.get(self.suffix, {})


CODE = {
    ".pte": {
        "In an Android app": """val module = Module.load("/path/to/{file}")  // of org.pytorch.executorch, like the next
val image = Tensor.fromBlob(pixels, longArrayOf({shape}))  // pixels: a FloatArray
val answers = module.forward(EValue.from(image))[0].toTensor().dataAsFloatArray""",
        "In Python": """from executorch.runtime import Runtime
method = Runtime.get().load_program("{file}").load_method("forward")
answers = method.execute([image])  # a tensor of float32, {shape}""",
    },
    ".onnx": {
        "In Python": """import onnxruntime
session = onnxruntime.InferenceSession("{file}")
answers = session.run(None, {{session.get_inputs()[0].name: image}})  # an array of float32, {shape}"""
    },
    ".zip": {
        "In Python": """from load import load  # in the unpacked folder
model = load(original)  # an nn.Module of the original architecture
answers = model(image)  # a tensor of float32, {shape}"""
    },
}
RUNTIME_OF = {".pte": "executorch", ".onnx": "onnxruntime"}
"""Suffix of a file -> the runtime that *Speed* times it in."""
INT8 = "8-bit integers: a quarter of the size, often faster. Take it if enough answers stay the same."
PTE, ONNX = (executorch.missing, onnx.missing)
FILE_KINDS = {
    "executorch": FileKind(
        "For phones: ExecuTorch", ".pte", "Runs in apps on Android and iOS. Of the two, begin with this one.", PTE
    ),
    "onnx": FileKind("For other programs: ONNX", ".onnx", "Runs in many tools, one image at a time.", ONNX),
    "executorch_int8": FileKind("For phones, int8: ExecuTorch", ".pte", INT8, PTE, int8=True),
    "onnx_int8": FileKind("For other programs, int8: ONNX", ".onnx", INT8, ONNX, int8=True),
    "weights": FileKind("For PyTorch: plan and weights", ".zip", "Loads into the original architecture."),
    "report": FileKind("To read: report", ".html", "What was done and what came out, for any browser or to print."),
    "notebook": FileKind("To repeat: notebook", ".ipynb", "The run again, step by step, with the notebook API."),
}


@dataclass(frozen=True)
class MadeFile:
    """A file that is ready."""

    path: Path  # on the server's side; its name is the one on the user's machine
    words: str  # its size, and how it compares with the network
    exported: Exported | None = None  # None for a report


class TakeHomeModel(HasTraits):
    """Makes files of the compressed network; they go when another one is worked on."""

    made = Dict()  # key of `FILE_KINDS` -> a file that is ready

    def __init__(self, worker: Worker, choose: ChooseModel, recover: RecoverModel) -> None:
        super().__init__()
        self._worker, self._choose, self._recover = worker, choose, recover
        self._folder = Path(tempfile.mkdtemp(prefix="workbench-export-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._network: object = None
        recover.observe(self._follow, "run")

    def _follow(self, _: object) -> None:
        if self._recover.compressed is not self._network:
            old, self.made = self.made, {}
            self._network = self._recover.compressed
            for file in old.values():
                file.path.unlink(missing_ok=True)

    def timed(self, kind: str) -> str:
        """Return the time of a kind of file in its own runtime, in words, if *Speed* measured it."""
        run, about = self._recover.run, FILE_KINDS[kind]
        after = "int8" if about.int8 else "compressed"
        for entry, before, now in run.measurements("latency", "ms", after) if run is not None else ():
            if entry.get("runtime") == RUNTIME_OF.get(about.suffix, ""):
                return f"; {now:.3g} ms an image on this machine, the original {before:.3g} ms"
        return ""

    @property
    def first(self) -> str:
        """The kind of file that the open network came in."""
        file = self._choose.choice.file
        return "onnx" if file is not None and file.suffix == ".onnx" else "weights"

    def make(self, kind: str) -> Job:
        """Write a file of a kind and check it."""
        run, opened, made, folder = self._recover.run, self._choose.opened, self.made, self._folder
        code, missing = load_code(self._choose)

        def compute(job: Job) -> MadeFile:
            if run is None or run.network is None or opened is None:
                raise ValueError("Compress the network first: then it can be taken home.")
            about, path, data = FILE_KINDS[kind], folder / file_name(run, kind), opened.data
            split = data.test if len(data.test) else data.validation
            images = split if len(split) and not opened.misfit else None
            if about.int8 and opened.misfit:
                raise ValueError(opened.misfit)
            words, exported = "", None
            if kind == "notebook":
                notebook(run, path, **code)
                if missing:
                    words = f"; to run it, write into its first cell where to find {' and '.join(missing)}"
            elif kind == "report":
                pictures = None
                if images is not None:
                    more: dict[str, Any] = {"compressed": run.network, "classes": data.classes}
                    progress = part(job.report, 0.0, 0.6, "looking at images")
                    pictures = gallery(run.network.original, images, REPORT_IMAGES, progress=progress, **more)
                job.report(0.6, "drawing")
                report(run, path, pictures=pictures, exports=[file.exported for file in made.values() if file.exported])
            else:
                ranges = data.unlabelled if about.int8 else None
                exported = export(run.network, path, images, int8=ranges, progress=job.report)
                words = f"; {exported.verification}"
            return MadeFile(path, quantity(path.stat().st_size, "B") + words, exported)

        def done(file: MadeFile) -> None:
            if run is None or self._recover.compressed is not run.network:
                file.path.unlink(missing_ok=True)
                raise ValueError("the compressed network became another one while its file was made: make it again")
            self.made = {**self.made, kind: file}

        return self._worker.submit(JobKind.EXPORT, f"Making {FILE_KINDS[kind].label}", compute, done)


def file_name(run: Run, kind: str) -> str:
    """Return a name like "digits_vgg-run2-finetuned.onnx", of characters that any file system takes."""
    stage = str(run.last.name).replace("-", "") if run.last else "planned"
    words = (run.network_name, run.label.replace(" ", ""), stage, *["int8"] * FILE_KINDS[kind].int8)
    return "-".join(re.sub(r"[^A-Za-z0-9_.]", "_", word) for word in words).lstrip(".") + FILE_KINDS[kind].suffix


def load_code(choose: ChooseModel) -> tuple[dict[str, str], list[str]]:
    """Return "network" and "data" -> a Python expression that loads it, and what the user has to fill in, in words."""
    opened = choose.opened
    if opened is None:
        return {}, []
    (network, network_file), (data, data_files) = _network_code(choose, opened), _data_code(choose, opened)
    return {"network": network, "data": data}, [words for words in (network_file, data_files) if words]


def _network_code(choose: ChooseModel, opened: Opened) -> tuple[str, str]:
    choice, network = opened.choice, opened.network
    if choice.file is None and choose.given("network", choice.network) is not None:
        how = f"wb.Network(model, input_shape={network.input_shape}, name={network.name!r})"
        return f"your_network  # given in code: {how}", f"the network {network.name} (given in code)"
    if choice.file is not None and choice.file.suffix == ".onnx":
        takes = network.preprocessing
        colours = f", mean={takes.mean}, std={takes.std}" if isinstance(takes, Centred) else ""
        code = f"wb.load_network({choice.weights!r}, input_shape={network.input_shape}{colours})"
        return code, f"the file {choice.weights}"
    if choice.file is not None:
        return f"wb.load_network({choice.network!r}, weights={choice.weights!r})", f"the file {choice.weights}"
    if network.random_weights:
        return f"wb.load_network({choice.network!r}, weights=None)", ""
    pretrained = "" if choice.network in OWN else ", weights='pretrained'"
    return f"wb.load_network({choice.network!r}{pretrained})", ""


def _data_code(choose: ChooseModel, opened: Opened) -> tuple[str, str]:
    choice, size = opened.choice, image_size(opened.network)
    channels = IN_CHANNELS if opened.network.input_shape[0] == 1 or "mnist" in choice.data else ""
    if choice.pictures is None:
        if choose.given("data", choice.data) is not None:
            how = "wb.Data(train, validation, test)"
            return f"your_data  # given in code: {how}", f"the data {choice.data} (given in code)"
        if choice.data in bundled_data_names():
            return f"wb.load_data({choice.data!r})", ""
        if choice.data in TORCH_DATASETS:
            return f"wb.load_data({choice.data!r}, root='datasets', size={size}, download=True){channels}", ""
    shares = f"train={TRAIN_SHARE}, validation={VALIDATION_SHARE}"
    root = "pictures" if LOOSE_FILES.fullmatch(choice.data) else choice.data
    code = f"wb.load_data('images', root={root!r}, size={size}, classes=network.classes, {shares}){channels}"
    return code, f"the images {choice.data}" if root == choice.data else f"a folder with the {choice.data}"
