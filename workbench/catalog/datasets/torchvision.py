"""CIFAR-10 and -100, MNIST and Fashion-MNIST through torchvision, from a folder one has or downloaded into it.

torchvision compares the files with known checksums before it reads them, so nothing foreign is unpickled.
"""

import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.catalog.networks.download import DownloadError, fetch, is_whole
from workbench.catalog.networks.torchvision import torchvision
from workbench.files import write_atomically
from workbench.network.data import Data, Split

SEED = 20160226


@dataclass(frozen=True)
class Entry:
    """torchvision's class, and how many of its training images are set apart for validation."""

    kind: str
    validation: int


TORCH_DATASETS = {
    "cifar10": Entry("CIFAR10", 5000),
    "cifar100": Entry("CIFAR100", 5000),
    "mnist": Entry("MNIST", 5000),
    "fashion_mnist": Entry("FashionMNIST", 5000),
}


def load_torch_dataset(
    name: str,
    root: str | Path,
    *,
    download: bool = False,
    progress: Callable[[float, str], None] | None = None,
) -> Data:
    """Train, validation (set apart from the training images by a seed) and test split; images are uint8.

    Parameters
    ----------
    name : one of ``TORCH_DATASETS``.
    root : the folder torchvision keeps it in (its inner folder will do); what is there is not downloaded again.
    download : fetch what is missing, whole or not at all.
    progress : called with (share done, what) while downloading; what it raises ends that.

    Raises
    ------
    ValueError : if it is not in the folder, or cannot be downloaded, saying what to do.
    """
    entry = TORCH_DATASETS[name]
    kind = getattr(torchvision("datasets"), entry.kind)
    root = Path(root).expanduser()
    if root.name == getattr(kind, "base_folder", None):
        root = root.parent
    try:
        train, test = _open(kind, root, download=False)
    except (RuntimeError, OSError, ValueError) as error:
        if not download:
            raise ValueError(
                f"{name} is not in {root} ({error}): put torchvision's files there, "
                f"or load_data({name!r}, root=..., download=True)"
            ) from None
        files = _files(kind, root)
        where = files[0].path.parent if files else root
        urls = ", ".join(file.urls[0] for file in files) or "it"
        advice = f"on a machine with a network get {urls} and put it into {where}"
        try:
            _fetch(files, progress)
        except DownloadError as failed:
            raise ValueError(f"{name} cannot be downloaded now ({failed}): {advice}") from None
        try:
            train, test = _open(kind, root, download=True)
        except (RuntimeError, OSError, ValueError) as failed:
            raise ValueError(f"{name} cannot be downloaded or unpacked ({failed}): {advice}") from None
    images, labels = _tensors(train)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SEED))
    held, rest = order[: entry.validation].sort().values, order[entry.validation :].sort().values
    return Data(
        Split(images[rest], labels[rest], "train"),
        Split(images[held], labels[held], "validation"),
        Split(*_tensors(test), "test"),
        name=name,
        classes=tuple(train.classes),
    )


@dataclass(frozen=True)
class File:
    """An archive of a data set: where it comes from, where torchvision looks for it, and its md5."""

    urls: tuple[str, ...]
    path: Path
    md5: str


def _files(kind: Any, root: Path) -> list[File]:
    """What torchvision's class would download: one archive (CIFAR), or four gzipped files (MNIST)."""
    if hasattr(kind, "resources"):
        raw = root / kind.__name__ / "raw"
        return [File(tuple(f"{m}{name}" for m in kind.mirrors), raw / name, md5) for name, md5 in kind.resources]
    return [File((kind.url,), root / kind.filename, kind.tgz_md5)] if hasattr(kind, "url") else []


def _fetch(files: Sequence[File], progress: Callable[[float, str], None] | None) -> None:
    """Get every archive that is not there whole; MNIST's are unpacked here, because torchvision takes half of one for
    a whole one.
    """
    for i, file in enumerate(files):
        if not is_whole(file.path, file.md5, "md5"):
            _from_any(file, _part(progress, i, len(files)))
        if file.path.suffix == ".gz" and not file.path.name.endswith(".tar.gz"):
            write_atomically(file.path.with_suffix(""), gzip.decompress(file.path.read_bytes()))


def _from_any(file: File, progress: Callable[[float, str], None]) -> None:
    for url in file.urls[:-1]:
        try:
            fetch(url, file.path, checksum=file.md5, algorithm="md5", progress=progress)
        except DownloadError:
            continue
        return
    fetch(file.urls[-1], file.path, checksum=file.md5, algorithm="md5", progress=progress)


def _part(progress: Callable[[float, str], None] | None, i: int, n: int) -> Callable[[float, str], None]:
    return lambda share, what: progress((i + share) / n, what) if progress else None


def _open(kind: Any, root: Path, *, download: bool) -> tuple[Any, Any]:
    train, test = (kind(str(root), train=part, download=download) for part in (True, False))
    return train, test


def _tensors(dataset: Any) -> tuple[Tensor, Tensor]:
    """Images (n, channels, height, width) uint8 and labels (n,), from torchvision's arrays."""
    pixels = torch.as_tensor(np.asarray(dataset.data))
    images = pixels.permute(0, 3, 1, 2) if pixels.ndim == 4 else pixels[:, None]
    return images.contiguous(), torch.as_tensor(np.asarray(dataset.targets), dtype=torch.long)
