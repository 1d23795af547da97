"""ImageNet's WordNet ids as names of folders, and the labels of its validation images.

Class indices are 0 to 999 in the order of the WordNet ids, as in torchvision's and Caffe's networks.
"""

import re
from collections.abc import Iterable
from pathlib import Path

IMAGENET_CLASSES = 1000
WNID = re.compile(r"n\d{8}")
MAPPINGS = ("LOC_synset_mapping.txt", "synset_words.txt", "synsets.txt")
"""Files of ILSVRC with one WordNet id (and words) a line."""

IMAGENETTE = {
    "n01440764": 0,
    "n02102040": 217,
    "n02979186": 482,
    "n03000684": 491,
    "n03028079": 497,
    "n03394916": 566,
    "n03417042": 569,
    "n03425413": 571,
    "n03445777": 574,
    "n03888257": 701,
}
"""WordNet id of each of Imagenette's classes -> its index in ImageNet."""

VALIDATION_TABLE = "val.txt"
"""File with the labels of the validation images, as Caffe has it."""


def wordnet_ids(folder: Path, classes: int, seen: Iterable[str] = ()) -> dict[str, int]:
    """Return the class index of each WordNet id, from one of MAPPINGS in a folder; empty if it is unknown.

    A mapping of another length than `classes` is not used; none is needed if the folders `seen` are all the ids, or
    Imagenette's.
    """
    for name in MAPPINGS:
        if (folder / name).is_file():
            lines = (folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
            found = {line.split()[0] for line in lines if line.strip()}
            if len(found) == classes and all(WNID.fullmatch(wnid) for wnid in found):
                return {wnid: i for i, wnid in enumerate(sorted(found))}
    ids = {name for name in seen if WNID.fullmatch(name)}
    if classes == IMAGENET_CLASSES and ids <= IMAGENETTE.keys():
        return {wnid: IMAGENETTE[wnid] for wnid in ids}
    return {wnid: i for i, wnid in enumerate(sorted(ids))} if len(ids) == classes else {}


class LabelsError(ValueError):
    """A table of labels that cannot be used; the sentence names it."""


def validation_labels(table: Path) -> dict[str, int]:
    """Return the class index of each file from Caffe's ``val.txt``, which has a file and its class in each line."""
    lines = [line for line in table.read_text(encoding="utf-8-sig", errors="replace").splitlines() if line.strip()]
    try:
        return {name: int(label) for name, label in (line.rsplit(maxsplit=1) for line in lines)}
    except ValueError as error:
        raise LabelsError(f"{table.name} is no table of validation labels that is known here: {error}") from None
