"""Load CIFAR-10 and -100, MNIST and Fashion-MNIST through torchvision, and download them.

Torchvision compares the files with known checksums before it reads them, so nothing foreign is unpickled.
"""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from workbench.catalog.networks.download import DownloadError, checksum_of, fetch
from workbench.catalog.networks.torchvision import torchvision
from workbench.files import write_atomically
from workbench.network.data import Data, Split
from workbench.progress import Progress, part, reporter

SEED = 20160226


TORCH_DATASETS = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
"""Names of torchvision's classes."""

VALIDATION_IMAGES = 5000


class File(NamedTuple):
    """An archive of a data set: its addresses, its path in torchvision's folder, and its md5."""

    urls: tuple[str, ...]
    path: Path
    md5: str


def load_torch_dataset(
    name: str, root: str | Path, *, download: bool = False, progress: Progress | bool | None = None
) -> Data:
    """Return the splits of a data set of torchvision; validation images are drawn from the training images by a seed.

    `root` is torchvision's folder of it, or the folder above. ValueError if it is not there or cannot be downloaded.
    """
    kind = getattr(torchvision("datasets"), TORCH_DATASETS[name])
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
        where = files[0].path.parent
        urls = ", ".join(file.urls[0] for file in files)
        advice = f"on a machine with a network get {urls} and put it into {where}"
        try:
            _fetch(files, reporter(progress))
            train, test = _open(kind, root, download=True)
        except (RuntimeError, OSError) as failed:
            raise ValueError(f"{name} cannot be downloaded now ({failed}): {advice}") from None
    images, labels = _tensors(train)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SEED))
    held, kept = order[:VALIDATION_IMAGES].sort().values, order[VALIDATION_IMAGES:].sort().values
    return Data(
        Split(images[kept], labels[kept], "train"),
        Split(images[held], labels[held], "validation"),
        Split(*_tensors(test), "test"),
        name=name,
        classes=tuple(train.classes),
    )


def _files(kind: Any, root: Path) -> list[File]:
    """Return the files that torchvision's class downloads: one archive (CIFAR), or four gzipped files (MNIST)."""
    if hasattr(kind, "resources"):
        raw = root / kind.__name__ / "raw"
        return [File(tuple(f"{m}{name}" for m in kind.mirrors), raw / name, md5) for name, md5 in kind.resources]
    return [File((kind.url,), root / kind.filename, kind.tgz_md5)]


def _fetch(files: Sequence[File], report: Progress) -> None:
    """Download every archive that is absent or damaged, and unpack MNIST's.

    Torchvision unpacks in place and would take a half-unpacked file for a whole one.
    """
    for i, file in enumerate(files):
        if checksum_of(file.path, "md5") != file.md5:
            _fetch_from_mirrors(file, part(report, i / len(files), (i + 1) / len(files)))
        if file.path.suffix == ".gz" and not file.path.name.endswith(".tar.gz"):
            write_atomically(file.path.with_suffix(""), gzip.decompress(file.path.read_bytes()))


def _fetch_from_mirrors(file: File, report: Progress) -> None:
    for url in file.urls:
        try:
            fetch(url, file.path, checksum=file.md5, algorithm="md5", progress=report)
            return
        except DownloadError as error:
            failed = error
    raise failed


def _open(kind: Any, root: Path, *, download: bool) -> tuple[Any, Any]:
    train, test = (kind(str(root), train=part, download=download) for part in (True, False))
    return train, test


def _tensors(dataset: Any) -> tuple[Tensor, Tensor]:
    """Return images (n, channels, height, width) uint8 and labels (n,) from torchvision's arrays."""
    pixels = torch.as_tensor(np.asarray(dataset.data))
    images = pixels.permute(0, 3, 1, 2) if pixels.ndim == 4 else pixels[:, None]
    return images.contiguous(), torch.as_tensor(np.asarray(dataset.targets), dtype=torch.long)
