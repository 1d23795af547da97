"""Load a folder of images as splits: from its folders, or drawn in shares of every class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from workbench.network.data import UNLABELLED, Data, Split, empty_split
from workbench.network.images.folders import (
    DEFAULT_SIZE,
    SPLITS,
    is_picture,
    open_folder,
    read_path,
    read_pictures,
    split_folders,
)
from workbench.network.images.labels import OWN_TABLE, is_hidden
from workbench.progress import Progress, part, reporter

SEED = 20160226


def load_images(
    root: str | Path,
    labels: str | Path | None = None,
    *,
    size: int = DEFAULT_SIZE,
    classes: Sequence[str] = (),
    train: float = 0.0,
    validation: float = 0.0,
    progress: Progress | bool | None = None,
) -> Data:
    """Load the images of a folder as the `test` split, less the shares for `train` and `validation`.

    Parameters are :func:`~workbench.catalog.datasets.load.load_data`'s.
    """
    name, report = Path(root).stem, reporter(progress)
    if is_picture(root):
        pictures = read_path(root, size, ())
        validation_split, test = (
            empty_split(split, 3, size, size, dtype=torch.uint8) for split in ("validation", "test")
        )
        return Data(Split(pictures.images, pictures.labels, "train"), validation_split, test, name=name)
    folder, left_out = open_folder(root)
    if not (0 <= train < 1 and 0 <= validation < 1 and train + validation < 1):
        raise ValueError(f"the shares train={train} and validation={validation} must leave something to test on")
    folders = split_folders(folder) if labels is None else {}
    if folders:
        others = [e.name for e in sorted(folder.iterdir()) if e not in folders.values() and not is_hidden(e.name)]
        skipped = [*left_out, *(f"{entry} is in none of the splits" for entry in others if entry != OWN_TABLE)]
        splits = {split: empty_split(split, 3, size, size, dtype=torch.uint8) for split in SPLITS}
        for i, (split, split_folder) in enumerate(folders.items()):
            report_split = part(report, i / len(folders), (i + 1) / len(folders))
            pictures = read_pictures(split_folder, None, size, classes, report_split)
            classes = classes or pictures.classes  # all splits have the classes of the training images
            splits[split] = Split(pictures.images, pictures.labels, split)
            skipped += [f"{split_folder.name}/{sentence}" for sentence in pictures.skipped]
        return Data(**splits, name=name, classes=tuple(classes), skipped=tuple(skipped))
    pictures = read_pictures(folder, labels, size, classes, report, source=root)
    if not (pictures.labels != UNLABELLED).any():  # without labels, networks are compared on validation images
        train, validation = (0.5, 0.5) if validation else (train or 1.0, 0.0)
    indices = shares(pictures.labels, train, validation)
    splits = {split: Split(pictures.of(index), pictures.labels[index], split) for split, index in indices.items()}
    return Data(**splits, name=name, classes=pictures.classes, skipped=(*left_out, *pictures.skipped))


def shares(labels: Tensor, train: float, validation: float, *, offset: float | None = None) -> dict[str, Tensor]:
    """Return the indices of each split, ascending: every class is shuffled and divided in proportion.

    The images of a class are spread evenly over the order in which the splits are cut. `offset`, 0 to 1, shifts them;
    None for a random offset of each class, so that classes of one image do not all fall into the same split.
    """
    generator = np.random.default_rng(SEED)
    order = generator.permutation(len(labels))
    position = np.empty(len(labels))
    for label in labels.unique().tolist():
        members = order[labels.numpy()[order] == label]
        shift = generator.random() if offset is None else offset
        position[members] = (np.arange(len(members)) + shift) / len(members)
    spread = np.argsort(position, kind="stable")
    ends = np.cumsum([round(share * len(labels)) for share in (train, validation)])
    splits = zip(("train", "validation", "test"), np.split(spread, ends), strict=True)
    return {name: torch.from_numpy(np.sort(indices)) for name, indices in splits}
