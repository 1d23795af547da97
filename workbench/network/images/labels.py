"""Read the classes of images from a table, or from the names of their folders."""

import codecs
import csv
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import groupby
from pathlib import Path, PurePosixPath, PureWindowsPath

from workbench.network.images.decoding import SUFFIXES

UNLABELLED = -1
"""Label of an image whose class is not known."""

OWN_TABLE = "labels.csv"
"""Table of labels in a folder of images."""
WNID = re.compile(r"n\d{8}")
"""WordNet id, which is the folder name of a class in ImageNet."""

DELIMITERS = ",;\t"
LABEL_COLUMNS = ("file", "class_index")

HIDDEN = ("__MACOSX", "Thumbs.db", "desktop.ini")
"""Files and folders that macOS and Windows add, in addition to names with a leading dot."""


class LabelsError(ValueError):
    """Raised if labels cannot be used; the message names the table or the folder."""


@dataclass(frozen=True)
class FileLabels:
    """Path relative to the folder -> class index, class names if known, and a sentence for each unusable entry."""

    labels: Mapping[str, int]
    classes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


def read_labels(folder: Path, table: str | Path | None, classes: Sequence[str]) -> FileLabels:
    """Return the label of every image of a folder; raise LabelsError if the table or a folder is wrong."""
    if table is None and has_own_table(folder):
        table = OWN_TABLE
    folders = picture_folders(folder)
    if table is None and (folders or not (folder / OWN_TABLE).is_file()):
        return _from_folders(folder, [entry.name for entry in folders], classes)
    path = folder / (table or OWN_TABLE)
    if not path.is_file():
        raise LabelsError(f"there is no table of labels {path}")
    labels, skipped = _read_table(path)
    largest = max(labels.values(), default=0)
    if classes and largest >= len(classes):
        raise LabelsError(f"{path.name} has class {largest}, but the classes are 0 to {len(classes) - 1}")
    return FileLabels(labels, tuple(classes), tuple(skipped))


def has_own_table(folder: Path) -> bool:
    """Return whether a folder has a table of labels with the required columns."""
    try:
        return (folder / OWN_TABLE).is_file() and bool(_read_rows(folder / OWN_TABLE))
    except (LabelsError, csv.Error):
        return False


def _read_rows(table: Path) -> "csv.DictReader[str]":
    """Return the rows of a table whose columns are separated by commas, semicolons or tabs."""
    text = _read_text(table)
    header = text.partition("\n")[0]
    reader = csv.DictReader(StringIO(text, newline=""), delimiter=max(DELIMITERS, key=header.count))
    reader.fieldnames = [name.strip().casefold() for name in reader.fieldnames or ()]
    if not {*LABEL_COLUMNS} <= {*reader.fieldnames}:
        columns = ", ".join(reader.fieldnames) or "nothing"
        raise LabelsError(f"{table.name} needs the columns {' and '.join(LABEL_COLUMNS)}, not {columns}")
    return reader


def _read_table(table: Path) -> tuple[dict[str, int], list[str]]:
    """Return path -> class index, and a sentence for each unusable row."""
    labels: dict[str, int] = {}
    skipped = []
    try:
        reader = _read_rows(table)
        for row in reader:
            name, label = (row["file"] or "").strip(), _parse_index(row["class_index"], table, reader.line_num)
            if not stays_inside(name):
                skipped.append(f"{name or 'a row without a file'} leads out of the folder")
                continue
            name = PureWindowsPath(name).as_posix()  # also a\\b.png, as Windows writes it
            first = labels.setdefault(name, label)
            if first != label:
                raise LabelsError(f"{table.name} gives {name} the classes {first} and {label}")
    except csv.Error as error:
        raise LabelsError(f"{table.name} is no table: {error}") from None
    return labels, skipped


def _read_text(table: Path) -> str:
    """Return a table's text: UTF-8, or UTF-16 with a byte-order mark, as spreadsheets write it."""
    content = table.read_bytes()
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not text"
        raise LabelsError(f"{table.name} is no table in UTF-8: {reason}: save it as CSV in UTF-8") from None


def _parse_index(text: str | None, table: Path, line: int) -> int:
    try:
        label = int(text or "")
    except ValueError:
        label = -1
    if not 0 <= label < 2**31:
        actual = repr(text) if text else "nothing"
        raise LabelsError(f"{table.name} needs as class_index a whole number from 0: line {line} has {actual}")
    return label


def stays_inside(name: str) -> bool:
    """Return whether a path is relative and has no "..", on Windows as well."""
    paths = (PurePosixPath(name), PureWindowsPath(name))
    return "\0" not in name and all(p.name and not p.anchor and ".." not in p.parts for p in paths)


def _from_folders(folder: Path, folders: Sequence[str], classes: Sequence[str]) -> FileLabels:
    """Label pictures by their folder; those of a single folder that is not named like a class have no label."""
    class_names = {_normalised(name) for name in classes}
    if len(folders) > 1 or any(_normalised(n) in class_names or n.isdecimal() or WNID.fullmatch(n) for n in folders):
        if not classes:
            are_numbers = all(name.isdecimal() for name in folders)
            classes = sorted(folders, key=lambda name: (int(name) if are_numbers else 0, name))
        index = class_index(folders, classes)
        labels = {_relative(folder, f): index[name] for name in folders for f in pictures_in(folder / name)}
    else:
        classes, labels = (), {_relative(folder, file): UNLABELLED for file in pictures_in(folder)}
    skipped = []
    for file in sorted(_visible_files(folder)):
        name = _relative(folder, file)
        if name not in labels and name != OWN_TABLE:
            skipped.append(f"{name} is in no folder of a class" if _is_picture(file) else f"{name} is no image")
    return FileLabels(labels, tuple(classes), tuple(skipped))


def _relative(folder: Path, file: Path) -> str:
    return file.relative_to(folder).as_posix()


def class_index(folders: Sequence[str], classes: Sequence[str]) -> dict[str, int]:
    """Return the class index of each folder.

    A folder has the name of its class (case does not matter, and ``_`` may replace a space) or its number. WordNet ids,
    if there is one for each class, are in the order of the classes.
    """
    normalised = [_normalised(name) for name in classes]
    ids = sorted(name for name in folders if WNID.fullmatch(name))
    indices: dict[str, int] = {}
    for name in folders:
        if classes.count(name) == 1:
            indices[name] = classes.index(name)
        elif normalised.count(_normalised(name)) == 1:
            indices[name] = normalised.index(_normalised(name))
        elif name.isdecimal() and int(name) < len(classes):
            indices[name] = int(name)
        elif name in ids and len(ids) == len(classes):
            indices[name] = ids.index(name)
    unknown = [name for name in folders if name not in indices]
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise LabelsError(
            f"the folder {', '.join(unknown[:3])}{more} is none of the {len(classes)} classes, by name or number"
        )
    for i, names in groupby(sorted(indices, key=indices.__getitem__), key=indices.__getitem__):
        if len(duplicates := [*names]) > 1:
            raise LabelsError(f"the folders {' and '.join(duplicates)} are both class {i}")
    return indices


def _normalised(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is ignored: an operating system adds it, or its name has a leading dot."""
    return name not in ("..", ".") and (name.startswith(".") or name in HIDDEN)


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures of a folder, at any depth, in the order of their paths."""
    return sorted(file for file in _visible_files(folder) if _is_picture(file))


def picture_folders(folder: Path) -> list[Path]:
    """Return the subfolders that contain a picture, at any depth, in the order of their names."""
    entries = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not is_hidden(entry.name))
    return [entry for entry in entries if any(map(_is_picture, _visible_files(entry)))]


def _visible_files(folder: Path) -> Iterator[Path]:
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        yield from (Path(path, name) for name in files if not is_hidden(name))


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES
