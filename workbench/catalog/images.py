"""Folders of images: with a table of labels, or with one folder a class."""

import csv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from workbench.compression.data import Data, Split

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
IN_MEMORY = 2**30
"""Bytes of decoded images that are kept; larger sets are decoded again batch by batch."""


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Images on disk that behave like one uint8 tensor (n, 3, size, size): shorter side `size`, centre cropped."""

    paths: Sequence[Path]
    size: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, 3, size, size)."""
        return (len(self.paths), 3, self.size, self.size)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Tensor) -> Tensor:
        with ThreadPoolExecutor() as pool:
            return torch.stack(list(pool.map(lambda i: decode(self.paths[i], self.size), index.tolist())))


def decode(path: Path, size: int) -> Tensor:
    """(3, size, size) uint8: shorter side `size`, centre cropped, RGB.

    Raises
    ------
    ValueError : naming the file, if it is no sound image.
    """
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path.name} is no sound image: {error}") from None
    width, height = image.size
    scale = size / min(width, height)
    if scale != 1:
        image = image.resize(
            (max(size, round(width * scale)), max(size, round(height * scale))), Image.Resampling.BILINEAR
        )
    left, top = (image.width - size) // 2, (image.height - size) // 2
    pixels = np.asarray(image.crop((left, top, left + size, top + size)))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)


def load_images(root: str | Path, labels: str | Path | None = None, *, size: int = 256) -> tuple[Data, list[str]]:
    """All images of a folder as the `test` split, and a sentence for each one that had to be left out.

    Parameters
    ----------
    root : the folder. Without `labels`, every folder in it is a class, in alphabetical order.
    labels : a CSV file in it with the columns ``file`` and ``class_index``.
    size : pixels of the shorter side; networks take the centre of it.

    Raises
    ------
    ValueError : if there is no folder, no table, or no sound image with a label.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    pairs, classes = _from_table(folder, folder / labels) if labels else _from_folders(folder)
    if not pairs:
        raise ValueError(f"there are no labelled images in {folder}")

    def check(pair: tuple[Path, int]) -> Tensor | str:
        try:
            decoded = decode(pair[0], size)
            return decoded if len(pairs) * decoded.numel() <= IN_MEMORY else torch.empty(0)
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor() as pool:
        found = list(pool.map(check, pairs))
    skipped = [f for f in found if isinstance(f, str)]
    sound = [(pair, f) for pair, f in zip(pairs, found, strict=True) if isinstance(f, Tensor)]
    if not sound:
        raise ValueError(f"none of the {len(pairs)} images in {folder} is sound: {skipped[0]}")
    targets = torch.tensor([label for (_, label), _ in sound])
    decoded = [f for _, f in sound]
    images = torch.stack(decoded) if decoded[0].numel() else ImageFiles([path for (path, _), _ in sound], size)
    empty = Split(torch.empty(0, 3, size, size, dtype=torch.uint8), torch.empty(0, dtype=torch.long), "train")
    none = Split(empty.images, empty.labels, "validation")
    return Data(empty, none, Split(images, targets, "test"), folder.name, classes), skipped


def _from_table(folder: Path, table: Path) -> tuple[list[tuple[Path, int]], tuple[str, ...]]:
    try:
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        pairs = [(folder / Path(row["file"]).name, int(row["class_index"])) for row in rows]
    except FileNotFoundError:
        raise ValueError(f"there is no table of labels {table}") from None
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise ValueError(f"{table.name} needs the columns file and class_index (a whole number): {error}") from None
    return pairs, ()


def _from_folders(folder: Path) -> tuple[list[tuple[Path, int]], tuple[str, ...]]:
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    pairs = [
        (path, index)
        for index, name in enumerate(classes)
        for path in sorted((folder / name).iterdir())
        if path.suffix.lower() in SUFFIXES
    ]
    return pairs, tuple(classes)
