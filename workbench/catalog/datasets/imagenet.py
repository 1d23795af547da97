"""ImageNet's 1000 classes: their names, their WordNet ids, and the labels of the validation images.

Class indices are 0 to 999 in the order of the WordNet ids, as in torchvision's and Caffe's networks. The development
kit's ``ILSVRC2012_ID`` (1 to 1000) is another order, which its ``meta.mat`` translates.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from workbench.catalog.networks.torchvision import torchvision

WNID = re.compile(r"n\d{8}")
MAPPINGS = ("LOC_synset_mapping.txt", "synset_words.txt", "synsets.txt")
"""Files of ILSVRC with one WordNet id (and words) a line."""

TABLES = ("val.txt", "LOC_val_solution.csv", "ILSVRC2012_validation_ground_truth.txt")
"""Files with the labels of the validation images: Caffe's, Kaggle's and the development kit's."""


@lru_cache(maxsize=1)
def class_names() -> tuple[str, ...]:
    """Return the 1000 names in the order of the networks' outputs, from torchvision."""
    return tuple(torchvision("models._meta")._IMAGENET_CATEGORIES)


def wordnet_ids(folder: Path, classes: int, seen: Iterable[str] = ()) -> dict[str, int]:
    """Return the class index of each WordNet id, from one of MAPPINGS in a folder; empty if it is unknown.

    A mapping of another length than `classes` is not used; none is needed if the folders `seen` are all the ids.
    """
    for name in MAPPINGS:
        if (folder / name).is_file():
            lines = (folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
            found = {line.split()[0] for line in lines if line.strip()}
            if len(found) == classes and all(WNID.fullmatch(wnid) for wnid in found):
                return {wnid: i for i, wnid in enumerate(sorted(found))}
    ids = {name for name in seen if WNID.fullmatch(name)}
    return {wnid: i for i, wnid in enumerate(sorted(ids))} if len(ids) == classes else {}


def validation_labels(table: Path, files: Sequence[str], classes: int = 1000) -> dict[str, int]:
    """Return the class index of each file, from one of TABLES, or raise LabelsError.

    Beside Kaggle's must lie one of MAPPINGS, beside the development kit's its ``meta.mat``; the kit numbers the
    images as in ``ILSVRC2012_val_00000001.JPEG``.
    """
    lines = [line for line in table.read_text(encoding="utf-8-sig", errors="replace").splitlines() if line.strip()]
    try:
        if table.suffix == ".csv":
            return _kaggle(table, lines, files, classes)
        if all(len(line.split()) == 1 for line in lines):
            return _development_kit(table, lines, files)
        rows = [line.rsplit(maxsplit=1) for line in lines]
        return {name: int(label) for name, label in rows}
    except LabelsError:
        raise
    except (ValueError, KeyError, IndexError) as error:
        raise LabelsError(f"{table.name} is no table of validation labels that is known here: {error}") from None


class LabelsError(ValueError):
    """A table of labels that cannot be used; the sentence names it."""


def _kaggle(table: Path, lines: Sequence[str], files: Sequence[str], classes: int) -> dict[str, int]:
    """Read lines like ``ILSVRC2012_val_00048981,n03995372 85 1 499 272``."""
    index = wordnet_ids(table.parent, classes)
    if not index:
        raise LabelsError(f"{table.name} names classes by WordNet ids: put {MAPPINGS[0]} or {MAPPINGS[1]} beside it")
    ids = {row["ImageId"]: row["PredictionString"].split()[0] for row in csv.DictReader(lines)}
    return {file: index[ids[stem]] for file in files if (stem := Path(file).stem) in ids}


def _development_kit(table: Path, lines: Sequence[str], files: Sequence[str]) -> dict[str, int]:
    """Read one ILSVRC2012_ID a line, for the images in the order of their number."""
    meta = next((p for p in (table.parent / "meta.mat", table.parent / "data" / "meta.mat") if p.is_file()), None)
    if meta is None:
        why = "counts classes in an order of its own, not the networks'"
        raise LabelsError(f"{table.name} {why}: put meta.mat of the kit beside it, or use Caffe's val.txt")
    try:
        synsets = loadmat(meta, squeeze_me=True, variable_names=["synsets"])["synsets"]
        leaves = synsets[np.asarray(synsets["num_children"], dtype=int) == 0]
        wnids, numbers = [str(w) for w in leaves["WNID"]], [int(i) for i in leaves["ILSVRC2012_ID"]]
    except Exception as error:  # a MATLAB file can be wrong in any way
        raise LabelsError(f"{meta.name} is not the development kit's: {type(error).__name__} {error}") from None
    rank = {wnid: i for i, wnid in enumerate(sorted(wnids))}
    index = {number: rank[wnid] for number, wnid in zip(numbers, wnids, strict=True)}
    labels = [index[int(line)] for line in lines]
    numbered = {file: re.search(r"(\d+)$", Path(file).stem) for file in files}
    return {f: labels[int(m[1]) - 1] for f, m in numbered.items() if m and 1 <= int(m[1]) <= len(labels)}
