"""Load CIFAR-10 and -100, MNIST and Fashion-MNIST through torchvision, and download them.

Torchvision compares the files with known checksums before it reads them, so nothing foreign is unpickled.
"""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


Archive = tuple[tuple[str, ...], Path, str]  # addresses of an archive, its path in torchvision's folder, and its md5


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
        urls = ", ".join(urls[0] for urls, _, _ in files)
        advice = f"on a machine with a network get {urls} and put it into {files[0][1].parent}"
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


def _files(kind: Any, root: Path) -> list[Archive]:
    """Return the files that torchvision's class downloads: one archive (CIFAR), or four gzipped files (MNIST)."""
    if hasattr(kind, "resources"):
        raw = root / kind.__name__ / "raw"
        return [(tuple(f"{m}{name}" for m in kind.mirrors), raw / name, md5) for name, md5 in kind.resources]
    return [((kind.url,), root / kind.filename, kind.tgz_md5)]


def _fetch(files: Sequence[Archive], report: Progress) -> None:
    """Download every archive that is absent or damaged, and unpack MNIST's.

    Torchvision unpacks in place and would take a half-unpacked file for a whole one.
    """
    for i, (urls, path, md5) in enumerate(files):
        share = part(report, i / len(files), (i + 1) / len(files))
        for url in urls if checksum_of(path, "md5") != md5 else ():
            try:
                fetch(url, path, checksum=md5, algorithm="md5", progress=share)
                break
            except DownloadError:
                if url == urls[-1]:
                    raise
        if path.suffix == ".gz" and not path.name.endswith(".tar.gz"):
            write_atomically(path.with_suffix(""), gzip.decompress(path.read_bytes()))


def _open(kind: Any, root: Path, *, download: bool) -> tuple[Any, Any]:
    return kind(str(root), train=True, download=download), kind(str(root), train=False, download=download)


def _tensors(dataset: Any) -> tuple[Tensor, Tensor]:
    """Return images (n, channels, height, width) uint8 and labels (n,) from torchvision's arrays."""
    pixels = torch.as_tensor(np.asarray(dataset.data))
    images = pixels.permute(0, 3, 1, 2) if pixels.ndim == 4 else pixels[:, None]
    return images.contiguous(), torch.as_tensor(np.asarray(dataset.targets), dtype=torch.long)
