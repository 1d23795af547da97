"""Mode-n unfolding: a tensor as a matrix."""

from torch import Tensor

OUT_MODE, IN_MODE = 0, 1
"""Modes of a PyTorch kernel (out_channels, in_channels, height, width): the paper's modes 4 and 3."""


def unfold(tensor: Tensor, mode: int) -> Tensor:
    """Return the mode-`mode` unfolding: the fibres of one mode as the columns of a matrix.

    Parameters
    ----------
    mode : the dimension that becomes the rows; for a kernel ``OUT_MODE`` or ``IN_MODE``.

    Returns
    -------
    (d_mode, product of the others); the others keep their order, as in tensorly.

    References: Kolda and Bader, SIAM Review 2009, sec. 2.4 (up to the order of columns).
    """
    if not -tensor.ndim <= mode < tensor.ndim:
        raise ValueError(f"cannot unfold along mode {mode}: the tensor has {tensor.ndim} dimensions")
    return tensor.movedim(mode, 0).flatten(1)
