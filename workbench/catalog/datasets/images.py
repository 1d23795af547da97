"""Load folders of images: labelled by a table, by folders, or ImageNet's validation images."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from workbench.catalog.datasets.archives import unpack
from workbench.catalog.datasets.decoding import decode, quiet
from workbench.catalog.datasets.labels import read_labels
from workbench.network.data import UNLABELLED, Data, Split
from workbench.progress import Progress, part, reporter

MAX_MEMORY_BYTES = 2**30
"""Bytes of decoded images that are held; larger sets are decoded batch by batch."""

SEED = 20160226
SPLITS = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}
"""Split -> names of its folder."""


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Images on disk that behave like a uint8 tensor (n, 3, size, size): shorter side `size`, centre cropped."""

    paths: Sequence[Path]
    size: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, 3, size, size)."""
        return (len(self.paths), 3, self.size, self.size)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Tensor) -> Tensor:
        with quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
            return torch.stack(list(pool.map(lambda i: decode(self.paths[i], self.size), index.tolist())))


def load_images(
    root: str | Path,
    labels: str | Path | None = None,
    *,
    size: int = 256,
    classes: Sequence[str] = (),
    train: float = 0.0,
    validation: float = 0.0,
    seed: int = SEED,
    progress: Progress | bool | None = None,
) -> Data:
    """Load the images of a folder as the `test` split, less the shares for `train` and `validation`.

    Parameters are :func:`~workbench.catalog.datasets.load.load_data`'s. `seed` draws the shares of every class.
    """
    folder = Path(root)
    left_out: tuple[str, ...] = ()
    name = folder.stem
    if folder.is_file() and folder.suffix.lower() == ".zip":
        folder, left_out = unpack(folder)
    if not folder.is_dir():
        raise ValueError(f"there is no folder or ZIP file {folder}")
    if not (0 <= train < 1 and 0 <= validation < 1 and train + validation < 1):
        raise ValueError(f"the shares train={train} and validation={validation} must leave something to test on")
    splits = {name: path for name, path in _split_folders(folder).items() if labels is None}
    if splits:
        return _of_split_folders(splits, name, size, classes, left_out, reporter(progress))
    found = read_labels(folder, labels, classes)
    if not found.labels and not found.skipped:
        raise ValueError(f"there are no images in {folder}")
    names = list(found.labels)
    decoded = _decode(folder, names, size, reporter(progress))
    sound = [i for i, image in enumerate(decoded) if isinstance(image, Tensor)]
    skipped = (*left_out, *found.skipped, *(image for image in decoded if isinstance(image, str)))
    if not sound:
        raise ValueError(f"none of the {len(names) or len(skipped)} images in {folder} is sound: {skipped[0]}")
    targets = torch.tensor([found.labels[names[i]] for i in sound])
    kept = torch.stack([image for image in decoded if isinstance(image, Tensor)])
    paths = [folder / names[i] for i in sound]

    def split(name: str, index: Tensor) -> Split:
        images = kept[index] if kept.numel() else ImageFiles([paths[i] for i in index.tolist()], size)
        if not len(index):
            images = torch.empty(0, 3, size, size, dtype=torch.uint8)
        return Split(images, targets[index], name)

    if not (train or validation or (targets != UNLABELLED).any()):
        train = 1.0  # images without labels are no test
    parts = _shares(targets, train, validation, seed)
    made = {name: split(name, index) for name, index in parts.items()}
    return Data(**made, name=name, classes=found.classes, skipped=skipped)


def _split_folders(folder: Path) -> dict[str, Path]:
    """Return the folders "train", "val" and "test", and others of these names, that hold folders of classes."""
    found = {}
    for name, known in SPLITS.items():
        paths = [folder / other for other in known if (folder / other).is_dir()]
        if paths and any(entry.is_dir() for entry in paths[0].iterdir()):
            found[name] = paths[0]
    return found if "train" in found and len(found) > 1 else {}


def _of_split_folders(
    folders: Mapping[str, Path],
    name: str,
    size: int,
    classes: Sequence[str],
    left_out: tuple[str, ...],
    report: Progress,
) -> Data:
    """Return the data of a folder for each split; all have the classes of the training images."""
    read: dict[str, Data] = {}
    for i, (split, folder) in enumerate(folders.items()):
        share = part(report, i / len(folders), (i + 1) / len(folders))
        read[split] = load_images(folder, size=size, classes=classes, progress=share)
        classes = classes or read[split].classes
    empty = Split(torch.empty(0, 3, size, size, dtype=torch.uint8), torch.empty(0, dtype=torch.long))
    made = {
        each: Split(read[each].test.images, read[each].test.labels, each) if each in read else empty for each in SPLITS
    }
    skipped = (*left_out, *(sentence for data in read.values() for sentence in data.skipped))
    return Data(**made, name=name, classes=tuple(classes), skipped=skipped)


def _decode(folder: Path, names: Sequence[str], size: int, report: Progress) -> list[Tensor | str]:
    """Return each image (an empty tensor if all together are too large), or a sentence if it is not sound."""
    keep = len(names) * 3 * size * size <= MAX_MEMORY_BYTES

    def check(name: str) -> Tensor | str:
        try:
            image = decode(folder / name, size, name)
        except ValueError as error:
            return str(error)
        return image if keep else torch.empty(0)

    results = []
    with quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for i, result in enumerate(pool.map(check, names)):
                results.append(result)
                report((i + 1) / len(names), names[i])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results


def _shares(labels: Tensor, train: float, validation: float, seed: int) -> dict[str, Tensor]:
    """Return the indices of each split, ascending: every class is shuffled and dealt out in proportion."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels))
    position = np.empty(len(labels))
    for label in labels.unique().tolist():
        members = order[labels.numpy()[order] == label]
        # A random offset, so that classes of a single image do not all fall into the same split.
        position[members] = (np.arange(len(members)) + generator.random()) / len(members)
    dealt = np.argsort(position, kind="stable")
    ends = np.cumsum([round(share * len(labels)) for share in (train, validation)])
    pieces = zip(("train", "validation", "test"), np.split(dealt, ends), strict=True)
    return {name: torch.from_numpy(np.sort(piece)) for name, piece in pieces}
