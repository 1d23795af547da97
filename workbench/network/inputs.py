"""Convert any source of images to splits, and to batches of a network's inputs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from workbench.network.data import Data, Split, empty_split, fitting_batch
from workbench.network.images.folders import DEFAULT_SIZE, SPLITS, LazyImages
from workbench.network.images.load import load_images
from workbench.network.network import Network

Images = Any
"""Any source of images, see :meth:`~workbench.network.data.Split.of`; for a network whose `example` is a tuple or a
dictionary, batches of that structure."""

TRAIN_SHARE, VALIDATION_SHARE = 0.4, 0.1
"""Shares of a folder of images that become training and validation images; all others are test images."""

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue."""

MIN_CROP_SHARE = 0.6
"""Smallest side of a random crop, as a share of the image's side."""


@dataclass(frozen=True, eq=False)
class InputBatches:
    """Batches of a network's inputs, the same ones at each iteration."""

    network: Network
    images: Split | tuple[Any, ...]
    batch_size: int

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.images, tuple):
            return map(self.network.inputs, self.images)
        batches = torch.arange(len(self.images)).split(self.batch_size)
        return (self.network.inputs(self.images.images[indices]) for indices in batches)

    def __len__(self) -> int:
        return len(self.images) if isinstance(self.images, tuple) else -(-len(self.images) // self.batch_size)


def image_size(network: Network) -> int:
    """Return the pixels of the shorter side that a network needs of images from files."""
    largest = max(network.input_shape[1:], default=DEFAULT_SIZE)
    return int(getattr(network.preprocessing, "shorter", largest))


def split_of(network: Network, images: Images, name: str = "images", *, labelled: bool = True) -> Split:
    """Return images as a Split; files are read in the network's size, and their folders are named like its classes.

    Raises TypeError or ValueError as :meth:`~workbench.network.data.Split.of` does.
    """
    size, ndim = image_size(network), len(network.input_shape) + 1
    split = Split.of(images, name, size=size, classes=network.classes, ndim=ndim, labelled=labelled)
    from_files = isinstance(images, str | Path) or isinstance(split.images, LazyImages)
    return split if isinstance(images, Split) or not from_files else _in_channels(network, split)


def in_channels(network: Network, data: Data) -> Data:
    """Convert images to a network's number of channels: RGB to luminance (ITU-R 601), or grey to RGB."""
    train, validation, test = (_in_channels(network, split) for split in (data.train, data.validation, data.test))
    return replace(data, train=train, validation=validation, test=test)


def _in_channels(network: Network, split: Split) -> Split:
    shape, channels = tuple(split.images.shape), network.input_shape[0]
    if len(shape) != 4 or (channels, shape[1]) not in ((1, 3), (3, 1)):
        return split
    read = partial(_read_luminance if channels == 1 else _read_grey_as_rgb, split.images)
    return replace(split, images=LazyImages(read, (len(split), channels, *shape[2:])))


def _read_luminance(images: Any, index: Tensor) -> Tensor:
    colours: Tensor = images[index]
    luminance = (colours.float() * torch.tensor(LUMINANCE)[:, None, None]).sum(1, keepdim=True)
    return luminance if colours.is_floating_point() else luminance.round().to(colours.dtype)


def _read_grey_as_rgb(images: Any, index: Tensor) -> Tensor:
    grey: Tensor = images[index]
    return grey.expand(-1, 3, -1, -1)


def data_of(network: Network, data: Any) -> Data:
    """Return any source of images as a Data.

    A Data is returned unchanged. A path is a folder or ZIP file for `load_data("images")`: if it has no folders of
    splits, 40 % of its images become training and 10 % validation images (without labels, half and half). A dictionary,
    as of Hugging Face, has the splits by name. Anything else holds training images.
    """
    if isinstance(data, Data):
        return data
    if isinstance(data, str | Path):
        size, classes = image_size(network), network.classes
        loaded = load_images(data, size=size, classes=classes, train=TRAIN_SHARE, validation=VALIDATION_SHARE)
        return in_channels(network, loaded)
    has_splits = isinstance(data, Mapping) and any(name in data for names in SPLITS.values() for name in names)
    sources = data if has_splits else {"train": data}
    keys = {split: name for split, names in SPLITS.items() for name in names if name in sources}
    splits = {split: split_of(network, sources[name], split) for split, name in keys.items()}
    shape = next(iter(splits.values())).images.shape[1:]
    train, validation, test = (splits.get(split, empty_split(split, *shape)) for split in SPLITS)
    return Data(train, validation, test)


def inputs_of(network: Network, images: Images, *, batch_size: int | None = None) -> InputBatches:
    """Return a network's inputs in batches; an iterable is read into memory, so that it can be iterated again.

    Raises ValueError if there are no images or they do not fit the network, TypeError if `images` holds no images.
    """
    source: Split | tuple[Any, ...]
    if network.structured:
        source = (images,) if isinstance(images, type(network.example)) else tuple(images)
    else:
        source = split_of(network, images, labelled=False)
    if not len(source):
        subject = f"the {images.name} split has" if isinstance(images, Split) else "there are"
        raise ValueError(f"{subject} no images to look at")
    batches = InputBatches(network, source, batch_size or fitting_batch(network.input_shape))
    next(iter(batches))  # raises if the images have another shape
    return batches


def random_view(network: Network, images: Tensor, generator: torch.Generator) -> Any:
    """Return images as a network's inputs, each cropped at random, rescaled, and mirrored in half of the cases.

    Images of the input's size are not changed: they may be text.
    """
    size = tuple(network.input_shape[1:])
    if images.ndim != 4 or len(size) != 2 or tuple(images.shape[2:]) == size:
        return network.inputs(images)
    crops = []
    for image in images:
        share, down, right, mirror = torch.rand(4, generator=generator).tolist()
        share = MIN_CROP_SHARE + (1 - MIN_CROP_SHARE) * share
        height, width = (max(1, round(share * side)) for side in image.shape[1:])
        top, left = round(down * (image.shape[1] - height)), round(right * (image.shape[2] - width))
        crop = image[:, top : top + height, left : left + width].float()[None]
        crop = interpolate(crop, size, mode="bilinear", antialias=True, align_corners=False)
        crops.append(crop.flip(-1) if mirror < 0.5 else crop)
    views = torch.cat(crops)
    return network.inputs((views if images.is_floating_point() else views.round()).to(images.dtype))
