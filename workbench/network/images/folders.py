"""Read the pictures of a file, a folder or a ZIP file, with the labels that folders or a table give them."""

import atexit
import logging
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from workbench.network.images.decoding import SUFFIXES, decode, quiet
from workbench.network.images.labels import (
    OWN_TABLE,
    UNLABELLED,
    Labelled,
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
"""Bytes of decoded images that are held; larger sets are decoded batch by batch."""

MAX_UNPACKED_BYTES = 2 * 2**30
"""Bytes of all files of an archive, unpacked, that are accepted: a small file may claim any number."""

MAX_ENTRIES = 500_000
"""Files of an archive that are accepted."""

DEFAULT_SIZE = 256
"""Pixels of the shorter side where no network says it."""

SPLITS = {"train": ("train", "training"), "validation": ("val", "valid", "validation"), "test": ("test", "testing")}
"""Split -> names of its folder, in any case."""


@dataclass(frozen=True, eq=False)
class LazyImages:
    """Images that behave like a tensor (n, ...); `read` is called with the indices of those that are used."""

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
    """Return some of the images that another object holds."""
    return LazyImages(partial(_read_selected, images, indices), (len(indices), *images.shape[1:]))


def _read_selected(images: Any, indices: Tensor, index: Tensor) -> Tensor:
    found: Tensor = images[indices[index]]
    return found


@dataclass(frozen=True, eq=False)
class Pictures:
    """Sound pictures, their labels (n,), the names of the classes if known, and a sentence on each file left out."""

    images: Tensor | LazyImages
    labels: Tensor
    classes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def of(self, index: Tensor) -> Tensor | LazyImages:
        """Return the images with these indices; those on disk stay there."""
        return self.images[index] if isinstance(self.images, Tensor) else selected(self.images, index)


def open_folder(root: str | Path) -> tuple[Path, tuple[str, ...]]:
    """Return a folder, or that of an unpacked ZIP file, and a sentence on each file of the ZIP file left out.

    Where a folder has nothing but one folder of folders or with a table of labels, that is returned.

    Raises
    ------
    ValueError : if there is none, or the ZIP file is not sound.
    """
    folder = Path(root).expanduser()
    left_out: tuple[str, ...] = ()
    if folder.is_file():
        if folder.suffix.lower() != ".zip" and not zipfile.is_zipfile(folder):
            raise ValueError(f"{folder.name} is no folder, ZIP file or picture: unpack it, or pack it as a ZIP file")
        status = folder.stat()
        folder, left_out = _unpacked(folder, status.st_mtime_ns, status.st_size)
    if not folder.is_dir():
        raise ValueError(f"there is no folder, ZIP file or picture {folder}")
    while len(inner := [e for e in folder.iterdir() if not is_hidden(e.name)]) == 1 and _wraps(inner[0]):
        folder = inner[0]
    return folder, left_out


def _wraps(entry: Path) -> bool:
    known = {other for names in SPLITS.values() for other in names}
    if not entry.is_dir() or entry.name.lower() in known:
        return False
    return any(child.is_dir() or child.name == OWN_TABLE for child in entry.iterdir())


def split_folders(folder: Path) -> dict[str, Path]:
    """Return the folders "train", "val" and "test", and others of these names; none if other folders are classes.

    There are two at least, or no other folder, and each holds pictures or folders of pictures.
    """
    if has_own_table(folder):
        return {}
    entries = {entry.name.lower(): entry for entry in picture_folders(folder)}
    found = {split: entries[name] for split, names in SPLITS.items() for name in names[::-1] if name in entries}
    return found if len(found) > 1 or len(found) == len(entries) else {}


def read_pictures(
    folder: Path,
    table: str | Path | None,
    size: int,
    classes: Sequence[str],
    report: Progress,
    *,
    labelled: bool = True,
    where: str | Path = "",
) -> Pictures:
    """Read the pictures of a folder; without `labelled` all there are, at any depth, and no labels.

    Errors call the folder `where`.

    Raises
    ------
    ValueError : if there are none, none is sound, or their labels cannot be used.
    """
    if labelled:
        found = read_labels(folder, table, classes)
    else:
        found = Labelled({file.relative_to(folder).as_posix(): UNLABELLED for file in pictures_in(folder)})
    if not found.labels:
        raise ValueError(f"there are no images in {where or folder}" + "".join(f": {s}" for s in found.skipped[:1]))
    names = list(found.labels)
    decoded = _decode(folder, names, size, report)
    sound = [i for i, image in enumerate(decoded) if isinstance(image, Tensor)]
    skipped = (*(image for image in decoded if isinstance(image, str)), *found.skipped)
    if not sound:
        raise ValueError(f"none of the {len(names)} images in {where or folder} is sound: {skipped[0]}")
    kept = torch.stack([image for image in decoded if isinstance(image, Tensor)])
    images = kept if kept.numel() else image_files([folder / names[i] for i in sound], size)
    return Pictures(images, torch.tensor([found.labels[names[i]] for i in sound]), found.classes, skipped)


def is_picture(path: str | Path) -> bool:
    """Return whether a path is that of a file called like a picture."""
    return Path(path).suffix.lower() in SUFFIXES and Path(path).expanduser().is_file()


def read_path(root: str | Path, size: int, classes: Sequence[str], *, labelled: bool = True) -> Pictures:
    """Read one picture, or the pictures of a folder or ZIP file, and with `labelled` the labels they have.

    Raises
    ------
    ValueError : as `read_pictures`, or if a folder is one of splits.
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
    found = read_pictures(folder, None, size, classes, lambda share, note: None, labelled=labelled, where=path)
    skipped = (*left_out, *found.skipped)
    if skipped:
        log.warning("%d files of %s were left out: %s", len(skipped), path.name, "; ".join(skipped[:5]))
    return Pictures(found.images, found.labels, found.classes, skipped)


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


@lru_cache(maxsize=8)
def _unpacked(path: Path, changed: int, size: int) -> tuple[Path, tuple[str, ...]]:
    """Unpack a ZIP file into a folder until the process ends; also return a sentence on each file left out."""
    folder = tempfile.TemporaryDirectory(prefix="workbench-", ignore_cleanup_errors=True)
    try:
        with zipfile.ZipFile(path) as archive:
            skipped = _extract(archive, path.name, Path(folder.name))
    except BaseException as error:
        folder.cleanup()
        if isinstance(error, LabelsError) or not isinstance(error, Exception):
            raise
        # the reader raises anything on damaged and hostile files
        reason = str(error).replace(folder.name, "it") or type(error).__name__
        raise LabelsError(f"{path.name} is no sound ZIP file: {reason}") from None
    atexit.register(folder.cleanup)
    return Path(folder.name), tuple(skipped)


def _extract(archive: zipfile.ZipFile, name: str, folder: Path) -> list[str]:
    """Write the images and the table of an archive into a folder; no entry is written elsewhere, or as a link."""
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
