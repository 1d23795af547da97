"""Read the class of each image in a folder: from a table, or from its folder."""

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
"""Table that is read beside the images."""
WNID = re.compile(r"n\d{8}")
"""WordNet id, as the folders of ImageNet's classes are called."""

DELIMITERS = ",;\t"
LABEL_COLUMNS = ("file", "class_index")

HIDDEN = ("__MACOSX", "Thumbs.db", "desktop.ini")
"""Files and folders that macOS and Windows add, beside those that begin with a dot."""


class LabelsError(ValueError):
    """Labels that cannot be used; the sentence names the table or the folder."""


@dataclass(frozen=True)
class Labelled:
    """Class index by path relative to the folder, class names if known, and a sentence on each unusable entry."""

    labels: Mapping[str, int]
    classes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


def read_labels(folder: Path, table: str | Path | None, classes: Sequence[str]) -> Labelled:
    """Return the label of every image of a folder; LabelsError names the wrong table and line, or the folder."""
    if table is None and has_own_table(folder):
        table = OWN_TABLE
    folders = picture_folders(folder)
    if table is None and (folders or not (folder / OWN_TABLE).is_file()):
        return _from_folders(folder, [entry.name for entry in folders], classes)
    path = folder / (table or OWN_TABLE)
    if not path.is_file():
        raise LabelsError(f"there is no table of labels {path}")
    found = _from_table(path)
    largest = max(found.labels.values(), default=0)
    if classes and largest >= len(classes):
        raise LabelsError(f"{path.name} has class {largest}, but the classes are 0 to {len(classes) - 1}")
    return Labelled(found.labels, tuple(classes), found.skipped)


def has_own_table(folder: Path) -> bool:
    """Return whether a folder has a table of labels with the columns that are needed."""
    try:
        return (folder / OWN_TABLE).is_file() and bool(_rows(folder / OWN_TABLE))
    except (LabelsError, csv.Error):
        return False


def _rows(table: Path) -> "csv.DictReader[str]":
    """Return the rows of a table whose columns are divided by commas, semicolons or tabs."""
    text = _text(table)
    header = text.partition("\n")[0]
    reader = csv.DictReader(StringIO(text, newline=""), delimiter=max(DELIMITERS, key=header.count))
    reader.fieldnames = [name.strip().casefold() for name in reader.fieldnames or ()]
    if not {*LABEL_COLUMNS} <= {*reader.fieldnames}:
        found = ", ".join(reader.fieldnames) or "nothing"
        raise LabelsError(f"{table.name} needs the columns {' and '.join(LABEL_COLUMNS)}, not {found}")
    return reader


def _from_table(table: Path) -> Labelled:
    labels: dict[str, int] = {}
    skipped = []
    try:
        reader = _rows(table)
        for row in reader:
            name, label = (row["file"] or "").strip(), _index(row["class_index"], table, reader.line_num)
            if not stays_inside(name):
                skipped.append(f"{name or 'a row without a file'} leads out of the folder")
                continue
            name = PureWindowsPath(name).as_posix()  # also a\\b.png, as Windows writes it
            known = labels.setdefault(name, label)
            if known != label:
                raise LabelsError(f"{table.name} gives {name} the classes {known} and {label}")
    except csv.Error as error:
        raise LabelsError(f"{table.name} is no table: {error}") from None
    return Labelled(labels, skipped=tuple(skipped))


def _text(table: Path) -> str:
    """Return a table's text: UTF-8, or UTF-16 where a byte-order mark says so, as spreadsheets write it."""
    content = table.read_bytes()
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        where = f"byte {error.start} is none of a text"
        raise LabelsError(f"{table.name} is no table in UTF-8: {where}: save it as CSV in UTF-8") from None


def _index(text: str | None, table: Path, line: int) -> int:
    try:
        label = int(text or "")
    except ValueError:
        label = -1
    if not 0 <= label < 2**31:
        found = repr(text) if text else "nothing"
        raise LabelsError(f"{table.name} needs as class_index a whole number from 0: line {line} has {found}")
    return label


def stays_inside(name: str) -> bool:
    """Return whether a path from a table is relative and never climbs, on Windows as well."""
    paths = (PurePosixPath(name), PureWindowsPath(name))
    return "\0" not in name and all(p.name and not p.anchor and ".." not in p.parts for p in paths)


def _from_folders(folder: Path, folders: Sequence[str], classes: Sequence[str]) -> Labelled:
    """Return the pictures of each folder, at any depth in it; a single one that is called like no class has none."""
    known = {_normalised(name) for name in classes}
    if len(folders) > 1 or any(_normalised(n) in known or n.isdecimal() or WNID.fullmatch(n) for n in folders):
        if not classes:
            numbered = all(name.isdecimal() for name in folders)
            classes = sorted(folders, key=lambda name: (int(name) if numbered else 0, name))
        index = class_index(folders, classes)
        labels = {_inside(folder, f): index[name] for name in folders for f in pictures_in(folder / name)}
    else:
        classes, labels = (), {_inside(folder, file): UNLABELLED for file in pictures_in(folder)}
    skipped = []
    for file in sorted(_visible_files(folder)):
        name = _inside(folder, file)
        if name not in labels and name != OWN_TABLE:
            skipped.append(f"{name} is in no folder of a class" if _is_picture(file) else f"{name} is no image")
    return Labelled(labels, tuple(classes), tuple(skipped))


def _inside(folder: Path, file: Path) -> str:
    return file.relative_to(folder).as_posix()


def class_index(folders: Sequence[str], classes: Sequence[str]) -> dict[str, int]:
    """Return the class index of each folder, by its name.

    A folder is called like its class (case and ``_`` for a space do not matter) or like its number; WordNet ids of all
    classes are in the classes' order.
    """
    loose = [_normalised(name) for name in classes]
    ids = sorted(name for name in folders if WNID.fullmatch(name))
    found: dict[str, int] = {}
    for name in folders:
        if classes.count(name) == 1:
            found[name] = classes.index(name)
        elif loose.count(_normalised(name)) == 1:
            found[name] = loose.index(_normalised(name))
        elif name.isdecimal() and int(name) < len(classes):
            found[name] = int(name)
        elif name in ids and len(ids) == len(classes):
            found[name] = ids.index(name)
    unknown = [name for name in folders if name not in found]
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise LabelsError(
            f"the folder {', '.join(unknown[:3])}{more} is none of the {len(classes)} classes, by name or number"
        )
    for i, owners in groupby(sorted(found, key=lambda name: found[name]), key=lambda name: found[name]):
        if len(twice := [*owners]) > 1:
            raise LabelsError(f"the folders {' and '.join(twice)} are both class {i}")
    return found


def _normalised(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is one that an operating system adds: it is neither read nor listed."""
    return name not in ("..", ".") and (name.startswith(".") or name in HIDDEN)


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures of a folder and of those in it, in the order of their paths."""
    return sorted(file for file in _visible_files(folder) if _is_picture(file))


def picture_folders(folder: Path) -> list[Path]:
    """Return the folders of a folder with a picture, at any depth, in the order of their names."""
    entries = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not is_hidden(entry.name))
    return [entry for entry in entries if any(map(_is_picture, _visible_files(entry)))]


def _visible_files(folder: Path) -> Iterator[Path]:
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        yield from (Path(path, name) for name in files if not is_hidden(name))


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES
