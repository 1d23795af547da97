"""Load data sets through torchvision, and download them: arrays (CIFAR, MNIST), and photographs (Imagenette, flowers).

Files are compared with torchvision's checksums before they are read, so no foreign file is unpickled.
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
"""Training images held out for validation: their number of arrays, their share of photographs."""

DRAWN_SHARES = (0.6, 0.2)
"""Shares of training and validation images of a data set without splits."""

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

    Validation images are torchvision's, else drawn from the training images with a fixed seed. Photographs are read as
    those of a folder, `size` pixels on the shorter side. Imagenette's labels are ImageNet's indices, so that networks
    for ImageNet can be scored on it. `root` is the folder that torchvision makes, or the folder above. The first
    progress note says the size and licence of a download. ValueError if the data set is absent or cannot be downloaded.
    """
    entry = TORCH_DATASETS[name]
    cls = getattr(torchvision("datasets"), entry.class_name)
    root = Path(root).expanduser()
    if root.name in (getattr(cls, "base_folder", None), entry.folder or None):
        root = root.parent
    try:
        datasets = _open(entry, cls, root)
    except (RuntimeError, OSError, ValueError) as error:
        if not download:
            raise ValueError(
                f"{name} is not in {root} ({error}): put torchvision's files there, "
                f"or load_data({name!r}, root=..., download=True) ({entry.notice})"
            ) from None
        files = _files(entry, cls, root)
        urls = ", ".join(file.url for file in files)
        advice = f"on a machine with a network get {urls} and put it into {files[0].path.parent}"
        log.info("%s: %s", name, entry.notice)
        report = reporter(progress)
        report(0.0, f"{name}: {entry.notice}")
        try:
            _fetch(files, entry, report)
            datasets = _open(entry, cls, root, download=entry.archives is None)
        except (RuntimeError, OSError, tarfile.TarError, zipfile.BadZipFile) as failure:
            raise ValueError(f"{name} cannot be downloaded now ({failure}): {advice}") from None
    pictures = [_pictures(dataset, size) for dataset in datasets]
    train, validation, test = _splits(pictures, are_arrays=entry.archives is None)
    classes = class_names() if name == "imagenette" else tuple(getattr(datasets[0], "classes", ()))
    return Data(train, validation, test, name=name, classes=classes)


def _splits(sources: Sequence[Pictures], *, are_arrays: bool) -> list[Split]:
    """Return the training, validation and test images; splits that the data set lacks are drawn."""
    first = sources[0]
    if len(sources) == 3:
        selections = [(pictures, torch.arange(len(pictures.labels))) for pictures in sources]
    elif len(sources) == 1:
        selections = [(first, indices) for indices in shares(first.labels, *DRAWN_SHARES).values()]
    else:
        if are_arrays:
            order = torch.randperm(len(first.labels), generator=torch.Generator().manual_seed(SEED))
            validation, train = order[:VALIDATION_IMAGES].sort().values, order[VALIDATION_IMAGES:].sort().values
        else:
            drawn = shares(first.labels, 0.0, VALIDATION_SHARE)
            validation, train = drawn["validation"], drawn["test"]
        selections = [(first, train), (first, validation), (sources[1], torch.arange(len(sources[1].labels)))]
    names = ("train", "validation", "test")
    return [Split(p.of(i), p.labels[i], name) for (p, i), name in zip(selections, names, strict=True)]


def _files(entry: TorchDataset, cls: Any, root: Path) -> list[File]:
    """Return the files to download: archives of pictures, one archive (CIFAR), or four gzipped files (MNIST)."""
    if entry.archives is not None:
        return [File(url, root / entry.folder / url.rpartition("/")[2], md5) for url, md5 in entry.archives(cls)]
    if hasattr(cls, "resources"):
        raw = root / cls.__name__ / "raw"
        return [File(f"{cls.mirrors[0]}{name}", raw / name, md5) for name, md5 in cls.resources]
    return [File(cls.url, root / cls.filename, cls.tgz_md5)]


def _fetch(files: Sequence[File], entry: TorchDataset, report: Progress) -> None:
    """Download every archive that is absent or damaged, and unpack MNIST's and those of pictures.

    Torchvision unpacks in place and would accept a half-unpacked file.
    """
    for i, (url, path, md5) in enumerate(files):
        report_file = part(report, i / len(files), (i + 1) / len(files))
        if checksum_of(path, "md5") != md5:
            fetch(url, path, checksum=md5, algorithm="md5", progress=part(report_file, 0.0, FETCH_SHARE))
        if entry.archives is not None and path.suffix in (".tgz", ".gz", ".zip"):
            _unpack(path, part(report_file, FETCH_SHARE, 1.0))
        elif path.suffixes == [".gz"]:
            write_atomically(path.with_suffix(""), gzip.decompress(path.read_bytes()))
        report_file(1.0, f"{path.name} is there")


def _unpack(path: Path, report: Progress) -> None:
    """Unpack an archive beside it, completely or not at all; folders that already exist stay as they are."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as temporary:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
                for i, info in enumerate(members):
                    report(i / len(members), f"unpacking {path.name}")
                    archive.extract(info, temporary)
        else:
            size = path.stat().st_size
            with path.open("rb") as file, tarfile.open(fileobj=file) as tar:
                for member in tar:
                    report(min(1.0, file.tell() / size), f"unpacking {path.name}")
                    tar.extract(member, temporary, filter="data")
        for unpacked in Path(temporary).iterdir():
            if not (target := path.parent / unpacked.name).exists():
                unpacked.rename(target)
    report(1.0, f"unpacked {path.name}")


def _open(entry: TorchDataset, cls: Any, root: Path, *, download: bool = False) -> list[Any]:
    return [cls(str(root), **options, download=download) for options in entry.splits]


def _pictures(dataset: Any, size: int) -> Pictures:
    """Return the images and labels of a data set of torchvision, from its arrays or its list of files."""
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
