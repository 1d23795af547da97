"""Load folders of images as splits: those of the folder's own, or drawn in shares of every class."""

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
        one = read_path(root, size, ())
        validation_split, test = (
            empty_split(split, 3, size, size, dtype=torch.uint8) for split in ("validation", "test")
        )
        return Data(Split(one.images, one.labels, "train"), validation_split, test, name=name)
    folder, left_out = open_folder(root)
    if not (0 <= train < 1 and 0 <= validation < 1 and train + validation < 1):
        raise ValueError(f"the shares train={train} and validation={validation} must leave something to test on")
    splits = split_folders(folder) if labels is None else {}
    if splits:
        entries = [e.name for e in sorted(folder.iterdir()) if e not in splits.values() and not is_hidden(e.name)]
        skipped = [*left_out, *(f"{entry} is in none of the splits" for entry in entries if entry != OWN_TABLE)]
        made = {split: empty_split(split, 3, size, size, dtype=torch.uint8) for split in SPLITS}
        for i, (split, inner) in enumerate(splits.items()):
            share = part(report, i / len(splits), (i + 1) / len(splits))
            found = read_pictures(inner, None, size, classes, share)
            classes = classes or found.classes  # all have the classes of the first, the training images
            made[split] = Split(found.images, found.labels, split)
            skipped += [f"{inner.name}/{sentence}" for sentence in found.skipped]
        return Data(**made, name=name, classes=tuple(classes), skipped=tuple(skipped))
    found = read_pictures(folder, labels, size, classes, report, where=root)
    if not (found.labels != UNLABELLED).any():  # no test by labels: the other half is to judge by
        train, validation = (0.5, 0.5) if validation else (train or 1.0, 0.0)
    parts = shares(found.labels, train, validation)
    made = {split: Split(found.of(index), found.labels[index], split) for split, index in parts.items()}
    return Data(**made, name=name, classes=found.classes, skipped=(*left_out, *found.skipped))


def shares(labels: Tensor, train: float, validation: float, *, offset: float | None = None) -> dict[str, Tensor]:
    """Return the indices of each split, ascending: every class is shuffled and dealt out in proportion.

    The images of a class are spread evenly over the order in which the splits are cut, from an offset of 0 to 1 on.
    None for a random offset, so that classes of a single image do not all fall into the same split.
    """
    generator = np.random.default_rng(SEED)
    order = generator.permutation(len(labels))
    position = np.empty(len(labels))
    for label in labels.unique().tolist():
        members = order[labels.numpy()[order] == label]
        begin = generator.random() if offset is None else offset
        position[members] = (np.arange(len(members)) + begin) / len(members)
    dealt = np.argsort(position, kind="stable")
    ends = np.cumsum([round(share * len(labels)) for share in (train, validation)])
    pieces = zip(("train", "validation", "test"), np.split(dealt, ends), strict=True)
    return {name: torch.from_numpy(np.sort(piece)) for name, piece in pieces}
