"""Load data sets by name."""

import logging
from collections.abc import Sequence
from pathlib import Path

from workbench.catalog.datasets.digits import digits
from workbench.catalog.datasets.table import TORCH_DATASETS
from workbench.catalog.datasets.torchvision import load_torch_dataset
from workbench.network.data import Data
from workbench.network.images.load import load_images
from workbench.progress import Progress

log = logging.getLogger(__name__)

BUNDLED = {"digits": digits}


def bundled_data_names() -> list[str]:
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
    name : "digits"; "cifar10", "cifar100", "mnist", "fashion_mnist", "imagenette" (with ImageNet's class indices),
        "flowers102", "oxford_iiit_pet", "food101" or "eurosat" in torchvision's folder `root`; or "images" for a
        picture, or a folder or ZIP file of images, which become the `test` split. A table ``labels.csv`` in it has the
        labels; else each folder in it is a class. Folders "train", "val" (or "valid", "validation") and "test" are the
        splits. Images without labels become the `train` split; with a share for validation, half of them each.
    labels : for "images", a table in the folder: a CSV file with the columns ``file`` (relative, inside the folder) and
        ``class_index``, separated by commas, semicolons or tabs.
    size : for photographs, pixels of the shorter side; for networks of the catalog ``network.preprocessing.shorter``.
    classes : the network's class names. Folders are then called by the name or number of a class, and some may be
        absent. Without, folders are counted in alphabetical order, or by number if all are numbers.
    train, validation : shares of every class, 0 to 1, that become these splits.
    download : whether to download a data set of torchvision's that is not in `root`. The first progress note says its
        size in bytes and its licence; so does the error if it is absent.
    progress : called while files are read or downloaded; raising `Cancelled` ends that.

    Returns
    -------
    Data whose `skipped` has a sentence for each file that is absent, damaged or no image, and whose `cautions` warn of
    too few images; both are logged.

    Raises
    ------
    KeyError : with the names of all, if there is no such data set.
    ValueError : if the folder or its labels cannot be used, or no sound image has a label.
    """
    if name in BUNDLED:
        return BUNDLED[name]()
    if name != "images" and name not in TORCH_DATASETS:
        names = [*bundled_data_names(), "images", *TORCH_DATASETS]
        raise KeyError(f"no data set is called {name!r}; there are: {', '.join(names)}")
    if root is None:
        raise ValueError(f"say in which folder it is: load_data({name!r}, root='folder')")
    if name in TORCH_DATASETS:
        return load_torch_dataset(name, root, size=size, download=download, progress=progress)
    data = load_images(root, labels, size=size, classes=classes, train=train, validation=validation, progress=progress)
    if data.skipped:
        log.warning("%d images were left out: %s", len(data.skipped), "; ".join(data.skipped[:5]))
    for caution in data.cautions:
        log.warning("%s: %s", data.name, caution)
    return data
