"""Batches of images and of a network's inputs, from whatever holds images; labels are not looked at."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from workbench.network.data import Split, fitting_batch
from workbench.network.network import Network

Images = Any
"""Whatever holds images, see :meth:`~workbench.network.data.Split.of`; for a network whose `example` is a tuple or a
dictionary, batches like that."""

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
        pieces = torch.arange(len(self.images)).split(self.batch_size)
        return (self.network.inputs(self.images.images[piece]) for piece in pieces)

    def __len__(self) -> int:
        return len(self.images) if isinstance(self.images, tuple) else -(-len(self.images) // self.batch_size)


def inputs_of(network: Network, images: Images, *, batch_size: int | None = None) -> InputBatches:
    """Return a network's inputs in batches; an iterable is read into memory, so that they can be iterated again.

    Raises ValueError if there are no images, or they do not fit the network, TypeError if it holds no images.
    """
    held: Split | tuple[Any, ...]
    if network.structured:
        held = (images,) if isinstance(images, type(network.example)) else tuple(images)
    else:
        held = Split.of(images)
    if not len(held):
        where = f"the {images.name} split has" if isinstance(images, Split) else "there are"
        raise ValueError(f"{where} no images to look at")
    found = InputBatches(network, held, batch_size or fitting_batch(network.input_shape))
    next(iter(found))  # raises if they are of another shape
    return found


def random_view(network: Network, images: Tensor, generator: torch.Generator) -> Any:
    """Return images as a network's inputs, each cropped at random, rescaled and perhaps mirrored.

    Images of the input's size (and so may be text) are taken as they are.
    """
    size = tuple(network.input_shape[1:])
    if images.ndim != 4 or len(size) != 2 or tuple(images.shape[2:]) == size:
        return network.inputs(images)
    cut = []
    for image in images:
        share, down, right, mirrored = torch.rand(4, generator=generator).tolist()
        share = MIN_CROP_SHARE + (1 - MIN_CROP_SHARE) * share
        height, width = (max(1, round(share * side)) for side in image.shape[1:])
        top, left = round(down * (image.shape[1] - height)), round(right * (image.shape[2] - width))
        piece = image[:, top : top + height, left : left + width].float()[None]
        piece = interpolate(piece, size, mode="bilinear", antialias=True, align_corners=False)
        cut.append(piece.flip(-1) if mirrored < 0.5 else piece)
    pieces = torch.cat(cut)
    return network.inputs((pieces if images.is_floating_point() else pieces.round()).to(images.dtype))
