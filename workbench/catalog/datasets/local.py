"""Data sets that are on this machine: those bundled, and what somebody put into one folder. Nobody types a path."""

import os
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from workbench.catalog.datasets.decoding import SUFFIXES
from workbench.catalog.datasets.imagenet import TABLES
from workbench.catalog.datasets.load import data_names, load_data
from workbench.catalog.datasets.torchvision import TORCH_DATASETS
from workbench.catalog.networks.load import data_folder
from workbench.network.data import Data

TABLE = "labels.csv"
TRAIN, VALIDATION = 0.4, 0.1
"""Shares of a folder of images to recover with and to choose by; the rest is for the score."""


def datasets_folder() -> Path:
    """Where one puts folders of images: ``data/datasets`` beside the package, or ``$WORKBENCH_DATASETS``."""
    return Path(os.environ.get("WORKBENCH_DATASETS", data_folder() / "datasets"))


def local_names() -> dict[str, str]:
    """Data sets to choose from -> where each comes from, in words."""
    found = dict.fromkeys(data_names(), "bundled")
    folder = datasets_folder()
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    found |= {entry.name: "your images" for entry in entries if entry.name not in found and _holds_images(entry)}
    return found | dict.fromkeys(TORCH_DATASETS, "torchvision's")


def load_local(
    name: str,
    *,
    classes: Sequence[str] = (),
    size: int = 256,
    progress: Callable[[float, str], None] | None = None,
) -> Data:
    """One of :func:`local_names`; torchvision's are downloaded into the folder if they are not there yet.

    Of a folder of images two in five are for training and calibration, one in ten to choose by, the others to test on.

    Parameters
    ----------
    classes, size : the network's, if folders of images are to be called like them, and how large it wants them
        (`image_size`); see :func:`~workbench.catalog.datasets.images.load_images`.
    progress : called with (share done, what) while files are read or downloaded; what it raises ends that.

    Raises
    ------
    KeyError : if it is none of them.
    ValueError : if it cannot be read or downloaded.
    """
    if name in data_names():
        return load_data(name)
    if name not in local_names():
        raise KeyError(f"there are no data called {name!r} in {datasets_folder()}")
    if name in TORCH_DATASETS:
        return load_data(name, root=datasets_folder(), download=True, progress=progress)
    folder = datasets_folder() / name
    table = TABLE if (folder / TABLE).is_file() else None
    return load_data(
        "images",
        root=folder,
        labels=table,
        size=size,
        classes=classes,
        train=TRAIN,
        validation=VALIDATION,
        progress=progress,
    )


def _holds_images(entry: Path) -> bool:
    """Whether it is a folder with a table of labels, or with folders of images."""
    try:
        if not entry.is_dir() or entry.name.startswith("."):
            return False
        if any((entry / table).is_file() for table in (TABLE, *TABLES)):
            return True
        return any(_is_class(inner) for inner in islice(entry.iterdir(), 100))
    except OSError:  # a folder that we may not read is none to choose from
        return False


def _is_class(folder: Path) -> bool:
    return folder.is_dir() and any(file.suffix.lower() in SUFFIXES for file in islice(folder.iterdir(), 100))
