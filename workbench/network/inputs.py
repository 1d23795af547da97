"""Batches of images and of a network's inputs, from whatever holds images; labels are not looked at."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from workbench.network.data import Split, fitting_batch
from workbench.network.network import Network

Images = Split | Tensor | Iterable[Tensor]
"""Images as the data hold them: a Split, a tensor (n, channels, height, width), or an iterable of batches."""

MIN_CROP_SHARE = 0.6
"""Smallest side of a random crop, as a share of the image's side."""


def batches_of(images: Images, size: int) -> Iterator[Tensor]:
    """Yield batches of at most `size` images, of an iterable its own batches; raise if there are no images."""
    wanted = "images is a Split, a tensor or batches of images, not"
    if isinstance(images, Split | Tensor):
        held = images.images if isinstance(images, Split) else images
        source: Iterable[object] = (held[piece] for piece in torch.arange(len(held)).split(size))
    elif isinstance(images, Iterable):
        source = images
    else:
        raise TypeError(f"{wanted} a {type(images).__name__}")
    empty = True
    for batch in source:
        found = batch[0] if isinstance(batch, tuple | list) else batch
        if not isinstance(found, Tensor):
            raise TypeError(f"{wanted} batches of {type(found).__name__}")
        if len(found):
            empty = False
            yield found
    if empty:
        raise ValueError("there are no images to look at")


@dataclass(frozen=True, eq=False)
class InputBatches:
    """Batches of a network's inputs, the same ones at each iteration."""

    network: Network
    images: Split | Tensor | tuple[Tensor, ...]
    batch_size: int

    def __iter__(self) -> Iterator[Tensor]:
        return map(self.network.inputs, batches_of(self.images, self.batch_size))


def inputs_of(network: Network, images: Images, *, batch_size: int | None = None) -> InputBatches:
    """Return a network's inputs in batches; an iterable is read into memory, so that they can be iterated again.

    Raises ValueError if there are no images, or they do not fit the network, TypeError if it holds no images.
    """
    held = images if isinstance(images, Split | Tensor) else tuple(batches_of(images, 1))
    found = InputBatches(network, held, batch_size or fitting_batch(network.input_shape))
    next(iter(found))  # raises if there are none, or of another shape
    return found


def random_view(network: Network, images: Tensor, generator: torch.Generator) -> Tensor:
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
