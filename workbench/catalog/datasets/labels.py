"""Read the class of each image in a folder: from a table, from its folder, or from ImageNet's validation labels."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath, PureWindowsPath

from workbench.catalog.datasets.decoding import SUFFIXES
from workbench.catalog.datasets.imagenet import (
    MAPPINGS,
    VALIDATION_TABLE,
    WNID,
    LabelsError,
    validation_labels,
    wordnet_ids,
)
from workbench.network.data import UNLABELLED

OWN_TABLE = "labels.csv"


@dataclass(frozen=True)
class Labelled:
    """Class index by path relative to the folder, class names if known, and a sentence on each unusable entry."""

    labels: Mapping[str, int]
    classes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


def read_labels(folder: Path, table: str | Path | None, classes: Sequence[str]) -> Labelled:
    """Return the label of every image of a folder; LabelsError names the wrong table and line, or the folder."""
    if table is None and not any(_images(entry) for entry in _folders(folder)):
        table = next((name for name in (OWN_TABLE, VALIDATION_TABLE) if (folder / name).is_file()), None)
    if table is None:
        return _without_labels(folder, classes) or _from_folders(folder, classes)
    path = folder / table
    if not path.is_file():
        raise LabelsError(f"there is no table of labels {path}")
    if path.name == VALIDATION_TABLE:
        known, files = validation_labels(path), [file.name for file in _images(folder)]
        missing = tuple(f"{name} has no label in {path.name}" for name in files if name not in known)
        found = Labelled({name: known[name] for name in files if name in known}, (), missing)
    else:
        found = _from_table(path)
    largest = max(found.labels.values(), default=0)
    if classes and largest >= len(classes):
        raise LabelsError(f"{path.name} has class {largest}, but the classes are 0 to {len(classes) - 1}")
    return Labelled(found.labels, tuple(classes), found.skipped)


def _from_table(table: Path) -> Labelled:
    labels: dict[str, int] = {}
    skipped = []
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            found = ", ".join(reader.fieldnames or ())
            if not {"file", "class_index"} <= set(reader.fieldnames or ()):
                raise LabelsError(f"{table.name} needs the columns file and class_index, not {found or 'nothing'}")
            for row in reader:
                name, label = row["file"] or "", _index(row["class_index"], table, reader.line_num)
                if not stays_inside(name):
                    skipped.append(f"{name or 'a row without a file'} leads out of the folder")
                    continue
                name = PureWindowsPath(name).as_posix()  # also a\\b.png, as Windows writes it
                known = labels.setdefault(name, label)
                if known != label:
                    raise LabelsError(f"{table.name} gives {name} the classes {known} and {label}")
    except (UnicodeDecodeError, csv.Error) as error:
        where = f"byte {error.start} is none of a text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise LabelsError(f"{table.name} is no table in UTF-8: {where}") from None
    return Labelled(labels, skipped=tuple(skipped))


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


def _without_labels(folder: Path, classes: Sequence[str]) -> Labelled | None:
    """Return images that no folder or table gives a class: those of one folder; None if there are several folders."""
    folders = [entry for entry in _folders(folder) if _images(entry)]
    known = {_normalised(name) for name in classes}
    if len(folders) > 1 or (folders and (_normalised(folders[0].name) in known or folders[0].name.isdecimal())):
        return None
    found = [folder, *folders]
    return Labelled({file.relative_to(folder).as_posix(): UNLABELLED for f in found for file in _images(f)})


def _from_folders(folder: Path, classes: Sequence[str]) -> Labelled:
    folders = _folders(folder)
    if not classes:
        numbered = all(entry.name.isdecimal() for entry in folders)
        folders = sorted(folders, key=lambda entry: (int(entry.name) if numbered else 0, entry.name))
        index = {entry.name: i for i, entry in enumerate(folders)}
        names = tuple(index)
    else:
        folders = [entry for entry in folders if _images(entry)]
        index, names = class_index([entry.name for entry in folders], classes, folder), tuple(classes)
    labels = {f"{entry.name}/{file.name}": index[entry.name] for entry in folders for file in _images(entry)}
    return Labelled(labels, names)


def class_index(folders: Sequence[str], classes: Sequence[str], folder: Path) -> dict[str, int]:
    """Return the class index of each folder, by its name.

    A folder is called like its class (case and ``_`` for a space do not matter), like its number, or by its WordNet
    id, if `folder` holds the mapping or the folders of all classes.
    """
    loose: dict[str, set[int]] = {}
    for i, name in enumerate(classes):
        loose.setdefault(_normalised(name), set()).add(i)
    ids = wordnet_ids(folder, len(classes), folders)
    found: dict[str, int] = {}
    for name in folders:
        alike = loose.get(_normalised(name), set())
        if classes.count(name) == 1:
            found[name] = classes.index(name)
        elif len(alike) == 1:
            found[name] = next(iter(alike))
        elif name.isdecimal() and int(name) < len(classes):
            found[name] = int(name)
        elif name in ids:
            found[name] = ids[name]
    unknown = [name for name in folders if name not in found]
    if unknown:
        hint = f"; put {MAPPINGS[0]} or {MAPPINGS[1]} beside them" if WNID.fullmatch(unknown[0]) else ""
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise LabelsError(
            f"the folder {', '.join(unknown[:3])}{more} is none of the network's {len(classes)} classes, "
            f"by name, number or WordNet id{hint}"
        )
    for i, owners in groupby(sorted(found, key=lambda name: found[name]), key=lambda name: found[name]):
        if len(twice := [*owners]) > 1:
            raise LabelsError(f"the folders {' and '.join(twice)} are both class {i}")
    return found


def _normalised(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()


def _folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES and not f.name.startswith("."))
