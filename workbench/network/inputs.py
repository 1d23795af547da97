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

CROP_PLACES = ((0.5, 0.5), (0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (1.0, 0.0))
"""Where crops are cut, as shares of the margin: the centre first, then the corners."""

MIN_CROP_SHARE = 0.6
"""Smallest side of a random crop, as a share of the image's side."""


def batches_of(images: Images, size: int) -> Iterator[Tensor]:
    """Yield batches of at most `size` images, of an iterable its own batches.

    Raises
    ------
    ValueError : if there are none.
    TypeError : if it holds no images.
    """
    if isinstance(images, Split | Tensor) and not len(images):
        where = f"the {images.name} split has" if isinstance(images, Split) else "there are"
        raise ValueError(f"{where} no images to look at")
    if isinstance(images, Split | Tensor):
        source: Iterable[object] = (
            images.images[piece] if isinstance(images, Split) else images[piece]
            for piece in torch.arange(len(images)).split(size)
        )
    elif isinstance(images, Iterable):
        source = images
    else:
        raise TypeError(f"images is a Split, a tensor or batches of images, not a {type(images).__name__}")
    empty = True
    for batch in source:
        found = batch[0] if isinstance(batch, tuple | list) else batch
        if not isinstance(found, Tensor):
            raise TypeError(f"images is a Split, a tensor or batches of images, not batches of {type(found).__name__}")
        empty = empty and not len(found)
        yield found
    if empty:
        raise ValueError("there are no images to look at")


@dataclass(frozen=True, eq=False)
class InputBatches:
    """Batches of a network's inputs, the same ones at each iteration, each image in up to ten views.

    Parameters
    ----------
    network : whose inputs.
    images : a tuple of tensors or a Split.
    views : 1 for what the network's preprocessing does. More are the corners where images are larger than the input,
        then all of those mirrored; images that are no larger (and so may be text) are never mirrored.
    batch_size : inputs at a time; None for as many as fit.
    """

    network: Network
    images: Split | Tensor | tuple[Tensor, ...]
    views: int = 1
    batch_size: int | None = None

    def __iter__(self) -> Iterator[Tensor]:
        size = self.batch_size or fitting_batch(self.network.input_shape)
        for view in range(self.views):
            for batch in batches_of(self.images, size):
                if view < self.views_of(batch):
                    yield self.network.inputs(self.cut(batch, view))

    def views_of(self, images: Tensor) -> int:
        """Return how many different views there are of these images."""
        shape = self.network.input_shape
        if len(shape) != 3 or images.ndim != 4 or tuple(images.shape[2:]) == shape[1:]:
            return 1
        fits = all(side >= wanted for side, wanted in zip(images.shape[2:], shape[1:], strict=True))
        return 2 * len(CROP_PLACES) if fits else 1

    def cut(self, images: Tensor, view: int) -> Tensor:
        """Return the images (n, channels, height, width) cropped and mirrored for one view."""
        if view == 0:
            return images
        height, width = self.network.input_shape[1:]
        down, right = CROP_PLACES[view % len(CROP_PLACES)]
        top, left = round(down * (images.shape[2] - height)), round(right * (images.shape[3] - width))
        piece = images[..., top : top + height, left : left + width]
        return piece.flip(-1) if view >= len(CROP_PLACES) else piece


def inputs_of(network: Network, images: Images, *, views: int = 1, batch_size: int | None = None) -> InputBatches:
    """Return a network's inputs in batches that can be iterated again and again.

    Parameters
    ----------
    images : as the data hold them; an iterable of batches is read into memory.

    Raises
    ------
    ValueError : if there are no images, or they do not fit the network.
    TypeError : if it holds no images.
    """
    held = images if isinstance(images, Split | Tensor) else tuple(batches_of(images, 1))
    found = InputBatches(network, held, views, batch_size)
    next(iter(found))  # raises if there are none, or of another shape
    return found


def random_view(network: Network, images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images as a network's inputs, each cropped at random, rescaled and perhaps mirrored.

    Images that are no larger than the input are taken as they are.
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
