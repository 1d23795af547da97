"""Export a network to a file of any format, run the file, and compare it with the network."""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from workbench.exporters import archive, executorch, onnx
from workbench.exporters.metadata import as_texts, metadata
from workbench.exporters.tracing import ExportError, copy_for_export, first_line
from workbench.files import move_durably, write_atomically
from workbench.network.data import Split, fitting_batch
from workbench.network.inputs import Images, inputs_of
from workbench.network.network import Network, expect_network
from workbench.progress import Progress, part, reporter
from workbench.tables import Table

FORMATS = {".onnx": "ONNX", ".pte": "ExecuTorch", ".zip": "plan and weights"}
MAX_RELATIVE_ERROR = 1e-4
"""Largest difference that passes, as a share of the largest output; rounding gives a hundredth of it."""
MAX_IMAGES = 500
RANDOM_INPUTS = 8


@dataclass(frozen=True)
class Verification:
    """How a file compares with the PyTorch network, on a split, "images" or "random inputs"."""

    max_error: float  # largest difference of two outputs, divided by the largest output
    agreement: float  # share of the `n` inputs with the same first answer
    n: int
    inputs: str

    @property
    def passed(self) -> bool:
        """Whether the outputs are the same but for rounding, and every answer is the same."""
        return self.max_error <= MAX_RELATIVE_ERROR and self.agreement == 1.0

    def __str__(self) -> str:
        same = "every answer" if self.agreement == 1.0 else f"{self.agreement:.1%} of the answers"
        return f"{same} on {self.n} images ({self.inputs}) as in PyTorch, largest difference {self.max_error:.1e}"


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
    dynamic_batch: bool = False,
    progress: Progress | bool | None = None,
) -> Exported:
    """Write a network to a file, run the file, and compare it with PyTorch.

    The suffix chooses the format: ``.onnx``; ``.pte`` for phones (ExecuTorch, lowered to XNNPACK); ``.zip`` for PyTorch
    without the workbench (plan, parameters and a loader of ten lines), for compressed networks. The file takes one
    input at a time, after the network's preprocessing, and describes itself: name, classes, input shape, preprocessing,
    where the weights are from and how they were compressed. ONNX has this in ``metadata_props`` (lists and tables as
    JSON), ExecuTorch as the JSON text that its method "metadata" returns.

    Parameters
    ----------
    network : of one batch of inputs and one tensor (n, classes, ...); it is not changed.
    path : a file that is there is replaced once the new one has passed.
    data : images to compare on, as the data hold them, up to 500; None for a few random inputs.
    dynamic_batch : for ONNX, whether the file takes any number of inputs at a time.
    progress : called now and then; raising `Cancelled` ends the export, and leaves no file.

    Raises
    ------
    ExportError : a ValueError, if the suffix is another, the format's library is not installed, the network cannot be
        translated, the file cannot be written, or it computes something else: relative error above 1e-4, or another
        answer. No file is left then.
    """
    expect_network(network)
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        known = ", ".join(f"{suffix} ({name})" for suffix, name in FORMATS.items())
        raise ExportError(f"{path.name} does not end with the suffix of a format: {known}")
    if path.is_dir():
        raise ExportError(f"{path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise ExportError(f"there is no folder {path.parent}")
    if dynamic_batch and suffix != ".onnx":
        raise ExportError(f"dynamic_batch is for .onnx files alone, not for {suffix}")
    if why := {".onnx": onnx.missing, ".pte": executorch.missing}.get(suffix, str)():
        raise ExportError(why)
    report = reporter(progress)
    report(0.0, "running it in PyTorch")
    wanted = reference(network, data)
    report(0.1, "translating it")
    about = metadata(network)
    load: Callable[[Path], Callable[[Tensor], Tensor]]
    if suffix == ".onnx":
        content = onnx.onnx_bytes(network.model, wanted.example, metadata=as_texts(about), dynamic_batch=dynamic_batch)
        load = onnx.load_onnx
    elif suffix == ".pte":
        content = executorch.executorch_bytes(network.model, wanted.example, metadata=json.dumps(about))
        load = executorch.load_executorch
    else:
        content, load = archive.archive_bytes(network, path.stem), partial(archive.load_archive, network=network)
    report(0.6, "writing it")
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            temporary = Path(folder) / path.name
            write_atomically(temporary, content)
            found = wanted.compare(load(temporary), progress=part(report, 0.6, 1.0))
            if not found.passed:
                raise ExportError(
                    f"{path.name} was not kept, since it does not compute what PyTorch does: its largest error is "
                    f"{found.max_error:.1e}, and it gives the same answer on {found.agreement:.1%} of {found.n} images"
                )
            move_durably(temporary, path)
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror or error}") from error
    report(1.0, "")
    return Exported(path, FORMATS[suffix], len(content), found)


@dataclass(frozen=True, eq=False)
class Reference:
    """Batches of inputs, the network's outputs (n, classes, ...) for them on the CPU, and what the inputs are."""

    inputs: list[Tensor]
    outputs: Tensor
    name: str

    @property
    def example(self) -> Tensor:
        """The first input, as a batch of one."""
        return self.inputs[0][:1]

    def compare(self, run: Callable[[Tensor], Tensor], *, progress: Progress | bool | None = None) -> Verification:
        """Run the same inputs in batches of one, and compare the outputs."""
        report, outputs = reporter(progress), []
        for i, one in enumerate(one for batch in self.inputs for one in batch.split(1)):
            report(i / len(self.outputs), "checking it")
            with torch.inference_mode():
                outputs.append(run(one))
        found = torch.cat(outputs)
        if found.shape != self.outputs.shape:
            raise ExportError(f"it gives {tuple(found.shape)} where PyTorch gives {tuple(self.outputs.shape)}")
        difference, largest = float((found - self.outputs).abs().max()), float(self.outputs.abs().max())
        error = difference / (largest or 1.0)
        same = (found.argmax(1) == self.outputs.argmax(1)).reshape(len(found), -1).all(1)
        agreement = float(same.float().mean())
        return Verification(float("inf") if error != error else error, agreement, len(found), self.name)


def reference(network: Network, images: Images | None) -> Reference:
    """Run a copy of the network on the CPU, for what a correct file will give on the first images.

    ExportError if the network does not turn one batch into one tensor (n, classes, ...) of finite numbers.
    """
    if network.example is not None:
        raise ExportError(f"{network.name} takes inputs of its own kind; only networks of one batch can be exported")
    batches = inputs_of(network, images) if images is not None else _random_inputs(network)
    model = copy_for_export(network.model)
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    inputs = [batch.detach().cpu().to(dtype) for batch in _first(batches, MAX_IMAGES)]
    try:
        with torch.inference_mode():
            outputs = [model(batch) for batch in inputs]
    except Exception as error:
        shape = " x ".join(map(str, inputs[0].shape[1:]))
        raise ExportError(f"{network.name} does not run on {shape}: {first_line(error)}") from error
    if not all(isinstance(output, Tensor) and output.ndim >= 2 for output in outputs):
        raise ExportError(f"{network.name} does not return one tensor (n, classes), so it cannot be compared")
    found = torch.cat(outputs).clone()
    if not bool(found.isfinite().all()):
        raise ExportError(f"{network.name} gives outputs that are NaN or infinite: there is nothing to compare with")
    name = images.name if isinstance(images, Split) else "images" if images is not None else "random inputs"
    return Reference(inputs, found, name)


def _random_inputs(network: Network) -> Iterator[Tensor]:
    inputs = torch.randn(RANDOM_INPUTS, *network.input_shape, generator=torch.Generator().manual_seed(0))
    yield from inputs.split(fitting_batch(network.input_shape))


def _first(batches: Iterable[Tensor], count: int) -> Iterator[Tensor]:
    for batch in batches:
        yield batch[:count]
        count -= len(batch[:count])
        if count <= 0:
            return
