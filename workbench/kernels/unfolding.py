"""Tensors as matrices: the mode-n unfolding and its inverse."""

from collections.abc import Sequence
from math import prod

from torch import Tensor

OUT_MODE, IN_MODE = 0, 1
"""Modes of a PyTorch kernel (out_channels, in_channels, height, width): the paper's modes 4 and 3."""


def unfold(tensor: Tensor, mode: int) -> Tensor:
    """Mode-`mode` unfolding: the fibres of one mode as the columns of a matrix.

    Parameters
    ----------
    tensor : any shape ``(d0, d1, ...)``
    mode : which dimension becomes the rows; for a kernel ``OUT_MODE`` or ``IN_MODE``.

    Returns
    -------
    Tensor of shape ``(d_mode, product of the others)``; the others keep their order, as in tensorly.

    References: Kolda and Bader, SIAM Review 2009, sec. 2.4 (up to the order of columns).
    """
    if not -tensor.ndim <= mode < tensor.ndim:
        raise ValueError(f"cannot unfold along mode {mode}: the tensor has {tensor.ndim} dimensions")
    return tensor.movedim(mode, 0).reshape(tensor.shape[mode], -1)


def fold(matrix: Tensor, mode: int, shape: Sequence[int]) -> Tensor:
    """Inverse of :func:`unfold`: a matrix back into a tensor of the given full `shape`."""
    moved = [shape[mode], *(d for i, d in enumerate(shape) if i != mode % len(shape))]
    if matrix.numel() != prod(shape) or matrix.shape[0] != shape[mode]:
        raise ValueError(f"a matrix {tuple(matrix.shape)} does not fold along mode {mode} into {tuple(shape)}")
    return matrix.reshape(moved).movedim(0, mode)
