"""Unlabelled inputs for a network: from a split, whose labels are not looked at, or from tensors."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from workbench.network.data import Split, fitting_batch
from workbench.network.network import Network

Inputs = Split | Iterable[Tensor]
PLACES = ((0.5, 0.5), (0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (1.0, 0.0))
"""Where crops are cut, as shares of the room there is: the centre first, then the corners."""


@dataclass(frozen=True, eq=False)
class Views:
    """The images of a split as a network's inputs, each in up to ten views.

    Parameters
    ----------
    network : whose inputs.
    split : its labels are never asked for.
    views : 1 is what the network's own preprocessing does. More are the four corners where images are larger than
        the input, then all of those mirrored; images that are no larger (and so may be text) are never mirrored
        and have one view.
    batch_size : of inputs; None for as many as fit.
    """

    network: Network
    split: Split
    views: int = 1
    batch_size: int | None = None

    def __iter__(self) -> Iterator[Tensor]:
        size = self.batch_size or fitting_batch(self.network.input_shape)
        for view in range(min(self.views, self.available)):
            for index in torch.arange(len(self.split)).split(size):
                yield self.network.inputs(self.cut(self.split.images[index], view))

    @property
    def available(self) -> int:
        """How many different views there are."""
        larger = tuple(self.split.images.shape[2:]) != tuple(self.network.input_shape[1:])
        return 2 * len(PLACES) if larger and len(self.network.input_shape) == 3 else 1

    def cut(self, images: Tensor, view: int) -> Tensor:
        """The images (n, channels, height, width) cropped and mirrored for one view."""
        if self.available == 1 or view == 0:
            return images
        rows, columns = (room - size for room, size in zip(images.shape[2:], self.network.input_shape[1:], strict=True))
        down, right = PLACES[view % len(PLACES)]
        top, left = round(down * rows), round(right * columns)
        height, width = self.network.input_shape[1:]
        piece = images[..., top : top + height, left : left + width]
        return piece.flip(-1) if view >= len(PLACES) else piece


SMALLEST = 0.6
"""Smallest side of a random crop, as a share of the image's."""


def random_view(network: Network, images: Tensor, generator: torch.Generator) -> Tensor:
    """Images of a split as a network's inputs, each cut out at random, rescaled and perhaps mirrored.

    Images that are no larger than the input are given as they are.
    """
    size = tuple(network.input_shape[1:])
    if images.ndim != 4 or len(size) != 2 or tuple(images.shape[2:]) == size:
        return network.inputs(images)
    cut = []
    for image in images:
        share, down, right, mirrored = torch.rand(4, generator=generator).tolist()
        share = SMALLEST + (1 - SMALLEST) * share
        height, width = (max(1, round(share * side)) for side in image.shape[1:])
        top, left = round(down * (image.shape[1] - height)), round(right * (image.shape[2] - width))
        piece = image[:, top : top + height, left : left + width].float()[None]
        piece = interpolate(piece, size, mode="bilinear", antialias=True, align_corners=False)
        cut.append(piece.flip(-1) if mirrored < 0.5 else piece)
    pieces = torch.cat(cut)
    return network.inputs((pieces if images.is_floating_point() else pieces.round()).to(images.dtype))


def inputs_of(network: Network, images: Inputs, views: int = 1, batch_size: int | None = None) -> Iterable[Tensor]:
    """Batches of a network's inputs, the same ones at each iteration.

    Parameters
    ----------
    images : a Split, or batches of inputs as the model takes them; an iterator is read into memory.

    Raises
    ------
    ValueError : if there are none.
    TypeError : if it is something else.
    """
    if isinstance(images, Split):
        if not len(images):
            raise ValueError(f"the {images.name} split has no images to look at")
        return Views(network, images, views, batch_size)
    if isinstance(images, Tensor):
        images = images.split(batch_size or fitting_batch(network.input_shape))
    if not isinstance(images, Iterable):
        raise TypeError(f"images is a Split or batches of inputs, not a {type(images).__name__}")
    found = list(images) if iter(images) is images else images
    first = next(iter(found), None)
    if first is None:
        raise ValueError("there are no images to look at")
    if not isinstance(first, Tensor) or tuple(first.shape[1:]) != network.input_shape:
        what = tuple(first.shape[1:]) if isinstance(first, Tensor) else type(first).__name__
        raise ValueError(f"{network.name} takes batches of inputs of shape {network.input_shape}, these have {what}")
    return found
