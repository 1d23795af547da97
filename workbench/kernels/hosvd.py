"""Singular values and left singular vectors of both unfoldings of a kernel, and the energy that any ranks keep.

Singular values are square roots of the eigenvalues of the Gram matrix, summed in float64 whatever the dtype. An
eigenvalue then has an absolute error of about eps * s_1^2, so a singular value a relative one of about
eps (s_1 / s_h)^2: below 1e-6 as long as s_h > 1e-5 s_1. If a live singular value of an unfolding is smaller
(``MIN_GRAM_RATIO``), that unfolding goes through a full float64 SVD. Dead channels, all zero or below what float32
can tell from zero beside the largest, are left out first, and counted.

Gram matrices and projections are summed over blocks of channels: beside the kernel only a block and
(channels x channels) matrices are held, well below three times the kernel even for VGG-16's 25088 -> 4096.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.kernels.evbmf import Evbmf, evbmf
from workbench.kernels.unfolding import IN_MODE, OUT_MODE, unfold

Vector = NDArray[np.float64]

MIN_GRAM_RATIO = 1e-5
"""Smallest s_h / s_1 that is taken from a Gram matrix."""

MIN_LIVE_NORM = float(torch.finfo(torch.float32).eps)
"""Norm of a channel, as a share of the largest one, below which it is dead."""

MAX_BLOCK_ENTRIES = 8_000_000
"""Entries of a kernel that are held in float64 at a time."""


@dataclass(frozen=True)
class Mode:
    """Spectrum of one unfolding (channels x all other entries).

    Attributes
    ----------
    singular_values : (min(shape),) descending, dead channels included as zeros.
    basis : (channels, channels) left singular vectors, strongest first.
    shape : of the unfolding.
    live : (rows, columns) of the unfolding without dead ones.
    """

    singular_values: Vector
    basis: Tensor
    shape: tuple[int, int]
    live: tuple[int, int]

    def evbmf(self) -> Evbmf:
        """Return EVBMF of the unfolding without its dead rows and columns."""
        found = evbmf(self.singular_values[: min(self.live)], self.live)
        rows, columns = (a - b for a, b in zip(self.shape, self.live, strict=True))
        return replace(found, dead_rows=rows, dead_columns=columns)


def analyze_mode(kernel: Tensor, mode: int) -> Mode:
    """Return singular values and left singular vectors of one unfolding.

    Parameters
    ----------
    kernel : (out_channels, in_channels, ...), any floating dtype, any device.
    mode : ``OUT_MODE`` or ``IN_MODE``.
    """
    channels = kernel.shape[mode]
    columns = kernel.numel() // max(1, channels)
    g = gram(kernel, mode)
    norms = g.diagonal().clamp(min=0).sqrt()
    squares, vectors = torch.linalg.eigh(g)
    del g
    largest = float(norms.max()) if channels else 0.0
    rows = int((norms > MIN_LIVE_NORM * largest).sum())
    live = (rows, _live_columns(kernel, mode)) if largest > 0 else (0, 0)
    s = squares.flip(0).clamp(min=0).sqrt().numpy(force=True)[: min(channels, columns)]
    basis = vectors.flip(1)
    kept = min(live)
    if kept and s[kept - 1] <= MIN_GRAM_RATIO * s[0]:
        u, exact, _ = torch.linalg.svd(unfold(kernel.detach().double(), mode), full_matrices=False)
        s = exact.numpy(force=True)
        basis = u if u.shape[1] == channels else basis
    return Mode(s, basis, (channels, columns), live)


def gram(kernel: Tensor, mode: int) -> Tensor:
    """Return the unfolding times its transpose, (channels, channels), in float64, summed over blocks."""
    channels = kernel.shape[mode]
    result = torch.zeros(channels, channels, dtype=torch.float64, device=kernel.device)
    for block in _blocks(kernel, IN_MODE if mode == OUT_MODE else OUT_MODE):
        matrix = unfold(block, mode)
        result.addmm_(matrix, matrix.mT)
    return result


def project(kernel: Tensor, factor: Tensor, mode: int) -> Tensor:
    """Return the mode product with the factor's transpose, in float64: the channels of `mode` become ranks."""
    if mode == OUT_MODE:  # rows of one matrix product, where tensordot would copy the kernel
        parts = [(factor.mT @ b.flatten(1)).reshape(-1, *b.shape[1:]) for b in _blocks(kernel, IN_MODE)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=IN_MODE)
    parts = [torch.tensordot(b, factor, dims=([IN_MODE], [0])).movedim(-1, IN_MODE) for b in _blocks(kernel, OUT_MODE)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def captured(kernel: Tensor, basis_out: Tensor, basis_in: Tensor) -> Vector:
    """Return the squared norm that truncated HOSVD keeps at each pair of ranks, (out + 1, in + 1)."""
    energy = torch.zeros(basis_out.shape[1], basis_in.shape[1], dtype=torch.float64, device=kernel.device)
    for tap in kernel.detach().flatten(2).unbind(2) if kernel.ndim > 2 else [kernel.detach()]:
        energy += (basis_out.mT @ tap.double() @ basis_in).square_()
    table = np.zeros((energy.shape[0] + 1, energy.shape[1] + 1))
    table[1:, 1:] = energy.cumsum(0).cumsum(1).numpy(force=True)
    return table


def as_share(table: Vector) -> Vector:
    """Return cumulative squares divided by the last; all ones if everything is zero."""
    whole = table[-1, -1]
    return table / whole if whole > 0 else np.ones_like(table)


def _live_columns(kernel: Tensor, mode: int) -> int:
    squares = torch.zeros(kernel.numel() // kernel.shape[mode], dtype=torch.float64, device=kernel.device)
    for block in _blocks(kernel, mode):
        squares += torch.linalg.vector_norm(unfold(block, mode), dim=0).square()
    return int((squares > MIN_LIVE_NORM**2 * squares.max()).sum())


def _blocks(kernel: Tensor, mode: int) -> Iterator[Tensor]:
    """Yield the kernel along a mode in float64, in blocks of ``MAX_BLOCK_ENTRIES`` entries or one channel."""
    per_channel = kernel.numel() // max(1, kernel.shape[mode])
    for block in kernel.detach().split(max(1, MAX_BLOCK_ENTRIES // max(1, per_channel)), dim=mode):
        yield block.double()
