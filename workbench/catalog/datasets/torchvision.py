"""Load data sets through torchvision, and download them: arrays (CIFAR, MNIST), and photographs (Imagenette, flowers).

Files are compared with torchvision's checksums before they are read, so nothing foreign is unpickled.
"""

import gzip
import logging
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from workbench.catalog.datasets.table import TORCH_DATASETS, TorchDataset
from workbench.catalog.networks.download import checksum_of, fetch
from workbench.catalog.networks.torchvision import class_names, torchvision
from workbench.files import write_atomically
from workbench.network.data import Data, Split
from workbench.network.images.folders import DEFAULT_SIZE, Pictures, image_files
from workbench.network.images.load import SEED, shares
from workbench.progress import Progress, part, reporter

log = logging.getLogger(__name__)

VALIDATION_IMAGES = 5000
VALIDATION_SHARE = 0.1
"""Training images of a data set of arrays, and share of those of one of files, that are held out to choose by."""

DRAWN_SHARES = (0.6, 0.2)
"""Shares of training and validation images of a data set without splits of its own."""

FETCH_SHARE = 0.9
"""Share of the progress of a file that is its download; the rest is unpacking."""


class File(NamedTuple):
    """An archive of a data set: its address, its path in torchvision's folder, and its md5."""

    url: str
    path: Path
    md5: str


def load_torch_dataset(
    name: str,
    root: str | Path,
    *,
    size: int = DEFAULT_SIZE,
    download: bool = False,
    progress: Progress | bool | None = None,
) -> Data:
    """Return the splits of a data set of torchvision.

    Validation images are torchvision's, else drawn from the training images by a seed. Photographs are read as those of
    a folder are, `size` pixels on the shorter side. Imagenette's labels are ImageNet's indices, so that any network for
    ImageNet is scored on it. `root` is torchvision's folder of it, or the folder above. The first progress note and an
    error say the bytes of a download and the licence. ValueError if it is not there or cannot be downloaded.
    """
    known = TORCH_DATASETS[name]
    kind = getattr(torchvision("datasets"), known.kind)
    root = Path(root).expanduser()
    if root.name in (getattr(kind, "base_folder", None), known.folder or None):
        root = root.parent
    try:
        opened = _open(known, kind, root)
    except (RuntimeError, OSError, ValueError) as error:
        if not download:
            raise ValueError(
                f"{name} is not in {root} ({error}): put torchvision's files there, "
                f"or load_data({name!r}, root=..., download=True) ({known.notice})"
            ) from None
        files = _files(known, kind, root)
        where = files[0].path.parent
        urls = ", ".join(file.url for file in files)
        advice = f"on a machine with a network get {urls} and put it into {where}"
        log.info("%s: %s", name, known.notice)
        report = reporter(progress)
        report(0.0, f"{name}: {known.notice}")
        try:
            _fetch(files, known, report)
            opened = _open(known, kind, root, download=known.archives is None)
        except (RuntimeError, OSError, tarfile.TarError, zipfile.BadZipFile) as failed:
            raise ValueError(f"{name} cannot be downloaded now ({failed}): {advice}") from None
    found = [_pictures(dataset, size) for dataset in opened]
    train, validation, test = _parts(found, arrays=known.archives is None)
    classes = class_names() if name == "imagenette" else tuple(getattr(opened[0], "classes", ()))
    return Data(train, validation, test, name=name, classes=classes)


def _parts(found: Sequence[Pictures], *, arrays: bool) -> list[Split]:
    """Return the images for training, validation and test; what the data set does not have is drawn."""
    first = found[0]
    if len(found) == 3:
        parts = [(each, torch.arange(len(each.labels))) for each in found]
    elif len(found) == 1:
        parts = [(first, index) for index in shares(first.labels, *DRAWN_SHARES).values()]
    else:
        if arrays:
            order = torch.randperm(len(first.labels), generator=torch.Generator().manual_seed(SEED))
            held, kept = order[:VALIDATION_IMAGES].sort().values, order[VALIDATION_IMAGES:].sort().values
        else:
            drawn = shares(first.labels, 0.0, VALIDATION_SHARE)
            held, kept = drawn["validation"], drawn["test"]
        parts = [(first, kept), (first, held), (found[1], torch.arange(len(found[1].labels)))]
    names = ("train", "validation", "test")
    return [Split(p.of(i), p.labels[i], name) for (p, i), name in zip(parts, names, strict=True)]


def _files(known: TorchDataset, kind: Any, root: Path) -> list[File]:
    """Return the files to download: archives of pictures, one archive (CIFAR), or four gzipped files (MNIST)."""
    if known.archives is not None:
        return [File(url, root / known.folder / url.rpartition("/")[2], md5) for url, md5 in known.archives(kind)]
    if hasattr(kind, "resources"):
        raw = root / kind.__name__ / "raw"
        return [File(f"{kind.mirrors[0]}{name}", raw / name, md5) for name, md5 in kind.resources]
    return [File(kind.url, root / kind.filename, kind.tgz_md5)]


def _fetch(files: Sequence[File], known: TorchDataset, report: Progress) -> None:
    """Download every archive that is absent or damaged, and unpack MNIST's and those of pictures.

    Torchvision unpacks in place and would take a half-unpacked file for a whole one.
    """
    for i, (url, path, md5) in enumerate(files):
        share = part(report, i / len(files), (i + 1) / len(files))
        if checksum_of(path, "md5") != md5:
            fetch(url, path, checksum=md5, algorithm="md5", progress=part(share, 0.0, FETCH_SHARE))
        if known.archives is not None and path.suffix in (".tgz", ".gz", ".zip"):
            _unpack(path, part(share, FETCH_SHARE, 1.0))
        elif path.suffixes == [".gz"]:
            write_atomically(path.with_suffix(""), gzip.decompress(path.read_bytes()))
        share(1.0, f"{path.name} is there")


def _unpack(path: Path, report: Progress) -> None:
    """Unpack an archive beside it: whole, or not at all; folders that are there already are left as they are."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as temporary:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as packed:
                entries = packed.infolist()
                for i, entry in enumerate(entries):
                    report(i / len(entries), f"unpacking {path.name}")
                    packed.extract(entry, temporary)
        else:
            size = path.stat().st_size
            with path.open("rb") as file, tarfile.open(fileobj=file) as tar:
                for member in tar:
                    report(min(1.0, file.tell() / size), f"unpacking {path.name}")
                    tar.extract(member, temporary, filter="data")
        for entry_path in Path(temporary).iterdir():
            if not (target := path.parent / entry_path.name).exists():
                entry_path.rename(target)
    report(1.0, f"unpacked {path.name}")


def _open(known: TorchDataset, kind: Any, root: Path, *, download: bool = False) -> list[Any]:
    return [kind(str(root), **options, download=download) for options in known.splits]


def _pictures(dataset: Any, size: int) -> Pictures:
    """Return the images and labels of one of torchvision's objects: its arrays, or its list of files."""
    if hasattr(dataset, "data"):
        return Pictures(*_tensors(dataset))
    samples = getattr(dataset, "samples", None) or getattr(dataset, "_samples", None)
    if samples is None:
        files = getattr(dataset, "_image_files", None) or dataset._images
        samples = zip(files, dataset._labels, strict=True)
    paths, labels = zip(*samples, strict=True)
    if hasattr(dataset, "wnids"):
        labels = tuple(class_names().index(dataset.classes[label][0]) for label in labels)
    return Pictures(image_files([Path(path) for path in paths], size), torch.tensor(labels))


def _tensors(dataset: Any) -> tuple[Tensor, Tensor]:
    """Return images (n, channels, height, width) uint8 and labels (n,) from torchvision's arrays."""
    pixels = torch.as_tensor(np.asarray(dataset.data))
    images = pixels.permute(0, 3, 1, 2) if pixels.ndim == 4 else pixels[:, None]
    return images.contiguous(), torch.as_tensor(np.asarray(dataset.targets), dtype=torch.long)
