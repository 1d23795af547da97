"""Data sets that the dashboard offers: the bundled ones, the user's folders of images, and torchvision's."""

import os
import zipfile
from itertools import islice
from pathlib import Path
from typing import Any

from workbench.catalog.datasets.load import bundled_data_names, load_data
from workbench.catalog.datasets.table import TORCH_DATASETS
from workbench.catalog.networks.load import data_folder
from workbench.network.data import Data
from workbench.network.images.decoding import SUFFIXES
from workbench.network.images.folders import split_folders
from workbench.network.images.labels import OWN_TABLE, is_hidden
from workbench.network.inputs import TRAIN_SHARE, VALIDATION_SHARE

MAX_CHECKED_FILES = 1000
"""Files in the subfolders of a folder that are checked for a picture, without which it is not offered."""


def datasets_folder() -> Path:
    """Return the folder of the user's images: ``data/datasets`` beside the package, or ``$WORKBENCH_DATASETS``."""
    return Path(os.environ.get("WORKBENCH_DATASETS", data_folder() / "datasets"))


def offered_names() -> dict[str, str]:
    """Return the offered data sets: their names and, in words, their origins."""
    origins = dict.fromkeys(bundled_data_names(), "bundled")
    folder = datasets_folder()
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    reserved = {*origins, *(name for dataset in TORCH_DATASETS.values() for name in (dataset.folder, dataset.unpacked))}
    origins |= {entry.name: "your images" for entry in entries if entry.name not in reserved and _holds_images(entry)}
    sizes = {name: round(dataset.download_bytes / 1e6) for name, dataset in TORCH_DATASETS.items()}
    return origins | {name: f"torchvision's, {size:,} MB" for name, size in sizes.items()}


def load_offered(name: str, **options: Any) -> Data:
    """Load one of :func:`offered_names`; torchvision's are downloaded if they are absent.

    A folder of images is split into 40 % training, 10 % validation and 50 % test images; without labels, into halves
    for training and validation. Options are `classes`, `size` and `progress` of `load_data`. KeyError if there is no
    such data set, ValueError if it cannot be read or downloaded.
    """
    if name in bundled_data_names():
        return load_data(name)
    if name not in offered_names():
        raise KeyError(f"there are no data called {name!r} in {datasets_folder()}")
    if name in TORCH_DATASETS:
        return load_data(name, root=datasets_folder(), download=True, **options)
    return load_folder(datasets_folder() / name, **options)


def load_folder(folder: Path, **options: Any) -> Data:
    """Load a folder or ZIP file of the user's images, and split it as :func:`load_offered` does."""
    return load_data("images", root=folder, train=TRAIN_SHARE, validation=VALIDATION_SHARE, **options)


def _holds_images(entry: Path) -> bool:
    """Return whether a path is a ZIP file, or a folder with a table of labels or with subfolders of images."""
    try:
        if not entry.is_dir() or is_hidden(entry.name):
            return entry.suffix.lower() == ".zip" and zipfile.is_zipfile(entry)
        has_pictures = any(file.suffix.lower() in SUFFIXES for file in islice(entry.glob("*/*"), MAX_CHECKED_FILES))
        return has_pictures or (entry / OWN_TABLE).is_file() or bool(split_folders(entry))
    except OSError:  # a folder without permission to read
        return False
