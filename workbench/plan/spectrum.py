"""Analyse one layer: singular values, EVBMF ranks, and the error at any ranks."""

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
"""Multiply-adds that take as long as the eigenvalues of a symmetric matrix, without or with its eigenvectors, divided
by its size cubed; measured on matrices of 512 to 4096 channels."""


@dataclass(frozen=True)
class Spectrum:
    """Singular values, EVBMF and predicted errors of one layer; `in_` and `singular_in` are None for Tucker-1."""

    layer: Layer
    out: Evbmf
    in_: Evbmf | None
    singular_out: Vector = field(repr=False)  # all, dead channels included, descending
    singular_in: Vector | None = field(repr=False)
    captured: Vector = field(repr=False)
    """(out + 1, in + 1), share of the squared norm that truncated HOSVD keeps at (rank_out, rank_in); the last
    column is that of Tucker-1."""

    def error(self, *, rank_out: int, rank_in: int | None = None) -> float:
        """Return the relative error ||K - K'|| / ||K|| of truncated HOSVD; HOOI, used by `decompose`, is never worse.

        Exact for Tucker-1 (`rank_in` None).
        """
        column = -1 if rank_in is None else rank_in
        row = min(rank_out, self.captured.shape[0] - 1)  # ranks above the number of the unfolding's columns add nothing
        return float(np.sqrt(max(0.0, 1.0 - self.captured[row, column])))


def spectrum(layer: Layer, kernel: Tensor) -> Spectrum:
    """Analyse one kernel (out_channels, in_channels per group, ...) of a layer whose method is tucker1 or tucker2.

    A grouped convolution is analysed group by group: its EVBMF is that of the group with the largest rank, at any
    strength, its singular values the root mean squares over the groups, its errors those of all groups together. The
    errors of Tucker-1 follow from its singular values; those of Tucker-2 need the singular vectors of both unfoldings.
    """
    groups, vectors = kernel.chunk(layer.shape.groups), layer.method == "tucker2"
    outs = [analyze_mode(group, OUT_MODE, vectors=vectors) for group in groups]
    out, singular_out = _joined(outs)
    if not vectors:
        return Spectrum(layer, out, None, singular_out, None, as_share(np.cumsum(np.r_[0.0, singular_out**2])[:, None]))
    ins = [analyze_mode(group, IN_MODE) for group in groups]
    in_, singular_in = _joined(ins)
    tables = [captured(group, o.basis, i.basis) for group, o, i in zip(groups, outs, ins, strict=True)]
    return Spectrum(layer, out, in_, singular_out, singular_in, as_share(np.sum(tables, axis=0)))


def analysis_macs(layer: Layer) -> float:
    """Return about how long the analysis of a layer takes, in multiply-adds of a matrix product."""
    ins, outs = layer.max_ranks
    columns = ins * prod(layer.shape.kernel_size)
    if layer.method == "tucker1":
        small, large = sorted((outs, columns))
        return layer.shape.groups * (small**2 * large / 2 + EIGENVALUES_MACS * small**3)
    products = 1.5 * outs * columns * (ins + outs)  # half for the Gram matrices, one for the captured energy
    return layer.shape.groups * (products + EIGENVECTORS_MACS * (ins**3 + outs**3))


def _joined(groups: Sequence[Mode]) -> tuple[Evbmf, Vector]:
    """Return EVBMF of the group with the largest rank, and root mean squares of the singular values."""
    squares = [mode.singular_values**2 for mode in groups]
    return max((mode.evbmf() for mode in groups), key=lambda found: found.rank), np.sqrt(np.mean(squares, axis=0))
