"""Export a network to a file of any format, run the file, and compare it with the network."""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from workbench.exporters import archive, executorch, onnx
from workbench.exporters.int8 import calibration
from workbench.exporters.metadata import as_texts, metadata
from workbench.exporters.tracing import ExportError
from workbench.exporters.verification import Verification, reference
from workbench.files import move_durably, write_atomically
from workbench.network.inputs import Images, split_of
from workbench.network.network import Network, expect_network
from workbench.network.outputs import call, size_of
from workbench.progress import Progress, part, reporter
from workbench.tables import Table

FORMATS = {".onnx": "ONNX", ".pte": "ExecuTorch", ".zip": "plan and weights"}


@dataclass(frozen=True, repr=False)
class Exported(Table):
    """A file that was written and compared with its network: its path, format, size in bytes, and comparison."""

    path: Path
    format: str
    bytes: int
    verification: Verification

    headers = ("file", "format", "size", "compared after writing")
    left = (0, 1, 3)

    @property
    def rows(self) -> list[list[str]]:
        """One row: name, format, size and comparison."""
        return [[self.path.name, self.format, f"{self.bytes / 1e6:.2f} MB", str(self.verification)]]


def export(
    network: Network,
    path: str | Path,
    data: Images | None = None,
    *,
    int8: Images | None = None,
    keep_float: Sequence[str] = (),
    dynamic_batch: bool = False,
    progress: Progress | bool | None = None,
) -> Exported:
    """Write a network to a file, run the file, and compare it with PyTorch.

    The suffix chooses the format: ``.onnx``; ``.pte`` for phones (ExecuTorch, lowered to XNNPACK); ``.zip`` for PyTorch
    without the workbench (plan, parameters and a loader of ten lines), for compressed networks. The file takes one
    preprocessed input at a time, or as many as the ONNX file that the network was opened from. Its metadata are name,
    classes, input shape, preprocessing, source of the weights and compression: in ONNX's ``metadata_props`` (lists and
    tables as JSON), or the JSON text that the method "metadata" of an ExecuTorch program returns.

    Parameters
    ----------
    network : stays unchanged. One that was opened from an ONNX file gives that file again, in which only the nodes
        of its compressed layers are replaced.
    path : an existing file is replaced once the new one has passed.
    data : images to compare on, of which up to 500 are used; None for those of `int8`, or a few random inputs.
    int8 : images, of which up to 100 are drawn to measure the ranges of the maps; None for float. The layers of an
        int8 file (ONNX or ExecuTorch) compute with 8-bit integers; weights have a scale for each output channel. Such
        a file is compared by the share of equal answers and the signal-to-noise ratio of its outputs.
    keep_float : names of layers, as in the plan, that stay in float in an int8 file.
    dynamic_batch : for ONNX, whether the file takes any number of inputs at a time.
    progress : called now and then; raising `Cancelled` ends the export, and leaves no file.

    Raises
    ------
    ExportError : a ValueError, if the suffix is another, the format's library is not installed, the network cannot be
        translated, the file cannot be written, or it computes something else: relative error above 1e-4 (1e-2 in half
        precision), or another answer; in int8 less than half of the answers, or 10 dB. It leaves no file.
    """
    expect_network(network)
    path = Path(path)
    suffix = _checked_suffix(path, dynamic_batch, int8 is not None, bool(keep_float))
    report = reporter(progress)
    report(0.0, "running it in PyTorch")
    if int8 is not None and not network.structured:
        int8 = split_of(network, int8, labelled=False)  # batches that can be read once are read now
    expected = reference(network, int8 if data is None else data)
    example = expected.inputs[0]
    quantisation = None if int8 is None else calibration(network, int8, keep_float, batch=size_of(example))
    report(0.1, "translating it")
    description = metadata(network) | ({"int8": quantisation.metadata} if quantisation else {})
    load: Callable[[Path], Callable[[Any], Any]]
    if suffix == ".pte" and not isinstance(example, Tensor):
        raise ExportError(f"{network.name} takes inputs of its own kind; ExecuTorch files take one batch of images")
    if suffix == ".onnx":
        content = onnx.onnx_bytes(
            network.model, example, metadata=as_texts(description), dynamic_batch=dynamic_batch, int8=quantisation
        )
        load = onnx.load_onnx
    elif suffix == ".pte":
        text = json.dumps(description)
        content = executorch.executorch_bytes(network.model, example, metadata=text, int8=quantisation)
        load = executorch.load_executorch
    else:
        content, load = archive.archive_bytes(network, path.stem), partial(archive.load_archive, network=network)
    report(0.85, "writing it")
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            temporary = Path(folder) / path.name
            write_atomically(temporary, content)
            run = load(temporary)
            run = partial(call, run) if isinstance(run, nn.Module) else run
            verification = expected.compare(run, int8=quantisation is not None, progress=part(report, 0.85, 1.0))
            if not verification.passed:
                hint = "; keep the layers that suffer most in float, by keep_float" if quantisation else ""
                raise ExportError(
                    f"{path.name} was not kept, since it does not compute what PyTorch does: {verification}{hint}"
                )
            move_durably(temporary, path)
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror or error}") from error
    report(1.0, "")
    return Exported(path, FORMATS[suffix] + (", int8" if quantisation else ""), len(content), verification)


def _checked_suffix(path: Path, dynamic_batch: bool, int8: bool, keep_float: bool) -> str:
    """Return the suffix of a file that can be written; ExportError if it cannot, or the options do not fit it."""
    suffix = path.suffix.lower()
    formats = ", ".join(f"{suffix} ({name})" for suffix, name in FORMATS.items())
    missing = {".onnx": onnx.missing, ".pte": executorch.missing}.get(suffix, str)()
    problems = {
        f"{path.name} does not end with the suffix of a format: {formats}": suffix not in FORMATS,
        f"{path} is a folder: name a file in it": path.is_dir(),
        f"there is no folder {path.parent}": not path.parent.is_dir(),
        f"dynamic_batch is only for .onnx files, not for {suffix}": dynamic_batch and suffix != ".onnx",
        "int8 is for .onnx and .pte files, not for .zip": int8 and suffix == ".zip",
        "keep_float is for int8 files: give images as int8=": keep_float and not int8,
        missing: bool(missing),
    }
    for problem, applies in problems.items():
        if applies:
            raise ExportError(problem)
    return suffix
