r"""Least squares under a rank constraint, from second moments: factors that reproduce given outputs.

With centred input patches x (n), wanted outputs y (t), P = E[x x^T] and C = E[y x^T], weights W (t, n) have the error

.. math:: E\|y - W x\|^2 = \mathrm{tr}(W P W^T) - 2\,\mathrm{tr}(W C^T) + E\|y\|^2 .

A ridge towards a prior W0 (the dense kernel, say) adds :math:`\rho \|W - W_0\|^2`: the same problem with P + rho I and
C + rho W0. The minimiser of a given rank is closed form (reduced-rank regression). With both channel modes reduced
(Tucker-2), core and output factor are closed form given the input factor, which solves a linear system given those:
alternating never raises the error.

References: Izenman, J. Multivariate Analysis 5 (1975), reduced-rank regression; Zhang et al., *Accelerating very deep
convolutional networks*, TPAMI 2016 (responses as the objective).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, cg
from torch import Tensor

from workbench.kernels.hosvd import leading_basis
from workbench.kernels.unfolding import IN_MODE

RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Candidates of :func:`choose_ridge`, in units of the mean variance of an input."""
MAX_SWEEPS = 12
CG_STEPS = 12
MIN_GAIN = 1e-3
"""Share of the error by which a sweep must lower it, else the alternation stops."""


@dataclass(frozen=True)
class Normal:
    """Normal equations of a least-squares problem, float64."""

    inputs: Tensor  # (n, n), P above
    cross: Tensor  # (t, n), C above
    power: float  # E||y||^2, centred like the others

    def loss(self, weight: Tensor) -> float:
        """Return E||y - W x||^2 of W (t, n)."""
        return self.power + float(((weight @ self.inputs - 2 * self.cross) * weight).sum())

    def ridged(self, prior: Tensor, ridge: float) -> "Normal":
        """Return the problem with a ridge towards a prior (t, n), in units of the mean input variance."""
        rho = max(ridge, 1e-9) * scale(self.inputs)
        power = self.power + rho * float(prior.square().sum())
        return Normal(_with_diagonal(self.inputs, rho), self.cross + rho * prior, power)


def scale(inputs: Tensor) -> float:
    """Return the mean variance of an input; 1 where all are zero, so that a ridge is positive."""
    mean = float(inputs.diagonal().mean()) if inputs.numel() else 0.0
    return mean if mean > 0 else 1.0


def choose_ridge(halves: Sequence[Normal], prior: Tensor) -> float:
    """Choose a ridge towards a prior (t, n) by two-fold cross-validation between two disjoint halves of the images.

    Returns half of the best of `RIDGES` (the larger of equals), because the fit that follows has twice the images.
    """
    one, other = halves
    losses = dict.fromkeys(reversed(RIDGES), 0.0)
    for fit, check in ((one, other), (other, one)):
        missing = (fit.cross - prior @ fit.inputs).mT
        wanted = check.cross - prior @ check.inputs
        for ridge in losses:
            lower = _lower(_with_diagonal(fit.inputs, ridge * scale(fit.inputs)))
            change = torch.cholesky_solve(missing, lower).mT
            losses[ridge] += float(((change @ check.inputs - 2 * wanted) * change).sum())
    return min(losses, key=losses.__getitem__) / 2


def full_rank(problem: Normal) -> Tensor:
    """Return the minimiser W (t, n) without any constraint."""
    return torch.cholesky_solve(problem.cross.mT, _lower(problem.inputs)).mT


def reduced_rank(problem: Normal, rank: int) -> tuple[Tensor, Tensor]:
    """Return the minimiser of a given rank: (core (rank, n), factor_out (t, rank) with orthonormal columns)."""
    lower = _lower(problem.inputs)
    whitened = torch.linalg.solve_triangular(lower, problem.cross.mT, upper=False)
    factor_out = torch.linalg.eigh(whitened.mT @ whitened)[1].flip(1)[:, :rank]
    return torch.linalg.solve_triangular(lower.mT, whitened @ factor_out, upper=True).mT, factor_out


def explained(problem: Normal) -> Tensor:
    """Return how much of the power the best weights of rank 0, 1, 2, ... explain, (min(t, n) + 1,)."""
    whitened = torch.linalg.solve_triangular(_lower(problem.inputs), problem.cross.mT, upper=False)
    gram = whitened.mT @ whitened if whitened.shape[0] > whitened.shape[1] else whitened @ whitened.mT
    values = torch.linalg.eigvalsh(gram).flip(0).clamp(min=0)
    return torch.cat([values.new_zeros(1), values.cumsum(0)])


class Whitened:
    """Problem of a convolution with white input channels, which makes the input factor's system well conditioned.

    `problem` has a positive definite `inputs`; `shape` is the kernel's.
    """

    def __init__(self, problem: Normal, shape: Sequence[int]) -> None:
        out_channels, in_channels, taps = shape[0], shape[1], prod(shape[2:])
        inputs = problem.inputs.reshape(in_channels, taps, in_channels, taps)
        # Square roots of the channels' covariance and of its inverse, (in_channels, in_channels).
        self.root, self.inverse = _roots(torch.einsum("skuk->su", inputs) / taps)
        self.inputs = _both_sides(inputs, self.inverse)
        cross = problem.cross.reshape(out_channels, in_channels, taps)
        self.cross = torch.einsum("tsk,su->tuk", cross, self.inverse)
        self.power = problem.power

    def basis(self) -> Tensor:
        """Return the input directions of the unconstrained solution, strongest first, (in_channels, in_channels)."""
        whole = self.behind(torch.eye(len(self.inputs), dtype=self.inputs.dtype))
        return leading_basis(full_rank(whole).reshape(self.cross.shape), IN_MODE)

    def behind(self, factor: Tensor) -> Normal:
        """Return the problem of core and output factor, given an input factor (rank_in, in_channels)."""
        rank, taps = len(factor), self.inputs.shape[1]
        inputs = _both_sides(self.inputs, factor).reshape(rank * taps, rank * taps)
        cross = torch.einsum("tuk,au->tak", self.cross, factor).reshape(len(self.cross), rank * taps)
        return Normal(inputs, cross, self.power)


def tucker2_regression(
    problem: Normal,
    shape: Sequence[int],
    *,
    rank_in: int,
    rank_out: int,
    start: Tensor | None = None,
    max_sweeps: int = MAX_SWEEPS,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the Tucker-2 factors that minimise the error in the outputs.

    They are factor_in (rank_in, in_channels), core (rank_out, rank_in, *kernel_size) and factor_out (out_channels,
    rank_out), the last with orthonormal columns. `problem` has a positive definite `inputs` (see
    :meth:`Normal.ridged`); `shape` is the kernel's. `start` is an input factor to begin with, by default the strongest
    input directions of the unconstrained solution, in the metric of the channels' covariance.
    """
    white = Whitened(problem, shape)
    taps = prod(shape[2:])
    factor = white.basis()[:, :rank_in].mT if start is None else torch.linalg.qr((start @ white.root).mT)[0].mT
    best = float("inf")
    for _ in range(max_sweeps):
        small = white.behind(factor)
        core, factor_out = reduced_rank(small, rank_out)
        cube = core.reshape(rank_out, rank_in, taps)
        loss = problem.power - float((core * (factor_out.mT @ small.cross)).sum())
        if loss <= best:
            answer = factor @ white.inverse, cube.reshape(rank_out, rank_in, *shape[2:]), factor_out
        if best - loss <= MIN_GAIN * abs(loss) or rank_in == shape[1]:
            break
        best = loss
        wanted = torch.einsum("tuk,tr->ruk", white.cross, factor_out)
        factor = torch.linalg.qr(_input_factor(white.inputs, wanted, cube, factor).mT)[0].mT
    return answer


def _both_sides(inputs: Tensor, factor: Tensor) -> Tensor:
    """Return F P F^T over the channels of P (channels, taps, channels, taps), for F (rows, channels)."""
    return torch.einsum("akul,bu->akbl", torch.einsum("as,skul->akul", factor, inputs), factor)


def _with_diagonal(matrix: Tensor, value: float) -> Tensor:
    """Return a copy of the matrix with a value added to its diagonal."""
    moved = matrix.clone()
    moved.diagonal().add_(value)
    return moved


def _lower(inputs: Tensor) -> Tensor:
    """Return the Cholesky factor; the diagonal of a matrix that rounding made indefinite is raised first."""
    if not bool(torch.isfinite(inputs).all()):
        raise ValueError("the sums over the inputs are not finite: look for NaN in the images or the layer before")
    move = 1e-6 * scale(inputs)
    lower: Tensor
    lower, info = torch.linalg.cholesky_ex(inputs)
    while int(info):
        lower, info = torch.linalg.cholesky_ex(_with_diagonal(inputs, move))
        move *= 4
    return lower


def _input_factor(white: Tensor, wanted: Tensor, core: Tensor, start: Tensor) -> Tensor:
    """Solve for the input factor (rank_in, in_channels) by conjugate gradients, the other factors fixed."""
    rank_out, (in_channels, taps) = len(core), white.shape[:2]
    matrix = white.reshape(in_channels * taps, -1)

    def apply(factor: NDArray[np.float64]) -> NDArray[np.float64]:
        spread = torch.einsum("rak,as->rsk", core, torch.from_numpy(factor).reshape(start.shape))
        through = (spread.reshape(rank_out, -1) @ matrix).reshape(rank_out, in_channels, taps)
        return torch.einsum("rsk,rak->as", through, core).flatten().numpy()

    right = torch.einsum("rsk,rak->as", wanted, core).flatten().numpy()
    system = LinearOperator((right.size, right.size), matvec=apply, dtype=right.dtype)
    found, _ = cg(system, right, x0=start.flatten().numpy(), rtol=1e-9, maxiter=CG_STEPS)
    return torch.from_numpy(found).reshape(start.shape)


def _roots(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Return square root and inverse square root of a positive semidefinite matrix, eigenvalues held above zero."""
    values, vectors = torch.linalg.eigh(covariance)
    values = values.clamp(min=max(float(values.max()), 1e-300) * 1e-10).sqrt()
    return (vectors * values) @ vectors.mT, (vectors / values) @ vectors.mT
