"""Networks as ONNX and ExecuTorch files: written, run, compared with PyTorch, and only then where you wanted them."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from workbench.exporters import executorch, onnx
from workbench.exporters.about import about, texts, with_pixels
from workbench.exporters.check import Check, Expected, expected
from workbench.exporters.preparing import ExportError
from workbench.files import write_atomically
from workbench.network.data import Split
from workbench.network.network import Network, expect_network

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Exported:
    """A file, or a folder of files, that was written and checked.

    Attributes
    ----------
    path : where it is.
    format : "ONNX", "ExecuTorch" or "weights".
    bytes : its size.
    check : how it compares with the PyTorch network.
    """

    path: Path
    format: str
    bytes: int
    check: Check

    def __str__(self) -> str:
        return f"{self.path.name}, {self.format}, {self.bytes / 1e6:.1f} MB: {self.check}"


def export_onnx(
    network: Network,
    path: str | Path,
    images: Split | None = None,
    *,
    pixels: bool = False,
    dynamic_batch: bool = False,
    progress: Progress = lambda share, what: None,
) -> Exported:
    """Write a network as an ONNX file, run it with ONNX Runtime, and compare it with PyTorch.

    The file takes what the network takes, after its preprocessing, which is described in the file's metadata with
    name, classes, input shape, where the weights are from and how they were compressed. Those are texts in
    ``metadata_props``; lists and tables are JSON.

    Parameters
    ----------
    path : ends with .onnx; a file that is there is replaced once the new one has passed.
    images : real ones to compare on, up to 500; None for a few random inputs.
    pixels : put the arithmetic of the preprocessing (scale, mean, deviation) into the file, which then takes pixels, 0
        to 255, already of the right size. For the catalog's networks with that preprocessing.
    dynamic_batch : whether the file takes any number of images at a time instead of one. Phones prefer one.
    progress : called with (share done, what) now and then; what it raises ends the export.

    Raises
    ------
    ExportError : if ONNX is not installed, the network cannot be written or translated, or the file does not compute
        the same: relative error above 1e-4, or another answer. No file is left then.
    """
    reference, given = _begin(network, path, ".onnx", images, pixels, onnx.missing(), progress)
    known = texts(about(network, pixels=pixels))
    content = onnx.onnx_bytes(given.model, reference.example, metadata=known, dynamic_batch=dynamic_batch)
    return _finish(Path(path), "ONNX", content, onnx.load_onnx, reference, progress)


def export_executorch(
    network: Network,
    path: str | Path,
    images: Split | None = None,
    *,
    pixels: bool = False,
    progress: Progress = lambda share, what: None,
) -> Exported:
    """Write a network as an ExecuTorch program for phones (XNNPACK), run it here, and compare it with PyTorch.

    The program takes one input at a time, after the network's preprocessing. Its method "metadata" returns a JSON
    text with what :func:`export_onnx` writes: ``module.execute("metadata")`` in Kotlin or Swift, nothing beside the
    file.

    Parameters
    ----------
    path : ends with .pte.
    images, pixels, progress : as for :func:`export_onnx`.

    Raises
    ------
    ExportError : as for :func:`export_onnx`, of ExecuTorch.
    """
    reference, given = _begin(network, path, ".pte", images, pixels, executorch.missing(), progress)
    known = json.dumps(about(network, pixels=pixels))
    content = executorch.executorch_bytes(given.model, reference.example, metadata=known)
    return _finish(Path(path), "ExecuTorch", content, executorch.load_executorch, reference, progress)


def _begin(
    network: Network,
    path: str | Path,
    suffix: str,
    images: Split | None,
    pixels: bool,
    missing: str,
    progress: Progress,
) -> tuple[Expected, Network]:
    """Everything that can go wrong before the long part does so here."""
    expect_network(network)
    if missing:
        raise ExportError(missing)
    check_path(Path(path), suffix)
    given = with_pixels(network) if pixels else network
    progress(0.0, "running it in PyTorch")
    reference = expected(given, images)
    progress(0.1, "translating it")
    return reference, given


def _finish(
    path: Path,
    kind: str,
    content: bytes,
    load: Callable[[Path], Callable[[Tensor], Tensor]],
    reference: Expected,
    progress: Progress,
) -> Exported:
    with staged(path) as temporary:
        progress(0.6, "writing it")
        write_atomically(temporary, content)
        found = reference.compare(load(temporary), lambda share: progress(0.6 + 0.4 * share, "checking it"))
        insist(found, path.name)
    progress(1.0, "")
    return Exported(path, kind, len(content), found)


def insist(found: Check, name: str) -> None:
    """Raise ExportError unless the check has passed."""
    if not found.passed:
        raise ExportError(
            f"{name} was not kept, since it does not compute what PyTorch does: its largest error is "
            f"{found.max_error:.1e}, and it gives the same answer on {found.agreement:.1%} of {found.n} images"
        )


def check_path(path: Path, suffix: str) -> None:
    """Raise ExportError if no file of that kind can be written there."""
    if path.suffix.lower() != suffix:
        raise ExportError(f"{path.name} does not end with {suffix}")
    if path.is_dir():
        raise ExportError(f"{path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise ExportError(f"there is no folder {path.parent}")


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """A path in a folder of its own beside the target, and moved to the target at the end if nothing went wrong."""
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            temporary = Path(folder) / path.name
            yield temporary
            os.replace(temporary, path)
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror or error}") from error
