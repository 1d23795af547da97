"""Load data sets by name: the bundled ones, torchvision's, and folders of images."""

import logging
import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from workbench.catalog.datasets.decoding import SUFFIXES
from workbench.catalog.datasets.digits import digits
from workbench.catalog.datasets.images import load_images
from workbench.catalog.datasets.labels import OWN_TABLE, VALIDATION_TABLE
from workbench.catalog.datasets.torchvision import TORCH_DATASETS, load_torch_dataset
from workbench.catalog.networks.load import data_folder
from workbench.network.data import Data
from workbench.progress import Progress

log = logging.getLogger(__name__)

BUNDLED = {"digits": digits}
TRAIN_SHARE, VALIDATION_SHARE = 0.4, 0.1  # shares of a folder of the user's images; the others are test images


def data_names() -> list[str]:
    """Return the names of the bundled data sets, which need no folder."""
    return sorted(BUNDLED)


def load_data(
    name: str,
    *,
    root: str | Path | None = None,
    labels: str | Path | None = None,
    size: int = 256,
    classes: Sequence[str] = (),
    train: float = 0.0,
    validation: float = 0.0,
    download: bool = False,
    progress: Progress | bool | None = None,
) -> Data:
    """Load a data set with its `train`, `validation` and `test` splits.

    Parameters
    ----------
    name : "digits"; "cifar10", "cifar100", "mnist" or "fashion_mnist" in torchvision's folder `root`; or "images" for
        a folder of images, which become the `test` split. Each folder in it is a class; without such folders, a
        table of labels is used.
    labels : for "images", a table in the folder: a CSV file with the columns ``file`` (relative, never out of the
        folder) and ``class_index``, or Caffe's ``val.txt`` of ImageNet's flat validation folder.
    size : for "images", pixels of the shorter side; for networks of the catalog ``network.preprocessing.shorter``.
    classes : the network's class names. Folders may then be some of the classes only, called by name, number or
        WordNet id. Without, folders are counted in alphabetical order, or by number if all are numbers.
    train, validation : shares of every class, 0 to 1, that become these splits.
    download : whether to download a data set of torchvision's into `root` if it is not there.
    progress : called while files are read or downloaded; raising `Cancelled` ends that.

    Returns
    -------
    Data whose `skipped` has a sentence for each image that is absent or not sound.

    Raises
    ------
    KeyError : if there is no such data set, with the names there are.
    ValueError : if the folder or its labels cannot be used, or no sound image has a label.
    """
    if name in BUNDLED:
        return BUNDLED[name]()
    if name != "images" and name not in TORCH_DATASETS:
        known = [*data_names(), "images", *TORCH_DATASETS]
        raise KeyError(f"no data set is called {name!r}; there are: {', '.join(known)}")
    if root is None:
        raise ValueError(f"say in which folder it is: load_data({name!r}, root='folder')")
    if name in TORCH_DATASETS:
        return load_torch_dataset(name, root, download=download, progress=progress)
    data = load_images(root, labels, size=size, classes=classes, train=train, validation=validation, progress=progress)
    if data.skipped:
        log.warning("%d images were left out: %s", len(data.skipped), "; ".join(data.skipped[:5]))
    return data


def datasets_folder() -> Path:
    """Return the folder of the user's images: ``data/datasets`` beside the package, or ``$WORKBENCH_DATASETS``."""
    return Path(os.environ.get("WORKBENCH_DATASETS", data_folder() / "datasets"))


def local_names() -> dict[str, str]:
    """Return the names of the data sets of this machine, each with its origin in words."""
    found = dict.fromkeys(data_names(), "bundled")
    folder = datasets_folder()
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    found |= {entry.name: "your images" for entry in entries if entry.name not in found and _holds_images(entry)}
    return found | dict.fromkeys(TORCH_DATASETS, "torchvision's")


def load_local(
    name: str, *, classes: Sequence[str] = (), size: int = 256, progress: Progress | bool | None = None
) -> Data:
    """Load one of :func:`local_names`, torchvision's after a download; `classes` and `size` are the network's."""
    if name not in local_names():
        raise KeyError(f"there are no data called {name!r} in {datasets_folder()}")
    if name in BUNDLED or name in TORCH_DATASETS:
        return load_data(name, root=datasets_folder(), download=True, progress=progress)
    folder = datasets_folder() / name
    return load_data(
        "images",
        root=folder,
        labels=OWN_TABLE if (folder / OWN_TABLE).is_file() else None,
        size=size,
        classes=classes,
        train=TRAIN_SHARE,
        validation=VALIDATION_SHARE,
        progress=progress,
    )


def _holds_images(folder: Path) -> bool:
    """Return whether a folder has a table of labels, or folders with images."""

    def is_class(inner: Path) -> bool:
        return inner.is_dir() and any(file.suffix.lower() in SUFFIXES for file in islice(inner.iterdir(), 100))

    try:
        if not folder.is_dir() or folder.name.startswith("."):
            return False
        tables = any((folder / table).is_file() for table in (OWN_TABLE, VALIDATION_TABLE))
        return tables or any(map(is_class, islice(folder.iterdir(), 100)))
    except OSError:  # a folder without permission to read
        return False
