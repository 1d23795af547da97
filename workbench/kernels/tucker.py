r"""Tucker-2 and Tucker-1 decompositions of convolution kernels: small cores between orthonormal factors.

They are computed in float64 from Gram matrices and symmetric eigenvalues, and returned in the dtype and on the device
of the kernel. Rounding changes the squared error of a projection by about 1e-15 of the kernel's squared norm.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.kernels.hosvd import MAX_BLOCK_ENTRIES, leading_basis, project
from workbench.kernels.unfolding import IN_MODE, OUT_MODE, unfold

MAX_SWEEPS = 50
MIN_GAIN = 1e-5
"""HOOI stops when an update lowers the squared error by less than this share of itself."""

EPS = 4 * torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class Tucker2:
    """K[t, s, ...] ~ sum_ab core[a, b, ...] factor_out[t, a] factor_in[s, b]; factor columns are orthonormal."""

    core: Tensor  # (rank_out, rank_in, height, width)
    factor_in: Tensor  # (in_channels, rank_in)
    factor_out: Tensor  # (out_channels, rank_out)

    def reconstruct(self) -> Tensor:
        """Return the product of the factors, (out_channels, in_channels, height, width)."""
        return torch.einsum("ab...,ta,sb->ts...", self.core, self.factor_out, self.factor_in)


@dataclass(frozen=True)
class Tucker1:
    """K[t, ...] ~ sum_a core[a, ...] factor_out[t, a]: the truncated SVD of the output unfolding."""

    core: Tensor  # (rank_out, in_channels, height, width), or (rank_out, in_features) of a matrix
    factor_out: Tensor  # (out_channels, rank_out), orthonormal columns

    def reconstruct(self) -> Tensor:
        """Return the product of the factors, (out_channels, in_channels, ...)."""
        return torch.einsum("a...,ta->t...", self.core, self.factor_out)


def tucker2(
    kernel: Tensor,
    *,
    rank_in: int,
    rank_out: int,
    bases: tuple[Tensor, Tensor] | None = None,
    max_sweeps: int = MAX_SWEEPS,
    tolerance: float = MIN_GAIN,
) -> Tucker2:
    r"""Tucker-2 decomposition of a convolution kernel over its two channel modes.

    .. math:: K_{tsij} \approx \sum_{a,b} C_{abij} U^{(4)}_{ta} U^{(3)}_{sb}

    Truncated HOSVD is followed by alternating sweeps (HOOI) that never raise the error; a sweep updates each factor by
    one step of subspace iteration. They stop when an update lowers the squared error by less than `tolerance` of
    itself, or after `max_sweeps`.

    Parameters
    ----------
    kernel : (out_channels, in_channels, height, width), or any number of spatial dimensions.
    rank_in, rank_out : paper's R3, R4; 1 <= rank_in <= in_channels, likewise rank_out.
    bases : left singular vectors of the (output, input) unfolding; None to compute them.

    Returns
    -------
    Tucker2 with core (rank_out, rank_in, height, width), factor_in (in_channels, rank_in) and
    factor_out (out_channels, rank_out); factor columns are orthonormal and their largest entry is positive.

    Raises
    ------
    ValueError : if a rank does not fit the kernel's shape (both are named), or an entry is not finite.

    Examples
    --------
    >>> kernel = torch.randn(8, 6, 3, 3, generator=torch.Generator().manual_seed(0))
    >>> parts = tucker2(kernel, rank_in=6, rank_out=8)
    >>> relative_error(kernel, parts) < 1e-6
    True

    References: Kim et al., ICLR 2016, sec. 3; De Lathauwer et al., SIAM J. Matrix Anal. 2000 (HOOI).
    """
    _check_ranks(kernel, rank_in=rank_in, rank_out=rank_out)
    k = kernel.detach().double() if kernel.numel() <= MAX_BLOCK_ENTRIES else kernel.detach()
    basis_out, basis_in = bases or (leading_basis(k, OUT_MODE), leading_basis(k, IN_MODE))
    core, factor_out, factor_in = _hooi(k, basis_out[:, :rank_out], basis_in[:, :rank_in], max_sweeps, tolerance)
    # Principal axes, strongest first, with positive largest entries, make the result reproducible.
    rotation_out, rotation_in = leading_basis(core, OUT_MODE), leading_basis(core, IN_MODE)
    factor_out, signs_out = _signed(factor_out @ rotation_out)
    factor_in, signs_in = _signed(factor_in @ rotation_in)
    core = project(project(core, rotation_out * signs_out, OUT_MODE), rotation_in * signs_in, IN_MODE)
    return Tucker2(core.to(kernel), factor_in.to(kernel), factor_out.to(kernel))


def _hooi(
    kernel: Tensor, factor_out: Tensor, factor_in: Tensor, max_sweeps: int, tolerance: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return core and factors after alternating updates of the factors of truncated HOSVD."""
    factors = {OUT_MODE: factor_out, IN_MODE: factor_in}
    remaining, projected = OUT_MODE, project(kernel, factor_in, IN_MODE)
    # If one mode keeps all its channels, the other mode's HOSVD factor is optimal.
    if factor_in.shape[0] > factor_in.shape[1] and factor_out.shape[0] > factor_out.shape[1]:
        total = float(torch.linalg.vector_norm(kernel, dtype=torch.float64)) ** 2
        captured = float(project(projected, factor_out, OUT_MODE).square().sum())
        for update in range(2 * max_sweeps):
            mode, remaining = ((OUT_MODE, IN_MODE), (IN_MODE, OUT_MODE))[update % 2]
            factors[mode], new_captured = _update(unfold(projected, mode), factors[mode])
            projected = project(kernel, factors[mode], mode)
            gain, captured = new_captured - captured, new_captured
            if update and gain <= tolerance * (total - captured) + EPS * total:
                break
    return project(projected, factors[remaining], remaining), factors[OUT_MODE], factors[IN_MODE]


def tucker1(kernel: Tensor, *, rank_out: int) -> Tucker1:
    """Tucker-1 decomposition over the output mode: the truncated SVD of its unfolding.

    Parameters
    ----------
    kernel : (out_channels, in_channels, height, width), or the (out_features, in_features) of a linear layer.
    rank_out : 1 <= rank_out <= out_channels.

    Raises
    ------
    ValueError : if the rank does not fit the kernel's shape (both are named), or an entry is not finite.

    References: Kim et al., ICLR 2016, sec. 3; Eckart and Young, 1936.
    """
    _check_ranks(kernel, rank_out=rank_out)
    factor, _ = _signed(leading_basis(kernel, OUT_MODE)[:, :rank_out])
    return Tucker1(project(kernel, factor, OUT_MODE).to(kernel), factor.to(kernel))


def relative_error(kernel: Tensor, approximation: Tensor | Tucker1 | Tucker2) -> float:
    """Return ||K - approximation|| / ||K|| in the Frobenius norm, computed in float64; 0 for two kernels of zeros."""
    estimate = approximation if isinstance(approximation, Tensor) else approximation.reconstruct()
    if estimate.shape != kernel.shape:
        raise ValueError(f"cannot compare kernels of shapes {tuple(kernel.shape)} and {tuple(estimate.shape)}")
    difference = float(torch.linalg.vector_norm(kernel.detach().double() - estimate.detach().double()))
    norm = float(torch.linalg.vector_norm(kernel.detach().double()))
    return difference / norm if norm else (0.0 if difference == 0 else float("inf"))


def _update(matrix: Tensor, basis: Tensor) -> tuple[Tensor, float]:
    """Return the best (rows, rank) basis U' in span [U, A A^T U], and the squared norm ||U'^T A||^2 that it captures.

    The squared norm never falls, because U itself is in that span.
    """
    rank = basis.shape[1]
    subspace: Tensor = torch.linalg.qr(torch.cat([basis, matrix @ (matrix.mT @ basis)], dim=1))[0]
    inner = subspace.mT @ matrix
    values, vectors = torch.linalg.eigh(inner @ inner.mT)
    return subspace @ vectors.flip(1)[:, :rank], float(values[-rank:].sum())


def _signed(basis: Tensor) -> tuple[Tensor, Tensor]:
    """Return the basis with each column's largest entry made positive, and the signs (rank,) that did so."""
    largest = basis.gather(0, basis.abs().argmax(dim=0, keepdim=True))
    signs = torch.where(largest < 0, -1.0, 1.0).to(basis)
    return basis * signs, signs[0]


def _check_ranks(kernel: Tensor, **ranks: int) -> None:
    if kernel.ndim < 2:
        raise ValueError(f"a kernel has at least two dimensions (out, in, ...), not the shape {tuple(kernel.shape)}")
    if not bool(torch.isfinite(kernel).all()):
        raise ValueError(f"the kernel of shape {tuple(kernel.shape)} contains NaN or infinity")
    for name, rank in ranks.items():
        channels = kernel.shape[IN_MODE if name == "rank_in" else OUT_MODE]
        if not 1 <= rank <= channels:
            raise ValueError(f"{name}={rank} does not fit a kernel of shape {tuple(kernel.shape)}: 1 to {channels}")
