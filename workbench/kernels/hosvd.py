"""Singular values and left singular vectors of a kernel's unfoldings, and the squared norm that ranks keep.

Singular values are square roots of the eigenvalues of the Gram matrix, summed in float64 whatever the dtype. An
eigenvalue has an absolute error of about eps * s_1^2, so a singular value has a relative error of about
eps (s_1 / s_h)^2: below 1e-6 if s_h > 1e-5 s_1. If a live singular value of an unfolding is smaller
(``MIN_GRAM_RATIO``), that unfolding goes through a full float64 SVD. Dead channels (all zero, or below the precision
of float32 beside the largest) are counted, so that EVBMF can leave them out.

Gram matrices and projections are summed over blocks of channels, so that memory holds the kernel, one block and
(channels x channels) matrices: well below three times the kernel even for VGG-16's 25088 -> 4096. A Gram matrix is
symmetric: little more than half of it is computed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from workbench.kernels.evbmf import Evbmf, Vector, evbmf
from workbench.kernels.unfolding import unfold

MIN_GRAM_RATIO = 1e-5
"""Smallest s_h / s_1 that is taken from a Gram matrix."""

MIN_LIVE_NORM = float(torch.finfo(torch.float32).eps)
"""A row is dead up to this norm, a column up to this largest entry, as a share of the largest of all."""

MAX_BLOCK_ENTRIES = 8_000_000
"""Entries of a kernel that are converted to float64 at a time."""

GRAM_ROWS = 256
"""Rows of a Gram matrix that are computed at a time, each from the first column to the diagonal."""


@dataclass(frozen=True)
class Mode:
    """Spectrum of one unfolding (channels x all other entries)."""

    singular_values: Vector  # (min(shape),) descending, dead channels included as zeros
    basis: Tensor  # (channels, channels) left singular vectors, strongest first; (any, 0) if not computed
    shape: tuple[int, int]
    live: tuple[int, int]  # shape without dead rows and columns

    def evbmf(self) -> Evbmf:
        """Return EVBMF of the unfolding without its dead rows and columns."""
        result = evbmf(self.singular_values[: min(self.live)], self.live)
        rows, columns = (a - b for a, b in zip(self.shape, self.live, strict=True))
        return replace(result, dead_rows=rows, dead_columns=columns)


def analyze_mode(kernel: Tensor, mode: int, *, vectors: bool = True) -> Mode:
    """Return the singular values of one unfolding of a kernel (out, in, ...), and by default its left singular vectors.

    Without the vectors it takes a quarter of the time, or less if the kernel is a matrix with fewer columns than rows.
    """
    channels = kernel.shape[mode]
    columns = kernel.numel() // channels
    if not vectors and columns == kernel.shape[1 - mode] < channels:
        transposed = analyze_mode(kernel, 1 - mode, vectors=False)
        return replace(transposed, shape=transposed.shape[::-1], live=transposed.live[::-1])
    g = gram(kernel, mode)
    k = kernel.detach()
    largest = torch.maximum(k.amax(mode), -k.amin(mode))  # of each column, without a copy in float64
    live = _live_count(g.diagonal().sqrt()), _live_count(largest)
    eigenvalues, basis = torch.linalg.eigh(g) if vectors else (torch.linalg.eigvalsh(g), g[:, :0].clone())
    del g
    basis = basis.flip(1)
    s = eigenvalues.flip(0).clamp(min=0).sqrt().numpy(force=True)[: min(channels, columns)]
    if min(live) and s[min(live) - 1] <= MIN_GRAM_RATIO * s[0]:
        unfolded = unfold(kernel.detach().double(), mode)
        if vectors:
            u, singular_values, _ = torch.linalg.svd(unfolded, full_matrices=False)
            basis = u if u.shape[1] == channels else basis
        else:
            singular_values = torch.linalg.svdvals(unfolded)
        s = singular_values.numpy(force=True)
    return Mode(s, basis, (channels, columns), live)


def leading_basis(kernel: Tensor, mode: int) -> Tensor:
    """Return the left singular vectors of an unfolding in float64, strongest first, (channels, channels)."""
    vectors: Tensor = torch.linalg.eigh(gram(kernel, mode))[1]  # eigh reads the lower triangle
    return vectors.flip(1)


def gram(kernel: Tensor, mode: int) -> Tensor:
    """Return the lower triangle of the unfolding times its transpose, in float64, summed over blocks."""
    channels = kernel.shape[mode]
    result = torch.zeros(channels, channels, dtype=torch.float64, device=kernel.device)
    for block in _blocks(kernel, 1 - mode):
        matrix = unfold(block, mode)
        for begin in range(0, channels, GRAM_ROWS):
            end = begin + GRAM_ROWS
            result[begin:end, :end].addmm_(matrix[begin:end], matrix[:end].mT)
    return result


def project(kernel: Tensor, factor: Tensor, mode: int) -> Tensor:
    """Return the mode product with the factor's transpose, in float64: the channels of `mode` become ranks."""
    parts = []
    for block in _blocks(kernel, 1 - mode):
        channels_first = block.movedim(mode, 0)
        parts.append((factor.mT @ channels_first.flatten(1)).unflatten(1, channels_first.shape[1:]).movedim(0, mode))
    return torch.cat(parts, dim=1 - mode)


def captured(kernel: Tensor, basis_out: Tensor, basis_in: Tensor) -> Vector:
    """Return the squared norm that truncated HOSVD keeps at each pair of ranks, (out + 1, in + 1)."""
    squares = torch.zeros(basis_out.shape[1], basis_in.shape[1], dtype=torch.float64, device=kernel.device)
    by_tap = kernel.detach().flatten(2).mT if kernel.ndim > 2 else kernel.detach()[:, None]  # (out, taps, in)
    for block in by_tap.split(max(1, MAX_BLOCK_ENTRIES // squares.numel()), dim=1):
        projected = block.double(memory_format=torch.contiguous_format) @ basis_in
        coefficients = basis_out.mT @ projected.flatten(1)  # a batched product would copy the basis
        squares += coefficients.square_().unflatten(1, projected.shape[1:]).sum(1)
    return np.pad(squares.cumsum(0).cumsum(1).numpy(force=True), ((1, 0), (1, 0)))


def as_share(table: Vector) -> Vector:
    """Return cumulative squares divided by the last; all ones if everything is zero."""
    total = table[-1, -1]
    return table / total if total > 0 else np.ones_like(table)


def _live_count(norms: Tensor) -> int:
    """Return how many rows or columns with these norms are not dead."""
    return int((norms > MIN_LIVE_NORM * norms.max()).sum())


def _blocks(kernel: Tensor, mode: int) -> Iterator[Tensor]:
    """Yield float64 blocks of a kernel along a mode, of at most ``MAX_BLOCK_ENTRIES`` entries or of one channel."""
    per_channel = kernel.numel() // kernel.shape[mode]
    for block in kernel.detach().split(max(1, MAX_BLOCK_ENTRIES // per_channel), dim=mode):
        yield block.double()
