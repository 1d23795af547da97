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
data = in_channels(network, data)"""  # follows the line that loads data, if those are not bundled
LOOSE_FILES = re.compile(r"\d+ files")  # name on the page of pictures that were uploaded without a folder


@dataclass(frozen=True)
class FileKind:
    """A kind of file that the page offers."""

    title: str
    suffix: str
    purpose: str
    missing: Callable[[], str] = str  # returns why the file cannot be made on this machine, or ""
    int8: bool = False  # whether it is quantised

    @property
    def label(self) -> str:
        """Its suffix, after "int8" if it is quantised."""
        return f"int8 {self.suffix}" if self.int8 else self.suffix

    @property
    def code(self) -> dict[str, str]:
        """Where a program runs -> how it uses the file, in three lines with "{file}" (its name) and "{shape}"."""
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
INT8_PURPOSE = "8-bit integers: a quarter of the size, often faster. Take it if enough answers stay the same."
PHONE_PURPOSE = "Runs in apps on Android and iOS. Of the two, begin with this one."
FILE_KINDS = {
    "executorch": FileKind("For phones: ExecuTorch", ".pte", PHONE_PURPOSE, executorch.missing),
    "onnx": FileKind("For other programs: ONNX", ".onnx", "Runs in many tools, one image at a time.", onnx.missing),
    "executorch_int8": FileKind("For phones, int8: ExecuTorch", ".pte", INT8_PURPOSE, executorch.missing, int8=True),
    "onnx_int8": FileKind("For other programs, int8: ONNX", ".onnx", INT8_PURPOSE, onnx.missing, int8=True),
    "weights": FileKind("For PyTorch: plan and weights", ".zip", "Loads into the original architecture."),
    "report": FileKind("To read: report", ".html", "What was done and what came out, for any browser or to print."),
    "notebook": FileKind("To repeat: notebook", ".ipynb", "The run again, step by step, with the notebook API."),
}


@dataclass(frozen=True)
class MadeFile:
    """A file to download."""

    path: Path  # on the server; the download has the same name
    words: str  # its size, and how its outputs compare with the network's
    exported: Exported | None = None  # None for a report and a notebook


class TakeHomeModel(HasTraits):
    """Makes files of the compressed network, and removes them when another network becomes current."""

    made = Dict()  # key of `FILE_KINDS` -> the file that was made

    def __init__(self, worker: Worker, choose: ChooseModel, recover: RecoverModel) -> None:
        super().__init__()
        self._worker, self._choose, self._recover = worker, choose, recover
        self._folder = Path(tempfile.mkdtemp(prefix="workbench-export-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._network: object = None
        recover.observe(self._remove_old_files, "run")

    def _remove_old_files(self, _: object) -> None:
        if self._recover.compressed is not self._network:
            files, self.made = self.made, {}
            self._network = self._recover.compressed
            for file in files.values():
                file.path.unlink(missing_ok=True)

    def time_text(self, kind: str) -> str:
        """Return in words the time of a kind of file in its own runtime; "" if *Speed* has not measured it."""
        run, file_kind = self._recover.run, FILE_KINDS[kind]
        network = "int8" if file_kind.int8 else "compressed"
        for entry, dense_ms, file_ms in run.measurements("latency", "ms", network) if run is not None else ():
            if entry.get("runtime") == RUNTIME_OF.get(file_kind.suffix, ""):
                return f"; {file_ms:.3g} ms an image on this machine, the original {dense_ms:.3g} ms"
        return ""

    @property
    def original_kind(self) -> str:
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
            int8, path, data = FILE_KINDS[kind].int8, folder / file_name(run, kind), opened.data
            split = data.test if len(data.test) else data.validation
            images = split if len(split) and not opened.misfit else None
            if int8 and opened.misfit:
                raise ValueError(opened.misfit)
            note, exported = "", None
            if kind == "notebook":
                notebook(run, path, **code)
                if missing:
                    note = f"; to run it, write into its first cell where to find {' and '.join(missing)}"
            elif kind == "report":
                pictures = None
                if images is not None:
                    options: dict[str, Any] = {"compressed": run.network, "classes": data.classes}
                    progress = part(job.report, 0.0, 0.6, "looking at images")
                    pictures = gallery(run.network.original, images, REPORT_IMAGES, progress=progress, **options)
                job.report(0.6, "drawing")
                report(run, path, pictures=pictures, exports=[file.exported for file in made.values() if file.exported])
            else:
                calibration = data.unlabelled if int8 else None
                exported = export(run.network, path, images, int8=calibration, progress=job.report)
                note = f"; {exported.verification}"
            return MadeFile(path, quantity(path.stat().st_size, "B") + note, exported)

        def done(file: MadeFile) -> None:
            if run is None or self._recover.compressed is not run.network:
                file.path.unlink(missing_ok=True)
                raise ValueError("the compressed network has changed while its file was made: make it again")
            self.made = {**self.made, kind: file}

        return self._worker.submit(JobKind.EXPORT, f"Making {FILE_KINDS[kind].label}", compute, done)


def file_name(run: Run, kind: str) -> str:
    """Return a name like "digits_vgg-run2-finetuned.onnx", of characters that any file system takes."""
    stage = str(run.last.name).replace("-", "") if run.last else "planned"
    words = (run.network_name, run.label.replace(" ", ""), stage, *["int8"] * FILE_KINDS[kind].int8)
    return "-".join(re.sub(r"[^A-Za-z0-9_.]", "_", word) for word in words).lstrip(".") + FILE_KINDS[kind].suffix


def load_code(choose: ChooseModel) -> tuple[dict[str, str], list[str]]:
    """Return "network" and "data" -> a Python expression that loads it, and what the user must provide for it."""
    opened = choose.opened
    if opened is None:
        return {}, []
    (network, network_missing), (data, data_missing) = _network_code(choose, opened), _data_code(choose, opened)
    return {"network": network, "data": data}, [name for name in (network_missing, data_missing) if name]


def _network_code(choose: ChooseModel, opened: Opened) -> tuple[str, str]:
    choice, network = opened.choice, opened.network
    if choice.file is None and choose.given("network", choice.network) is not None:
        code = f"wb.Network(model, input_shape={network.input_shape}, name={network.name!r})"
        return f"your_network  # given in code: {code}", f"the network {network.name} (given in code)"
    if choice.file is not None and choice.file.suffix == ".onnx":
        centred = network.preprocessing
        colours = f", mean={centred.mean}, std={centred.std}" if isinstance(centred, Centred) else ""
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
            code = "wb.Data(train, validation, test)"
            return f"your_data  # given in code: {code}", f"the data {choice.data} (given in code)"
        if choice.data in bundled_data_names():
            return f"wb.load_data({choice.data!r})", ""
        if choice.data in TORCH_DATASETS:
            return f"wb.load_data({choice.data!r}, root='datasets', size={size}, download=True){channels}", ""
    shares = f"train={TRAIN_SHARE}, validation={VALIDATION_SHARE}"
    root = "pictures" if LOOSE_FILES.fullmatch(choice.data) else choice.data
    code = f"wb.load_data('images', root={root!r}, size={size}, classes=network.classes, {shares}){channels}"
    return code, f"the images {choice.data}" if root == choice.data else f"a folder with the {choice.data}"
