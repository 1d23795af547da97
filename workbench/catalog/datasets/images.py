"""Load folders of images: labelled by a table, by folders, or ImageNet's validation images."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from workbench.catalog.datasets.decoding import decode, quiet
from workbench.catalog.datasets.labels import read_labels
from workbench.network.data import Data, Split
from workbench.progress import Progress, reporter

MAX_MEMORY_BYTES = 2**30  # bytes of decoded images that are held; larger sets are decoded batch by batch

SEED = 20160226


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
    progress: Progress | bool | None = None,
) -> Data:
    """Load the images of a folder, see :func:`~workbench.catalog.datasets.load.load_data`."""
    folder = Path(root)
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    if not (0 <= train < 1 and 0 <= validation < 1 and train + validation < 1):
        raise ValueError(f"the shares train={train} and validation={validation} must leave something to test on")
    labelled, classes, skipped = read_labels(folder, labels, classes)
    if not labelled and not skipped:
        raise ValueError(f"there are no labelled images in {folder}")
    names = list(labelled)
    decoded = _decode(folder, names, size, reporter(progress))
    sound = [i for i, image in enumerate(decoded) if isinstance(image, Tensor)]
    skipped = (*skipped, *(image for image in decoded if isinstance(image, str)))
    if not sound:
        raise ValueError(f"none of the {len(names) or len(skipped)} images in {folder} is sound: {skipped[0]}")
    targets = torch.tensor([labelled[names[i]] for i in sound])
    kept = torch.stack([image for image in decoded if isinstance(image, Tensor)])
    paths = [folder / names[i] for i in sound]

    def split(name: str, index: Tensor) -> Split:
        images = kept[index] if kept.numel() else ImageFiles([paths[i] for i in index.tolist()], size)
        if not len(index):
            images = torch.empty(0, 3, size, size, dtype=torch.uint8)
        return Split(images, targets[index], name)

    ends = np.cumsum([round(share * len(sound)) for share in (train, validation)])
    parts = zip(("train", "validation", "test"), deal(targets, ends), strict=True)
    made = {name: split(name, index) for name, index in parts}
    return Data(**made, name=folder.name, classes=tuple(classes), skipped=skipped)


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


def deal(labels: Tensor, ends: Sequence[int] | np.ndarray, *, jitter: bool = True) -> list[Tensor]:
    """Return the ascending indices of each part up to `ends`: every class is shuffled and dealt out in proportion."""
    generator = np.random.default_rng(SEED)
    order = generator.permutation(len(labels))
    position = np.empty(len(labels))
    for label in labels.unique().tolist():
        members = order[labels.numpy()[order] == label]
        offset = generator.random() if jitter else 0.5  # else classes of a single image fall into the same part
        position[members] = (np.arange(len(members)) + offset) / len(members)
    return [torch.from_numpy(np.sort(piece)) for piece in np.split(np.argsort(position, kind="stable"), ends)]
