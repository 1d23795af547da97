"""Read images and labels from files, arrays, data sets, loaders and batches."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    default_collate,
)

from workbench.network.images.decoding import fitted, is_grey, rgb
from workbench.network.images.folders import DEFAULT_SIZE, LazyImages, image_files, read_path
from workbench.network.images.labels import UNLABELLED

MAX_MEMORY_BYTES = 2**30
"""Largest number of bytes of images that are read from an iterable."""
EXPECTED = "images is a Split, a path, a tensor, an array, a picture, a Dataset, a DataLoader or batches of images"

IMAGE_KEYS = ("image", "img", "pixel_values")
LABEL_KEYS = ("label", "labels", "target", "class", "fine_label")
"""Keys of dictionaries, or names of columns in data sets of Hugging Face."""

SAMPLE_PICTURES = 32
"""Number of pictures of a data set that decide on its size and colours."""


def _dataset_images(dataset: Any, size: int) -> LazyImages:
    """Return the images of a map-style data set.

    Pillow images become grey if all are grey, else RGB. Where their sizes differ they become squares: shorter side
    `size`, centre cropped. A sample decides on both.
    """
    indices = np.unique(np.linspace(0, len(dataset) - 1, SAMPLE_PICTURES).astype(int)).tolist()
    sample = [picture for i in indices if hasattr(picture := _image_in(dataset[i]), "convert")]
    grey = bool(sample) and all(map(is_grey, sample))
    sizes = {rgb(picture).size for picture in sample}
    read = partial(_read_items, dataset, grey, sizes.pop() if len(sizes) == 1 else (size, size))
    return LazyImages(read, (len(dataset), *read(torch.tensor([0])).shape[1:]))


def _read_items(dataset: Any, grey: bool, size: tuple[int, int], index: Tensor) -> Tensor:
    images = []
    for i in index.tolist():
        image = _image_in(dataset[i])
        if hasattr(image, "convert"):
            upright = rgb(image)
            images.append(fitted(upright.convert("L") if grey else upright, size))
        else:
            images.append(_as_tensor(image))
    if len(shapes := {tuple(image.shape) for image in images}) > 1:
        raise ValueError(f"the images have different shapes, like {' and '.join(map(str, sorted(shapes)[:2]))}")
    return torch.stack(images)


def _image_in(item: Any) -> Any:
    """Return the image of an item, or the images of a batch: a tuple's first element, or a dictionary's only image."""
    if isinstance(item, Mapping):
        images = {k: v for k, v in item.items() if getattr(v, "ndim", 0) >= 3 or _holds_pictures(v)}
        named = [images[key] for key in IMAGE_KEYS if key in images]
        if len(images) != 1 and len(named) != 1:
            raise TypeError(f"{EXPECTED}, not dictionaries of {', '.join(map(str, item)) or 'nothing'}")
        return (named or [*images.values()])[0]
    if isinstance(item, tuple | list) and item:
        return item[0]
    return item


def _holds_pictures(value: Any) -> bool:
    """Return whether a value is a picture, or a list of pictures or arrays."""
    first = value[0] if isinstance(value, list | tuple) and value else value
    return hasattr(first, "convert") or (first is not value and getattr(first, "ndim", 0) >= 2)


def _as_tensor(images: Any) -> Tensor:
    """Convert one image or several to a tensor: channels first, 16-bit integers as floats of 0 to 1."""
    if isinstance(images, np.ndarray):
        shape = images.shape
        if images.ndim in (3, 4) and shape[-1] in (1, 3, 4) and min(shape[-3:-1]) > 4:  # channels last
            images = np.moveaxis(images, -1, -3)
        try:
            images = torch.from_numpy(np.require(images, images.dtype.newbyteorder("="), ["C", "W"]))
        except TypeError:
            raise TypeError(f"{EXPECTED}, not arrays of {images.dtype}") from None
    if not isinstance(images, Tensor):
        raise TypeError(f"{EXPECTED}, not batches of {type(images).__name__}")
    if images.dtype == torch.uint16:
        return images.float() / 65535
    return images


def label_of(item: Any) -> Tensor | None:
    """Return the label of an item, or the labels of a batch; None if there is none that is a whole number."""
    if isinstance(item, Mapping):
        label = next((item[key] for key in LABEL_KEYS if key in item), None)
    else:
        label = item[1] if isinstance(item, tuple | list) and len(item) > 1 else None
    if isinstance(label, Sequence) and len(label) and all(isinstance(value, int | np.integer) for value in label):
        label = np.asarray(list(label))
    if isinstance(label, np.ndarray) and label.dtype.kind not in "biu":
        return None
    if isinstance(label, int | np.integer | np.ndarray):
        label = torch.as_tensor(label)
    is_integer = isinstance(label, Tensor) and not label.is_floating_point() and label.ndim <= 1
    return label.long() if is_integer and label is not None else None


def images_and_labels(
    images: Any,
    *,
    size: int = DEFAULT_SIZE,
    classes: Sequence[str] = (),
    ndim: int | None = None,
    labelled: bool = True,
) -> tuple[Any, Tensor | None]:
    """Return images that can be indexed by a tensor, and their labels (n,), or None if they have none.

    Parameters
    ----------
    size : pixels of the shorter side of pictures in files.
    classes : the network's class names, to match with names of folders.
    ndim : dimensions of a batch, to tell it from a single image; None if unknown.
    labelled : whether to read labels of folders and data sets.

    Raises
    ------
    TypeError : if `images` holds no images.
    ValueError : if there are no images, files cannot be read, or batches do not fit together or into memory.
    """
    if isinstance(images, str | Path):
        pictures = read_path(images, size, classes, labelled=labelled)
        return pictures.images, pictures.labels if (pictures.labels != UNLABELLED).any() else None
    if _is_item(images, ndim):
        return _from_dataset([images], size, labelled)
    if isinstance(images, Tensor | np.ndarray):
        return _as_tensor(images), None
    if isinstance(images, tuple) and len(images) == 2 and (labels := label_of((None, images[1]))) is not None:
        return images_and_labels(images[0], size=size, ndim=ndim)[0], labels
    if isinstance(images, DataLoader) and _reads_all(images):
        return _from_dataset(images.dataset, size, labelled)
    if isinstance(images, Mapping) and not any(
        _holds_pictures(v) or isinstance(v, Tensor | np.ndarray) for v in images.values()
    ):
        raise TypeError(f"{EXPECTED}, not a dictionary: say which, like data[{next(iter(images), 'train')!r}]")
    is_dataset = isinstance(images, Dataset) or hasattr(images, "column_names")
    if is_dataset and hasattr(images, "__len__") and not isinstance(images, IterableDataset):
        return _from_dataset(images, size, labelled)
    if isinstance(images, Iterable):
        return _from_batches([images] if isinstance(images, Mapping) else images, size, ndim, labelled)
    raise TypeError(f"{EXPECTED}, not a {type(images).__name__}")


def _reads_all(loader: Any) -> bool:
    """Return whether a loader batches each item of its data set once, with the default ``collate_fn``."""
    if loader.collate_fn is not default_collate or not hasattr(loader.dataset, "__len__"):
        return False
    sampler, items = loader.sampler, len(loader.dataset)
    if getattr(loader.batch_sampler, "sampler", None) is not sampler:  # a batch sampler of the user's
        return False
    is_permutation = isinstance(sampler, RandomSampler) and not sampler.replacement and sampler.num_samples == items
    return is_permutation or type(sampler) is SequentialSampler


def _is_item(item: Any, ndim: int | None) -> bool:
    """Return whether a value is a single image, with or without its label, rather than a batch."""
    if isinstance(item, Mapping | tuple | list) and item:
        try:
            image, label = _image_in(item), label_of(item)
        except TypeError:
            return False
        is_labelled_array = isinstance(image, Tensor | np.ndarray) and label is not None and label.ndim == 0
        is_single = isinstance(item, Mapping) or label is not None or len(item) == 1
        return is_labelled_array or (is_single and hasattr(image, "convert"))
    if not isinstance(item, Tensor | np.ndarray):
        return hasattr(item, "convert")
    has_channels_last = isinstance(item, np.ndarray) and item.ndim == 3 and item.shape[-1] in (1, 3, 4)
    return (has_channels_last and min(item.shape[:2]) > 4) or (ndim is not None and item.ndim == ndim - 1)


def _items_of(batch: Any, ndim: int | None) -> list[Any] | None:
    """Return the items of a batch that was not collated, or a single item; None for a batch of tensors."""
    if _is_item(batch, ndim):
        return [batch]
    if isinstance(batch, Mapping) and any(map(_holds_pictures, batch.values())):
        return [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
    if isinstance(batch, list | tuple) and len(batch) and all(_is_item(item, ndim) for item in batch):
        return list(batch)
    return None


def _from_dataset(dataset: Any, size: int, labelled: bool) -> tuple[Any, Tensor | None]:
    if not len(dataset):
        raise ValueError("there are no images to look at")
    if isinstance(dataset, Tensor | np.ndarray):
        return _as_tensor(dataset), None
    if hasattr(dataset, "tensors"):  # a TensorDataset
        return _as_tensor(dataset.tensors[0]), label_of(dataset.tensors) if labelled else None
    return _dataset_images(dataset, size), _labels_of(dataset) if labelled else None


def _labels_of(dataset: Any) -> Tensor | None:
    """Return the labels of a data set, from its table of labels where there is one, else from its items."""
    if isinstance(dataset, Subset):
        labels = _labels_of(dataset.dataset)
        return None if labels is None else labels[torch.as_tensor(dataset.indices)]
    tables: list[Any] = [getattr(dataset, name, None) for name in ("targets", "labels", "_labels")]
    if getattr(dataset, "target_transform", None) is None:
        for table in (table.to_numpy() if hasattr(table, "to_numpy") else table for table in tables):
            is_complete = hasattr(table, "__len__") and len(table) == len(dataset)
            if is_complete and (labels := label_of((None, table))) is not None:
                return labels
    if hasattr(dataset, "column_names"):
        name = next((key for key in LABEL_KEYS if key in dataset.column_names), None)
        return None if name is None else label_of({"label": np.asarray(list(dataset[name]))})
    if label_of(dataset[0]) is None:
        return None
    item_labels = [label for i in range(len(dataset)) if (label := label_of(dataset[i])) is not None]
    return torch.stack(item_labels) if len(item_labels) == len(dataset) else None


def _from_batches(batches: Iterable[Any], size: int, ndim: int | None, labelled: bool) -> tuple[Any, Tensor | None]:
    paths: list[Path] = []
    items: list[Any] = []
    images, labels, held_bytes = [], [], 0
    for batch in batches:
        if isinstance(batch, str | Path):
            paths.append(Path(batch).expanduser())
        elif batch_items := _items_of(batch, ndim):
            items += batch_items
            held_bytes += sum(map(_bytes_of, batch_items))
        else:
            images.append(_as_tensor(_image_in(batch)))
            labels.append(label_of(batch))
            held_bytes += images[-1].nbytes
        if held_bytes > MAX_MEMORY_BYTES:
            raise ValueError(
                "these batches have more than 1 GiB of images: give a Dataset, whose images are read when needed"
            )
    if paths and not (items or images):
        missing = next((path for path in paths if not path.is_file()), None)
        if missing is not None:
            raise ValueError(f"there is no picture {missing}")
        return image_files(paths, size), None
    if items and not (images or paths):
        return _from_dataset(items, size, labelled)
    if paths or items:
        raise ValueError("give only pictures, only paths of pictures, or only batches of one shape")
    if not sum(map(len, images)):
        raise ValueError("there are no images to look at")
    if len({tuple(batch_images.shape[1:]) for batch_images in images}) > 1:
        raise ValueError("the batches have images of different shapes")
    known_labels = [batch_labels.reshape(-1) for batch_labels in labels if batch_labels is not None]
    return torch.cat(images), torch.cat(known_labels) if len(known_labels) == len(images) else None


def _bytes_of(item: Any) -> int:
    image = _image_in(item)
    return int(image.nbytes) if hasattr(image, "nbytes") else image.width * image.height * len(image.getbands())
