"""Images and labels in splits for training, validation and test."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.network.images.folders import selected
from workbench.network.images.labels import UNLABELLED as UNLABELLED
from workbench.network.sources import images_and_labels

MAX_HELD_OUT = 1000
"""Largest number of images that are held out to compare networks without labels."""

MIN_IMAGES_TO_HOLD_OUT = 60
"""Smallest number of images of which some are held out; half of fewer are too few to learn from."""

MIN_CLASS_IMAGES = 10
"""Smallest number of training images of a class without a caution: fewer hardly teach the class."""
MIN_SCORED_IMAGES = 100
"""Smallest number of validation or test images without a caution: of fewer, one image is more than one point."""

MAX_BATCH_NUMBERS = 4_000_000
"""Largest number of values in a batch of inputs (26 images of 3 x 224 x 224), so that feature maps fit into memory."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images and labels for training, validation or testing.

    Parameters
    ----------
    images : (n, channels, height, width) before a network's preprocessing: a tensor, an array, or an object with a
        length, a shape and an index that may be a tensor, like the images of a folder.
    labels : (n,) class indices, a tensor or an array; ``UNLABELLED`` where the class is not known.

    Raises
    ------
    ValueError : if labels are not class indices, or not as many as the images.
    """

    images: Any
    labels: Tensor
    name: str = "images"

    def __post_init__(self) -> None:
        if isinstance(self.images, np.ndarray):
            object.__setattr__(self, "images", images_and_labels(self.images)[0])
        labels: Any = self.labels
        if isinstance(labels, np.ndarray | list):
            labels = torch.tensor(labels)
            object.__setattr__(self, "labels", labels if labels.is_floating_point() else labels.long())
        subject = f"the {self.name} split has"
        if labels.is_floating_point() or labels.ndim != 1:
            expected = "class indices, one whole number an image"
            raise ValueError(f"{subject} labels of {labels.dtype} and shape {tuple(labels.shape)}, not {expected}")
        if len(self.images) != len(labels):
            raise ValueError(f"{subject} {len(self.images)} images but {len(labels)} labels")
        if len(labels) and int(labels.min()) < UNLABELLED:
            raise ValueError(f"{subject} the class index {int(labels.min())}: they begin with 0")

    @classmethod
    def unlabelled(cls, images: Any, name: str = "images") -> "Split":
        """Return a split of images without labels, for calibration or distillation."""
        return cls(images, torch.full((len(images),), UNLABELLED), name)

    @classmethod
    def of(cls, images: Any, name: str = "images", **options: Any) -> "Split":
        """Return a split of images and labels from any supported source.

        Parameters
        ----------
        images : a Split; a tensor or array (n, channels, height, width), an array also with the channels last; a pair
            of images and labels; the path of a picture, folder or ZIP file, or several paths of pictures; Pillow
            images; a Dataset of PyTorch or Hugging Face; a DataLoader, whose data set is read directly if the loader
            batches each item once with the default ``collate_fn``; or an iterable of batches, with or without labels,
            which are read into memory.
        options : `size`, `classes`, `ndim` and `labelled` of :func:`~workbench.network.sources.images_and_labels`.

        Raises
        ------
        TypeError : if the source is of another type.
        ValueError : if there are no images, files cannot be read, or batches do not fit together or into memory.
        """
        if isinstance(images, Split):
            return images
        if isinstance(images, Data):
            raise TypeError("this takes images, not a Data: say which, like data.test")
        indexable, labels = images_and_labels(images, **options)
        return cls.unlabelled(indexable, name) if labels is None else cls(indexable, labels, name)

    @property
    def labelled(self) -> bool:
        """Whether the class of every image is known."""
        return bool((self.labels != UNLABELLED).all())

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Split({self.name}: {len(self)} images of shape {tuple(self.images.shape[1:])})"

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images, labels) in order, `size` at a time."""
        for indices in torch.arange(len(self)).split(size):
            yield self.images[indices], self.labels[indices]

    def sample(self, count: int) -> "Split":
        """Return at most `count` images, drawn with a fixed seed, in the order of the split."""
        if len(self) <= count:
            return self
        indices = torch.randperm(len(self), generator=torch.Generator().manual_seed(0))[:count].sort().values
        return Split(self.images[indices], self.labels[indices], self.name)

    def parted(self, count: int) -> tuple["Split", "Split"]:
        """Return `count` images, drawn with a fixed seed, and all others; images are read only when they are used."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(1))
        parts = (indices.sort().values for indices in (order[:count], order[count:]))
        first, second = (Split(selected(self.images, i), self.labels[i], self.name) for i in parts)
        return first, second


def empty_split(name: str, *shape: int, dtype: torch.dtype | None = None) -> Split:
    """Return a split without images; `shape` is that of one image."""
    return Split(torch.empty(0, *shape, dtype=dtype), torch.empty(0, dtype=torch.long), name)


@dataclass(frozen=True, eq=False)
class Data:
    """A data set: `train` to learn from, `validation` to compare networks by, `test` only for the reported score.

    Parameters
    ----------
    train, validation, test : Splits, or sources that :meth:`Split.of` takes.
    classes : names of the class indices.
    skipped : a sentence for each file that could not be used.
    """

    train: Split
    validation: Split
    test: Split
    name: str = "data"
    classes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            object.__setattr__(self, name, Split.of(getattr(self, name), name))

    @property
    def cautions(self) -> tuple[str, ...]:
        """A sentence for each split that has too few images, or too few of a class, on how this limits the results."""
        cautions = []
        splits = [split for split in (self.train, self.validation, self.test) if len(split) and split.labelled]
        labels = torch.cat([split.labels for split in splits]).unique() if splits else torch.empty(0)
        for split in splits:
            training = split is self.train
            counts = {int(label): int((split.labels == label).sum()) for label in labels}
            rare = [label for label, count in counts.items() if count < (MIN_CLASS_IMAGES if training else 1)]
            names = ", ".join(self._class_name(label) for label in rare[:3])
            names += f" and {len(rare) - 3} more classes" if len(rare) > 3 else ""
            if rare and training:
                cautions.append(f"fewer than {MIN_CLASS_IMAGES} training images of {names}: they are hardly learned")
            elif rare:
                cautions.append(f"no {split.name} images of {names}: the score says nothing of them")
            if not training and len(split) < MIN_SCORED_IMAGES:
                points = f"one is {100 / len(split):.1f} points of accuracy, so smaller differences mean nothing"
                cautions.append(f"only {len(split)} {split.name} images: {points}")
        return tuple(cautions)

    def _class_name(self, label: int) -> str:
        return self.classes[label] if label < len(self.classes) else f"class {label}"

    @property
    def unlabelled(self) -> Split:
        """Images for calibration and distillation: the training images, or validation images if there are none.

        Images of `held_out` are excluded. Raises ValueError if there are only test images.
        """
        pool, count = self._pool()
        if not len(pool):
            hint = "which are for the score: choose data with training images"
            raise ValueError(f"{self.name} has test images only, {hint}")
        return pool.parted(count)[1] if count else pool

    @property
    def held_out(self) -> Split:
        """Images to compare networks without labels, which no network learns from; may be empty.

        Half of the training images, at most 1000, are held out if there are no validation images, or if the training
        images have no labels and there are fewer validation images than that. Without training images, half of the
        validation images are held out, if these have no labels. Of fewer than 60 images none are held out.
        """
        pool, count = self._pool()
        return pool.parted(count)[0]

    def _pool(self) -> tuple[Split, int]:
        """Return the split to learn from, and how many of its images are held out."""
        train, validation = self.train, self.validation
        pool = train if len(train) else validation
        count = min(MAX_HELD_OUT, len(pool) // 2) if len(pool) >= MIN_IMAGES_TO_HOLD_OUT else 0
        if pool is validation:
            is_needed = not validation.labelled
        else:
            is_needed = not len(validation) or (not train.labelled and count > len(validation))
        return pool, count if is_needed else 0

    def __str__(self) -> str:
        sizes = ", ".join(f"{s.name} {len(s)}" for s in (self.train, self.validation, self.test))
        left_out = f"; {len(self.skipped)} left out" if self.skipped else ""
        return f"{self.name}: {sizes} images of shape {tuple(self.test.images.shape[1:])}{left_out}"

    __repr__ = __str__


def fitting_batch(input_shape: Sequence[int]) -> int:
    """Return the batch size for inputs of this shape, 1 to 256."""
    return max(1, min(256, MAX_BATCH_NUMBERS // prod(input_shape)))
