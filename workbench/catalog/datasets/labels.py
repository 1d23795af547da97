"""Read the class of each image in a folder: from a table, from its folder, or from ImageNet's validation labels."""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath

from workbench.catalog.datasets.decoding import SUFFIXES

OWN_TABLE = "labels.csv"
VALIDATION_TABLE = "val.txt"
"""Table of ImageNet's validation images, as Caffe has it: a file and its class in each line."""
WNID = re.compile(r"n\d{8}")
MAPPINGS = ("LOC_synset_mapping.txt", "synset_words.txt", "synsets.txt")
"""Files of ILSVRC with one WordNet id (and words) a line; ImageNet's classes are in the order of the ids."""


class LabelsError(ValueError):
    """A table of labels or a folder that cannot be used; the sentence names it."""


def read_labels(
    folder: Path, table: str | Path | None, classes: Sequence[str]
) -> tuple[Mapping[str, int], tuple[str, ...], Sequence[str]]:
    """Return the class of each image by its path in a folder, names of classes, and a sentence on each unusable entry.

    LabelsError names the wrong table and line, or the folder.
    """
    if table is None and not any(_images(entry) for entry in _folders(folder)):
        table = next((name for name in (OWN_TABLE, VALIDATION_TABLE) if (folder / name).is_file()), None)
    if table is None:
        return *_from_folders(folder, classes), ()
    path = folder / table
    if not path.is_file():
        raise LabelsError(f"there is no table of labels {path}")
    labels, skipped = _from_validation_table(path) if path.name == VALIDATION_TABLE else _from_table(path)
    largest = max(labels.values(), default=0)
    if classes and largest >= len(classes):
        raise LabelsError(f"{path.name} has class {largest}, but the classes are 0 to {len(classes) - 1}")
    return labels, tuple(classes), skipped


def _from_validation_table(table: Path) -> tuple[dict[str, int], list[str]]:
    lines = filter(str.strip, table.read_text(encoding="utf-8-sig", errors="replace").splitlines())
    try:
        known = {name: int(label) for name, label in (line.rsplit(maxsplit=1) for line in lines)}
    except ValueError as error:
        raise LabelsError(f"{table.name} is no table of validation labels that is known here: {error}") from None
    files = [file.name for file in _images(table.parent)]
    missing = [f"{name} has no label in {table.name}" for name in files if name not in known]
    return {name: known[name] for name in files if name in known}, missing


def _from_table(table: Path) -> tuple[dict[str, int], list[str]]:
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
                if not _stays_inside(name):
                    skipped.append(f"{name or 'a row without a file'} leads out of the folder")
                    continue
                name = PureWindowsPath(name).as_posix()  # also a\\b.png, as Windows writes it
                known = labels.setdefault(name, label)
                if known != label:
                    raise LabelsError(f"{table.name} gives {name} the classes {known} and {label}")
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(f"{table.name} is no table in UTF-8: {error}") from None
    return labels, skipped


def _index(text: str | None, table: Path, line: int) -> int:
    try:
        label = int(text or "")
    except ValueError:
        label = -1
    if not 0 <= label < 2**31:
        found = repr(text) if text else "nothing"
        raise LabelsError(f"{table.name} needs as class_index a whole number from 0: line {line} has {found}")
    return label


def _stays_inside(name: str) -> bool:
    """Return whether a path from a table is relative and never climbs, on Windows as well."""
    path = PureWindowsPath(name)  # takes / for a separator, too
    return bool(path.name) and not path.anchor and ".." not in path.parts and "\0" not in name


def _from_folders(folder: Path, classes: Sequence[str]) -> tuple[dict[str, int], tuple[str, ...]]:
    folders = _folders(folder)
    if not classes:
        numbered = all(entry.name.isdecimal() for entry in folders)
        folders = sorted(folders, key=lambda entry: (int(entry.name) if numbered else 0, entry.name))
        index = {entry.name: i for i, entry in enumerate(folders)}
        names = tuple(index)
    else:
        folders = [entry for entry in folders if _images(entry)]
        index, names = class_index([entry.name for entry in folders], classes, folder), tuple(classes)
    return {f"{entry.name}/{file.name}": index[entry.name] for entry in folders for file in _images(entry)}, names


def class_index(folders: Sequence[str], classes: Sequence[str], folder: Path) -> dict[str, int]:
    """Return the class index of each folder, by its name.

    A folder is called like its class (case and ``_`` for a space do not matter), like its number, or by its WordNet
    id, if `folder` holds the mapping or the folders of all classes.
    """
    loose = [_normalised(name) for name in classes]
    ids = wordnet_ids(folder, len(classes), folders)
    found: dict[str, int] = {}
    for name in folders:
        if classes.count(name) == 1:
            found[name] = classes.index(name)
        elif loose.count(_normalised(name)) == 1:
            found[name] = loose.index(_normalised(name))
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
    owners: dict[int, str] = {}
    for name, i in found.items():
        if owners.setdefault(i, name) != name:
            raise LabelsError(f"the folders {owners[i]} and {name} are both class {i}")
    return found


def wordnet_ids(folder: Path, classes: int, seen: Sequence[str] = ()) -> dict[str, int]:
    """Return the class of each WordNet id, by a mapping in the folder or by folders of all classes; empty if unknown.

    A mapping of another length than `classes` is not used.
    """
    for path in (folder / name for name in MAPPINGS):
        if path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            found = {line.split()[0] for line in lines if line.strip()}
            if len(found) == classes and all(WNID.fullmatch(wnid) for wnid in found):
                return {wnid: i for i, wnid in enumerate(sorted(found))}
    ids = {name for name in seen if WNID.fullmatch(name)}
    return {wnid: i for i, wnid in enumerate(sorted(ids))} if len(ids) == classes else {}


def _normalised(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()


def _folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES and not f.name.startswith("."))
