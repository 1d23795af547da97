"""Read the pictures of a file, folder or ZIP file, with labels from folders or a table."""

import atexit
import logging
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from workbench.network.images.decoding import SUFFIXES, decode, quiet
from workbench.network.images.labels import (
    OWN_TABLE,
    UNLABELLED,
    FileLabels,
    LabelsError,
    has_own_table,
    is_hidden,
    picture_folders,
    pictures_in,
    read_labels,
    stays_inside,
)
from workbench.progress import Progress

log = logging.getLogger(__name__)

MAX_MEMORY_BYTES = 2**30
"""Largest number of bytes of decoded images in memory; larger sets are decoded batch by batch."""

MAX_UNPACKED_BYTES = 2 * 2**30
"""Largest number of bytes that an archive may unpack to: a small file may claim any number."""

MAX_ENTRIES = 500_000
"""Largest number of files in an archive."""

DEFAULT_SIZE = 256
"""Pixels of the shorter side where no network decides."""

SPLITS = {"train": ("train", "training"), "validation": ("val", "valid", "validation"), "test": ("test", "testing")}
"""Split -> names of its folder, in lower case."""


@dataclass(frozen=True, eq=False)
class LazyImages:
    """Images that are indexed like a tensor (n, ...) and read by `read`, a function of indices, when they are used."""

    read: Callable[[Tensor], Tensor]
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        indices = torch.arange(len(self))[index]
        if not len(indices):
            return self.read(torch.arange(len(self))[:1])[:0] if len(self) else torch.empty(0, *self.shape[1:])
        return self.read(indices)


def image_files(paths: Sequence[Path], size: int) -> LazyImages:
    """Return images on disk as uint8 (n, 3, size, size): shorter side `size`, centre cropped."""
    return LazyImages(partial(_read_files, paths, size), (len(paths), 3, size, size))


def _read_files(paths: Sequence[Path], size: int, index: Tensor) -> Tensor:
    with quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
        return torch.stack(list(pool.map(lambda i: decode(paths[i], size), index.tolist())))


def selected(images: Any, indices: Tensor) -> LazyImages:
    """Return the images of another object at these indices, read when they are used."""
    return LazyImages(partial(_read_selected, images, indices), (len(indices), *images.shape[1:]))


def _read_selected(images: Any, indices: Tensor, index: Tensor) -> Tensor:
    selection: Tensor = images[indices[index]]
    return selection


def joined(first: Any, second: Any) -> LazyImages:
    """Return the images of two objects, one after the other, read when they are used."""
    return LazyImages(partial(_read_joined, first, second), (len(first) + len(second), *first.shape[1:]))


def _read_joined(first: Any, second: Any, index: Tensor) -> Tensor:
    is_first = index < len(first)
    parts = ((first, index[is_first]), (second, index[~is_first] - len(first)))
    images = [part[indices] for part, indices in parts if len(indices)]
    order = torch.cat([is_first.nonzero(), (~is_first).nonzero()]).flatten()
    return torch.cat([each.to(images[0].device) for each in images])[order.argsort()]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Decoded images, their labels (n,), class names if known, and a sentence for each file that was left out."""

    images: Tensor | LazyImages
    labels: Tensor
    classes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def of(self, index: Tensor) -> Tensor | LazyImages:
        """Return the images with these indices; images on disk are not read yet."""
        return self.images[index] if isinstance(self.images, Tensor) else selected(self.images, index)


def open_folder(root: str | Path) -> tuple[Path, tuple[str, ...]]:
    """Return a folder, or the folder of an unpacked ZIP file, and a sentence for each file of it that was left out.

    If the folder only contains another folder, and that has folders or a table of labels, the inner one is returned.

    Raises
    ------
    ValueError : if the path does not exist, or the ZIP file is invalid.
    """
    folder = Path(root).expanduser()
    left_out: tuple[str, ...] = ()
    if folder.is_file():
        if folder.suffix.lower() != ".zip" and not zipfile.is_zipfile(folder):
            raise ValueError(f"{folder.name} is no folder, ZIP file or picture: unpack it, or pack it as a ZIP file")
        status = folder.stat()
        folder, left_out = _unpack(folder, status.st_mtime_ns, status.st_size)
    if not folder.is_dir():
        raise ValueError(f"there is no folder, ZIP file or picture {folder}")
    while len(entries := [e for e in folder.iterdir() if not is_hidden(e.name)]) == 1 and _is_root(entries[0]):
        folder = entries[0]
    return folder, left_out


def _is_root(entry: Path) -> bool:
    split_names = {name for names in SPLITS.values() for name in names}
    if not entry.is_dir() or entry.name.lower() in split_names:
        return False
    return any(child.is_dir() or child.name == OWN_TABLE for child in entry.iterdir())


def split_folders(folder: Path) -> dict[str, Path]:
    """Return the folder of each split by its name, like "train" or "val"; none if the folders seem to be classes.

    Folders of splits hold pictures or folders of pictures; there are at least two of them, or no other folders.
    """
    if has_own_table(folder):
        return {}
    entries = {entry.name.lower(): entry for entry in picture_folders(folder)}
    splits = {split: entries[name] for split, names in SPLITS.items() for name in names[::-1] if name in entries}
    return splits if len(splits) > 1 or len(splits) == len(entries) else {}


def read_pictures(
    folder: Path,
    table: str | Path | None,
    size: int,
    classes: Sequence[str],
    report: Progress,
    *,
    labelled: bool = True,
    source: str | Path = "",
) -> Pictures:
    """Read the pictures of a folder; without `labelled` all of them, at any depth, and no labels.

    Error messages call the folder `source`.

    Raises
    ------
    ValueError : if there are no pictures, none is valid, or their labels cannot be used.
    """
    if labelled:
        files = read_labels(folder, table, classes)
    else:
        files = FileLabels({file.relative_to(folder).as_posix(): UNLABELLED for file in pictures_in(folder)})
    if not files.labels:
        raise ValueError(f"there are no images in {source or folder}" + "".join(f": {s}" for s in files.skipped[:1]))
    names = list(files.labels)
    decoded = _decode_all(folder, names, size, report)
    valid = {name: image for name, image in zip(names, decoded, strict=True) if isinstance(image, Tensor)}
    skipped = (*(reason for reason in decoded if isinstance(reason, str)), *files.skipped)
    if not valid:
        raise ValueError(f"none of the {len(names)} images in {source or folder} is valid: {skipped[0]}")
    in_memory = torch.stack([*valid.values()])
    images = in_memory if in_memory.numel() else image_files([folder / name for name in valid], size)
    return Pictures(images, torch.tensor([files.labels[name] for name in valid]), files.classes, skipped)


def is_picture(path: str | Path) -> bool:
    """Return whether a path is a file with the suffix of a picture."""
    return Path(path).suffix.lower() in SUFFIXES and Path(path).expanduser().is_file()


def read_path(root: str | Path, size: int, classes: Sequence[str], *, labelled: bool = True) -> Pictures:
    """Read one picture, or the pictures of a folder or ZIP file, with their labels if `labelled`.

    Raises
    ------
    ValueError : as `read_pictures`, or if a folder contains splits.
    """
    path = Path(root).expanduser()
    if is_picture(path):
        with quiet():
            return Pictures(decode(path, size)[None], torch.tensor([UNLABELLED]))
    folder, left_out = open_folder(path)
    if splits := split_folders(folder):
        names = " and ".join(entry.name for entry in splits.values())
        hint = f'like "{path.name}/{next(iter(splits.values())).name}", or load_data("images", root=...) for all'
        raise ValueError(f"{path.name} has the folders {names}: say which, {hint}")
    pictures = read_pictures(folder, None, size, classes, lambda share, note: None, labelled=labelled, source=path)
    skipped = (*left_out, *pictures.skipped)
    if skipped:
        log.warning("%d files of %s were left out: %s", len(skipped), path.name, "; ".join(skipped[:5]))
    return replace(pictures, skipped=skipped)


def _decode_all(folder: Path, names: Sequence[str], size: int, report: Progress) -> list[Tensor | str]:
    """Return each image (an empty tensor if all are too large for memory), or a sentence if it is invalid."""
    fits = len(names) * 3 * size * size <= MAX_MEMORY_BYTES

    def decode_or_explain(name: str) -> Tensor | str:
        try:
            image = decode(folder / name, size, name)
        except ValueError as error:
            return str(error)
        return image if fits else torch.empty(0)

    results = []
    with quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for i, result in enumerate(pool.map(decode_or_explain, names)):
                results.append(result)
                report((i + 1) / len(names), names[i])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results


@lru_cache(maxsize=8)
def _unpack(path: Path, modified_ns: int, size: int) -> tuple[Path, tuple[str, ...]]:  # cached by time and size, too
    """Unpack a ZIP file to a folder that is removed at exit, and return a sentence for each file that is left out."""
    folder = tempfile.TemporaryDirectory(prefix="workbench-", ignore_cleanup_errors=True)
    try:
        with zipfile.ZipFile(path) as archive:
            skipped = _extract(archive, path.name, Path(folder.name))
    except BaseException as error:
        folder.cleanup()
        if isinstance(error, LabelsError) or not isinstance(error, Exception):
            raise
        # zipfile raises anything on damaged and hostile files
        reason = str(error).replace(folder.name, "it") or type(error).__name__
        raise LabelsError(f"{path.name} is not a valid ZIP file: {reason}") from None
    atexit.register(folder.cleanup)
    return Path(folder.name), tuple(skipped)


def _extract(archive: zipfile.ZipFile, name: str, folder: Path) -> list[str]:
    """Write an archive's images and table to a folder, never outside it or as links; return a sentence on all else."""
    entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
        raise LabelsError(f"{name} would unpack to more than {MAX_UNPACKED_BYTES / 2**30:.0f} GiB")
    if len(entries) > MAX_ENTRIES:
        raise LabelsError(f"{name} has {len(entries)} files, more than the {MAX_ENTRIES} that are unpacked")
    skipped = []
    for entry in entries:
        path = PurePosixPath(entry.filename)
        if entry.is_dir() or any(is_hidden(part) for part in path.parts):
            continue
        if not stays_inside(entry.filename):
            skipped.append(f"{entry.filename} leads out of the folder")
        elif stat.S_ISLNK(entry.external_attr >> 16):
            skipped.append(f"{entry.filename} is a link")
        elif path.suffix.lower() in SUFFIXES or path.name == OWN_TABLE:
            target = folder.joinpath(*path.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
        else:
            skipped.append(f"{entry.filename} is no image")
    return skipped
