"""Analyse one layer: compute its singular values, EVBMF ranks, and the error at any ranks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
from torch import Tensor

from workbench.kernels.evbmf import Evbmf, Vector
from workbench.kernels.hosvd import Mode, analyze_mode, as_share, captured
from workbench.kernels.unfolding import IN_MODE, OUT_MODE
from workbench.network.layers import Layer

EIGENVALUES_MACS, EIGENVECTORS_MACS = 1.3, 5.5
"""Time of the eigenvalues of a symmetric matrix, without and with eigenvectors, in multiply-adds of a matrix product
divided by its size cubed; measured on 512 to 4096 channels."""


@dataclass(frozen=True)
class Spectrum:
    """Singular values, EVBMF and predicted errors of one layer; `in_` and `singular_in` are None for Tucker-1."""

    layer: Layer
    out: Evbmf
    in_: Evbmf | None
    singular_out: Vector = field(repr=False)  # descending, dead channels included
    singular_in: Vector | None = field(repr=False)
    captured: Vector = field(repr=False)
    """(out + 1, in + 1) shares of the squared norm that truncated HOSVD keeps at (rank_out, rank_in); the last column
    is Tucker-1."""

    def error(self, *, rank_out: int, rank_in: int | None = None) -> float:
        """Return the relative error ||K - K'|| / ||K|| of truncated HOSVD; for Tucker-1 `rank_in` is None.

        The HOOI of `decompose` is never worse. For Tucker-1 both are the same.
        """
        column = -1 if rank_in is None else rank_in
        row = min(rank_out, self.captured.shape[0] - 1)  # ranks above the unfolding's columns add nothing
        return float(np.sqrt(max(0.0, 1.0 - self.captured[row, column])))


def spectrum(layer: Layer, kernel: Tensor) -> Spectrum:
    """Analyse one kernel (out_channels, in_channels per group, ...) of a layer whose method is tucker1 or tucker2.

    A grouped convolution is analysed group by group: its EVBMF is that of the group with the largest rank, whatever the
    strength; its singular values are root mean squares over the groups, its errors those of all groups together. The
    errors of Tucker-1 follow from the singular values; those of Tucker-2 need the singular vectors of both unfoldings.
    """
    groups, vectors = kernel.chunk(layer.shape.groups), layer.method == "tucker2"
    outs = [analyze_mode(group, OUT_MODE, vectors=vectors) for group in groups]
    out, singular_out = _combine_groups(outs)
    if not vectors:
        return Spectrum(layer, out, None, singular_out, None, as_share(np.cumsum(np.r_[0.0, singular_out**2])[:, None]))
    ins = [analyze_mode(group, IN_MODE) for group in groups]
    in_, singular_in = _combine_groups(ins)
    tables = [captured(group, o.basis, i.basis) for group, o, i in zip(groups, outs, ins, strict=True)]
    return Spectrum(layer, out, in_, singular_out, singular_in, as_share(np.sum(tables, axis=0)))


def analysis_macs(layer: Layer) -> float:
    """Estimate the time of a layer's analysis, in multiply-adds of a matrix product."""
    max_in, max_out = layer.max_ranks
    columns = max_in * prod(layer.shape.kernel_size)
    if layer.method == "tucker1":
        smaller, larger = sorted((max_out, columns))
        return layer.shape.groups * (smaller**2 * larger / 2 + EIGENVALUES_MACS * smaller**3)
    products = 1.5 * max_out * columns * (max_in + max_out)  # half for the Gram matrices, one for `captured`
    return layer.shape.groups * (products + EIGENVECTORS_MACS * (max_in**3 + max_out**3))


def _combine_groups(modes: Sequence[Mode]) -> tuple[Evbmf, Vector]:
    """Return EVBMF of the group with the largest rank, and root mean squares of the singular values."""
    squares = [mode.singular_values**2 for mode in modes]
    return max((mode.evbmf() for mode in modes), key=lambda result: result.rank), np.sqrt(np.mean(squares, axis=0))
