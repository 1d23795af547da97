"""Take images and labels from whatever holds them: files, arrays, data sets, loaders, batches."""

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
"""Bytes of images of an iterable that are read into memory."""
TAKEN = "images is a Split, a path, a tensor, an array, a picture, a Dataset, a DataLoader or batches of images"

IMAGE_KEYS = ("image", "img", "pixel_values")
LABEL_KEYS = ("label", "labels", "target", "class", "fine_label")
"""Names in a dictionary, or of columns of Hugging Face's data sets."""

SAMPLE_PICTURES = 32
"""Pictures of a data set whose size is looked at first."""


def _dataset_images(dataset: Any, size: int) -> LazyImages:
    """Return the images of a map-style data set.

    Pictures of Pillow become grey if all are, else RGB. Where their sizes differ they become squares: shorter side
    `size`, centre cropped.
    """
    indices = np.unique(np.linspace(0, len(dataset) - 1, SAMPLE_PICTURES).astype(int)).tolist()
    sample = [picture for i in indices if hasattr(picture := _image_in(dataset[i]), "convert")]
    grey = bool(sample) and all(map(is_grey, sample))
    sizes = {rgb(picture).size for picture in sample}
    read = partial(_read_items, dataset, grey, sizes.pop() if len(sizes) == 1 else (size, size))
    return LazyImages(read, (len(dataset), *read(torch.tensor([0])).shape[1:]))


def _read_items(dataset: Any, grey: bool, size: tuple[int, int], index: Tensor) -> Tensor:
    found = []
    for item in index.tolist():
        image = _image_in(dataset[item])
        if hasattr(image, "convert"):
            upright = rgb(image)
            found.append(fitted(upright.convert("L") if grey else upright, size))
        else:
            found.append(_tensor(image))
    if len(shapes := {tuple(image.shape) for image in found}) > 1:
        raise ValueError(f"the images have different shapes, like {' and '.join(map(str, sorted(shapes)[:2]))}")
    return torch.stack(found)


def _image_in(item: Any) -> Any:
    """Return the image of a data set's item, or the images of a batch: its first part, or its only image."""
    if isinstance(item, Mapping):
        parts = {key: value for key, value in item.items() if getattr(value, "ndim", 0) >= 3 or _holds(value)}
        named = [parts[key] for key in IMAGE_KEYS if key in parts]
        if len(parts) != 1 and len(named) != 1:
            raise TypeError(f"{TAKEN}, not dictionaries of {', '.join(map(str, item)) or 'nothing'}")
        return (named or [*parts.values()])[0]
    if isinstance(item, tuple | list) and item:
        return item[0]
    return item


def _holds(value: Any) -> bool:
    """Return whether a value is a picture, or a list of pictures or arrays."""
    first = value[0] if isinstance(value, list | tuple) and value else value
    return hasattr(first, "convert") or (first is not value and getattr(first, "ndim", 0) >= 2)


def _tensor(images: Any) -> Tensor:
    """Return an image, or images, as a tensor: channels first, 16 bits as floats of 0 to 1."""
    if isinstance(images, np.ndarray):
        shape = images.shape
        if images.ndim in (3, 4) and shape[-1] in (1, 3, 4) and min(shape[-3:-1]) > 4:  # channels last
            images = np.moveaxis(images, -1, -3)
        try:
            images = torch.from_numpy(np.require(images, images.dtype.newbyteorder("="), ["C", "W"]))
        except TypeError:
            raise TypeError(f"{TAKEN}, not arrays of {images.dtype}") from None
    if not isinstance(images, Tensor):
        raise TypeError(f"{TAKEN}, not batches of {type(images).__name__}")
    if images.dtype == torch.uint16:
        return images.float() / 65535
    return images


def label_of(item: Any) -> Tensor | None:
    """Return the label of an item, or the labels of a batch; None if it has none that is a whole number."""
    if isinstance(item, Mapping):
        found = next((item[key] for key in LABEL_KEYS if key in item), None)
    else:
        found = item[1] if isinstance(item, tuple | list) and len(item) > 1 else None
    if isinstance(found, Sequence) and len(found) and all(isinstance(label, int | np.integer) for label in found):
        found = np.asarray(list(found))
    if isinstance(found, np.ndarray) and found.dtype.kind not in "biu":
        return None
    if isinstance(found, int | np.integer | np.ndarray):
        found = torch.as_tensor(found)
    whole = isinstance(found, Tensor) and not found.is_floating_point() and found.ndim <= 1
    return found.long() if whole and found is not None else None


def held_images(
    images: Any,
    *,
    size: int = DEFAULT_SIZE,
    classes: Sequence[str] = (),
    ndim: int | None = None,
    labelled: bool = True,
) -> tuple[Any, Tensor | None]:
    """Return images that are indexed by a tensor, and their labels (n,), or None without labels.

    Parameters
    ----------
    size : pixels of the shorter side of pictures in files.
    classes : the network's, for folders that are called like them.
    ndim : dimensions of a batch, to tell a single image from one; None if it is not known.
    labelled : whether labels are wanted; without, those of folders and data sets are not read.

    Raises
    ------
    TypeError : if it holds no images.
    ValueError : if batches do not fit together or into memory, or there are none, or files cannot be read.
    """
    if isinstance(images, str | Path):
        found = read_path(images, size, classes, labelled=labelled)
        return found.images, found.labels if (found.labels != UNLABELLED).any() else None
    if _is_item(images, ndim):
        return _of_dataset([images], size, labelled)
    if isinstance(images, Tensor | np.ndarray):
        return _tensor(images), None
    if isinstance(images, tuple) and len(images) == 2 and (labels := label_of((None, images[1]))) is not None:
        return held_images(images[0], size=size, ndim=ndim)[0], labels
    if isinstance(images, DataLoader) and _reads_all(images):
        return _of_dataset(images.dataset, size, labelled)
    if isinstance(images, Mapping) and not any(
        _holds(v) or isinstance(v, Tensor | np.ndarray) for v in images.values()
    ):
        raise TypeError(f"{TAKEN}, not a dictionary: say which, like data[{next(iter(images), 'train')!r}]")
    sequence = isinstance(images, Dataset) or hasattr(images, "column_names")
    if sequence and hasattr(images, "__len__") and not isinstance(images, IterableDataset):
        return _of_dataset(images, size, labelled)
    if isinstance(images, Iterable):
        return _of_batches([images] if isinstance(images, Mapping) else images, size, ndim, labelled)
    raise TypeError(f"{TAKEN}, not a {type(images).__name__}")


def _reads_all(loader: Any) -> bool:
    """Return whether a loader batches each item of its data set once, in the ordinary way."""
    if loader.collate_fn is not default_collate or not hasattr(loader.dataset, "__len__"):
        return False
    sampler, items = loader.sampler, len(loader.dataset)
    if getattr(loader.batch_sampler, "sampler", None) is not sampler:  # the loader's own is not used
        return False
    drawn = isinstance(sampler, RandomSampler) and not sampler.replacement and sampler.num_samples == items
    return drawn or type(sampler) is SequentialSampler


def _is_item(item: Any, ndim: int | None) -> bool:
    """Return whether this is one image, with or without its label, and no batch."""
    if isinstance(item, Mapping | tuple | list) and item:
        try:
            image, label = _image_in(item), label_of(item)
        except TypeError:
            return False
        known = isinstance(image, Tensor | np.ndarray) and label is not None and label.ndim == 0
        pair = isinstance(item, Mapping) or label is not None or len(item) == 1
        return known or (pair and hasattr(image, "convert"))
    array = isinstance(item, Tensor | np.ndarray)
    last = isinstance(item, np.ndarray) and item.ndim == 3 and item.shape[-1] in (1, 3, 4) and min(item.shape[:2]) > 4
    return hasattr(item, "convert") or (array and (last or (ndim is not None and item.ndim == ndim - 1)))


def _items_of(batch: Any, ndim: int | None) -> list[Any] | None:
    """Return the items of a batch that was not collated, or a single item; None of a batch of tensors."""
    if _is_item(batch, ndim):
        return [batch]
    if isinstance(batch, Mapping) and any(_holds(value) for value in batch.values()):
        return [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
    if isinstance(batch, list | tuple) and len(batch) and all(_is_item(item, ndim) for item in batch):
        return list(batch)
    return None


def _of_dataset(dataset: Any, size: int, labelled: bool) -> tuple[Any, Tensor | None]:
    if not len(dataset):
        raise ValueError("there are no images to look at")
    if isinstance(dataset, Tensor | np.ndarray):
        return _tensor(dataset), None
    if hasattr(dataset, "tensors"):  # a TensorDataset
        return _tensor(dataset.tensors[0]), label_of(dataset.tensors) if labelled else None
    return _dataset_images(dataset, size), _labels_of(dataset) if labelled else None


def _labels_of(dataset: Any) -> Tensor | None:
    """Return the labels of a data set, from a table of its own where there is one, else from its items."""
    if isinstance(dataset, Subset):
        labels = _labels_of(dataset.dataset)
        return None if labels is None else labels[torch.as_tensor(dataset.indices)]
    tables: list[Any] = [getattr(dataset, name, None) for name in ("targets", "labels", "_labels")]
    if getattr(dataset, "target_transform", None) is None:
        for table in (table.to_numpy() if hasattr(table, "to_numpy") else table for table in tables):
            whole = hasattr(table, "__len__") and len(table) == len(dataset)
            if whole and (labels := label_of((None, table))) is not None:
                return labels
    if hasattr(dataset, "column_names"):
        name = next((key for key in LABEL_KEYS if key in dataset.column_names), None)
        return None if name is None else label_of({"label": np.asarray(list(dataset[name]))})
    if label_of(dataset[0]) is None:
        return None
    found = [label for i in range(len(dataset)) if (label := label_of(dataset[i])) is not None]
    return torch.stack(found) if len(found) == len(dataset) else None


def _of_batches(batches: Iterable[Any], size: int, ndim: int | None, labelled: bool) -> tuple[Any, Tensor | None]:
    paths: list[Path] = []
    items: list[Any] = []
    images, labels, held = [], [], 0
    for batch in batches:
        if isinstance(batch, str | Path):
            paths.append(Path(batch).expanduser())
        elif single := _items_of(batch, ndim):
            items += single
            held += sum(map(_bytes_of, single))
        else:
            images.append(_tensor(_image_in(batch)))
            labels.append(label_of(batch))
            held += images[-1].nbytes
        if held > MAX_MEMORY_BYTES:
            raise ValueError(
                "these batches have more than 1 GiB of images: give a Dataset, whose images are read one by one"
            )
    if paths and not (items or images):
        missing = next((path for path in paths if not path.is_file()), None)
        if missing is not None:
            raise ValueError(f"there is no picture {missing}")
        return image_files(paths, size), None
    if items and not (images or paths):
        return _of_dataset(items, size, labelled)
    if paths or items:
        raise ValueError("give either all pictures, all paths of pictures, or all batches of one shape")
    if not sum(map(len, images)):
        raise ValueError("there are no images to look at")
    if len({tuple(found.shape[1:]) for found in images}) > 1:
        raise ValueError("the batches have images of different shapes")
    known = [label.reshape(-1) for label in labels if label is not None]
    return torch.cat(images), torch.cat(known) if len(known) == len(images) else None


def _bytes_of(item: Any) -> int:
    image = _image_in(item)
    return int(image.nbytes) if hasattr(image, "nbytes") else image.width * image.height * len(image.getbands())
