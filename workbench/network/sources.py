"""Take images and labels from whatever holds them: arrays, data sets, loaders, batches."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

MAX_MEMORY_BYTES = 2**30
"""Bytes of images of an iterable that are read into memory."""
TAKEN = "images is a Split, a tensor, an array, a Dataset, a DataLoader or batches of images"


@dataclass(frozen=True, eq=False)
class DatasetImages:
    """The images of a map-style data set that behave like a tensor (n, ...); they are read when they are needed."""

    dataset: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, ...)."""
        return (len(self), *image_of(self.dataset[0]).shape)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Tensor) -> Tensor:
        found = [image_of(self.dataset[i]) for i in index.tolist()]
        return torch.stack(found) if found else torch.empty(0, *self.shape[1:])


@dataclass(frozen=True, eq=False)
class SelectedImages:
    """Some of the images that another object holds; they are read when they are needed."""

    images: Any
    indices: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, ...)."""
        return (len(self), *self.images.shape[1:])

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        found: Tensor = self.images[self.indices[index]]
        return found


def image_of(item: Any) -> Tensor:
    """Return the image of a data set's item, or the images of a batch: its first part, or its only image."""
    if isinstance(item, dict):
        parts = [v for v in item.values() if getattr(v, "ndim", 0) >= 3 or hasattr(v, "convert")]
        if len(parts) != 1:
            raise TypeError(f"{TAKEN}, not dictionaries of {', '.join(map(str, item)) or 'nothing'}")
        item = parts[0]
    elif isinstance(item, tuple | list) and item:
        item = item[0]
    if hasattr(item, "convert"):  # a picture of Pillow
        pixels = np.asarray(item if item.mode in ("L", "RGB") else item.convert("RGB"))
        return torch.from_numpy(pixels.copy()).reshape(*pixels.shape[:2], -1).permute(2, 0, 1)
    if isinstance(item, np.ndarray):
        item = torch.from_numpy(item)
    if not isinstance(item, Tensor):
        raise TypeError(f"{TAKEN}, not batches of {type(item).__name__}")
    return item.float() if item.dtype == torch.float64 else item


def label_of(item: Any) -> Tensor | None:
    """Return the label of an item, or the labels of a batch; None if it has none that is a whole number."""
    if isinstance(item, dict):
        found = next((item[key] for key in ("label", "labels", "target", "class") if key in item), None)
    else:
        found = item[1] if isinstance(item, tuple | list) and len(item) > 1 else None
    if isinstance(found, int | np.integer | np.ndarray):
        found = torch.as_tensor(found)
    whole = isinstance(found, Tensor) and not found.is_floating_point() and found.ndim <= 1
    return found.long() if whole and found is not None else None


def held_images(images: Any) -> tuple[Any, Tensor | None]:
    """Return images that are indexed by a tensor, and their labels (n,), or None without labels.

    Raises
    ------
    TypeError : if it holds no images.
    ValueError : if batches do not fit together or into memory, or there are none.
    """
    if isinstance(images, Tensor | np.ndarray):
        return image_of(images), None
    if isinstance(images, tuple) and len(images) == 2 and (labels := label_of((None, images[1]))) is not None:
        return image_of(images[0]), labels
    if isinstance(images, DataLoader) and images.collate_fn is default_collate and hasattr(images.dataset, "__len__"):
        images = images.dataset
    if isinstance(images, Dataset) and hasattr(images, "__len__") and len(images):
        return _of_dataset(images)
    if isinstance(images, Iterable) and not isinstance(images, str | bytes | dict):
        return _of_batches(images)
    raise TypeError(f"{TAKEN}, not a {type(images).__name__}")


def _of_dataset(dataset: Any) -> tuple[Any, Tensor | None]:
    if hasattr(dataset, "tensors"):  # a TensorDataset
        return held_images(tuple(dataset.tensors[:2]) if len(dataset.tensors) > 1 else dataset.tensors[0])
    held = DatasetImages(dataset)
    for name in ("targets", "labels", "_labels"):
        labels = getattr(dataset, name, None)
        if labels is not None and len(labels) == len(dataset):
            return held, torch.as_tensor(labels).long()
    if label_of(dataset[0]) is None:
        return held, None
    found = [label_of(dataset[i]) for i in range(len(dataset))]
    return held, torch.stack([label for label in found if label is not None])


def _of_batches(batches: Iterable[Any]) -> tuple[Tensor, Tensor | None]:
    images, labels, size = [], [], 0
    for batch in batches:
        found = image_of(batch)
        size += found.nbytes
        if size > MAX_MEMORY_BYTES:
            raise ValueError(
                "these batches have more than 1 GiB of images: give a Dataset, whose images are read one by one"
            )
        images.append(found)
        labels.append(label_of(batch))
    if not images or not sum(map(len, images)):
        raise ValueError("there are no images to look at")
    if len({tuple(found.shape[1:]) for found in images}) > 1:
        raise ValueError("the batches have images of different shapes")
    known = [label for label in labels if label is not None]
    return torch.cat(images), torch.cat([k.reshape(-1) for k in known]) if len(known) == len(images) else None
