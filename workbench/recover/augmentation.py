"""Mild augmentation of small images: mirrored, and moved by a few pixels."""

import torch
from torch import Tensor
from torch.nn.functional import pad


def augmented(images: Tensor, generator: torch.Generator, *, flip: bool = False, shift: int = 0) -> Tensor:
    """Mirror each image left to right with probability 1/2, and shift it by up to `shift` pixels; black comes in.

    Parameters
    ----------
    images : (n, channels, height, width) of any type, in which zero is black: before a network's preprocessing.
    shift : at most this many pixels up, down, left or right, each as likely as any other.

    Returns
    -------
    images of the same shape and type; the given ones are not changed.
    """
    n, channels, height, width = images.shape
    columns = torch.arange(width).expand(n, width)
    rows = torch.arange(height).expand(n, height)
    if flip:
        mirrored = torch.rand(n, generator=generator) < 0.5
        columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    if shift:
        moves = torch.randint(2 * shift + 1, (2, n, 1), generator=generator)
        images = pad(images, (shift,) * 4)
        rows, columns = rows + moves[0], columns + moves[1]
    which = torch.arange(n)[:, None, None, None]
    channel = torch.arange(channels)[None, :, None, None]
    return images[which, channel, rows[:, None, :, None], columns[:, None, None, :]]
