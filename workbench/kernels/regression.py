r"""Least squares under a rank constraint, from second moments: factors that reproduce target outputs.

With centred input patches x (n), target outputs y (t), P = E[x x^T] and C = E[y x^T], weights W (t, n) have the error

.. math:: E\|y - W x\|^2 = \mathrm{tr}(W P W^T) - 2\,\mathrm{tr}(W C^T) + E\|y\|^2 .

A ridge towards a prior W0 (such as the dense kernel) adds :math:`\rho \|W - W_0\|^2`: the same problem with P + rho I
and C + rho W0. The minimiser of a given rank has a closed form (reduced-rank regression). With both channel modes
reduced (Tucker-2), core and output factor have a closed form for a given input factor, and the input factor solves a
linear system for given core and output factor: alternating never raises the error.

References: Izenman, J. Multivariate Analysis 5 (1975), reduced-rank regression; Zhang et al., *Accelerating very deep
convolutional networks*, TPAMI 2016 (responses as the objective).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log10, prod

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, cg
from torch import Tensor

from workbench.kernels.hosvd import leading_basis
from workbench.kernels.unfolding import IN_MODE

START_RIDGE = 1e-2
"""Ridge at which the search begins for the first layer."""
MIN_RIDGE_EXPONENT, MAX_RIDGE_EXPONENT = -6.0, 0.0
"""Powers of ten of the smallest and largest ridge, in units of the mean variance of an input. Larger ridges may predict
better for unconstrained weights, but make weights of a low rank fit the prior rather than the outputs."""
MAX_RIDGE_OUTPUTS = 64
"""Number of outputs, evenly among all, whose prediction chooses a ridge."""
MAX_SWEEPS = 12
CG_STEPS = 12
MIN_GAIN = 1e-3
"""Alternation stops when a sweep lowers the error by less than this share of itself."""


@dataclass(frozen=True)
class Normal:
    """Normal equations of a least-squares problem, in float64.

    Values that depend on the inputs only are computed once, and shared with the problems of :meth:`with_outputs`.
    """

    inputs: Tensor  # (n, n), P above
    cross: Tensor  # (t, n), C above
    power: float  # E||y||^2 of centred outputs
    _shared: dict[str, Tensor] = field(default_factory=dict, repr=False, compare=False)

    @property
    def lower(self) -> Tensor:
        """Cholesky factor of `inputs`, (n, n)."""
        if "lower" not in self._shared:
            self._shared["lower"] = _lower(self.inputs)
        return self._shared["lower"]

    def channel_roots(self, channels: int) -> tuple[Tensor, Tensor]:
        """Return square root and inverse square root of the channels' covariance, (channels, channels) each."""
        if "root" not in self._shared:
            taps = len(self.inputs) // channels
            covariance = torch.einsum("skuk->su", self.inputs.reshape(channels, taps, channels, taps)) / taps
            self._shared["root"], self._shared["inverse"] = _roots(covariance)
        return self._shared["root"], self._shared["inverse"]

    def with_outputs(self, cross: Tensor, power: float) -> "Normal":
        """Return the problem with other outputs for the same inputs."""
        return Normal(self.inputs, cross, power, self._shared)

    def with_ridge(self, prior: Tensor, rho: float) -> "Normal":
        """Return the problem with a ridge towards a prior (t, n)."""
        return Normal(_with_diagonal(self.inputs, rho), self.cross, self.power).with_prior(prior, rho)

    def with_prior(self, prior: Tensor, rho: float) -> "Normal":
        """Return the problem with a ridge's terms in the outputs' moments; `inputs` already has its term."""
        return self.with_outputs(self.cross + rho * prior, self.power + rho * float(prior.square().sum()))


def scale(inputs: Tensor) -> float:
    """Return the mean variance of an input, or 1 if all are zero, so that a ridge is positive."""
    mean = float(inputs.diagonal().mean()) if inputs.numel() else 0.0
    return mean if mean > 0 else 1.0


def choose_ridge(halves: Sequence[Normal], prior: Tensor, *, start: float = START_RIDGE) -> float:
    """Return the ridge towards a prior (t, n) with which a fit to one half of the images best predicts the other half.

    The search follows the slope of the prediction error from `start` in steps of a factor of 10 until its sign changes,
    then interpolates; each step takes one factorisation. Ridges are in units of the mean variance of an input. A fit to
    both halves needs half of the returned ridge.
    """
    fit, held_out = halves
    sampled = slice(None, None, -(-len(prior) // MAX_RIDGE_OUTPUTS))
    prior = prior[sampled]
    residual = (fit.cross[sampled] - prior @ fit.inputs).mT
    held_out_residual = held_out.cross[sampled] - prior @ held_out.inputs
    unit = scale(fit.inputs)

    def slope(exponent: float) -> float:
        """Return the derivative of the prediction error by the ridge's exponent, divided by the ridge."""
        lower = _lower(_with_diagonal(fit.inputs, unit * 10**exponent))
        update = torch.cholesky_solve(residual, lower)
        descent = torch.cholesky_solve(update, lower).mT  # minus the derivative of `update`
        return float(((held_out_residual - update.mT @ held_out.inputs) * descent).sum()) * 10**exponent

    exponent, slope_here = log10(start), slope(log10(start))
    step = -1.0 if slope_here > 0 else 1.0
    while MIN_RIDGE_EXPONENT < exponent + step < MAX_RIDGE_EXPONENT + 1:
        next_exponent = min(exponent + step, MAX_RIDGE_EXPONENT)
        next_slope = slope(next_exponent)
        if next_slope * slope_here <= 0:
            return float(10 ** (exponent + (next_exponent - exponent) * slope_here / (slope_here - next_slope or 1.0)))
        exponent, slope_here = next_exponent, next_slope
    return float(10**exponent)


def full_rank(problem: Normal) -> Tensor:
    """Return the unconstrained minimiser W (t, n)."""
    return torch.cholesky_solve(problem.cross.mT, problem.lower).mT


def reduced_rank(problem: Normal, rank: int) -> tuple[Tensor, Tensor]:
    """Return the minimiser of a given rank: (core (rank, n), factor_out (t, rank) with orthonormal columns)."""
    lower = problem.lower
    whitened = torch.linalg.solve_triangular(lower, problem.cross.mT, upper=False)
    factor_out = torch.linalg.eigh(whitened.mT @ whitened)[1].flip(1)[:, :rank]
    return torch.linalg.solve_triangular(lower.mT, whitened @ factor_out, upper=True).mT, factor_out


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
    rank_out), the last with orthonormal columns. `problem.inputs` must be positive definite (see
    :meth:`Normal.with_ridge`); `shape` is the kernel's. `start` is the first input factor, by default the strongest
    input directions of the unconstrained solution, in the metric of the channels' covariance.
    """
    taps = prod(shape[2:])
    root, inverse = problem.channel_roots(shape[1])
    if start is None:
        weight = full_rank(problem).reshape(shape[0], shape[1], taps)
        white_factor = leading_basis(torch.einsum("tsk,su->tuk", weight, root), IN_MODE)[:, :rank_in].mT
    else:
        white_factor = torch.linalg.qr((start @ root).mT)[0].mT
    best_loss = float("inf")
    for _ in range(max_sweeps):
        factor = white_factor @ inverse
        core_problem = _core_problem(problem, factor)
        core, factor_out = reduced_rank(core_problem, rank_out)
        loss = problem.power - float((core * (factor_out.mT @ core_problem.cross)).sum())
        core = core.reshape(rank_out, rank_in, taps)
        if loss <= best_loss:
            best_factors = factor, core.reshape(rank_out, rank_in, *shape[2:]), factor_out
        if best_loss - loss <= MIN_GAIN * abs(loss) or rank_in == shape[1]:
            break
        best_loss = loss
        white_factor = torch.linalg.qr(_input_factor(problem, core, factor_out, white_factor, inverse).mT)[0].mT
    return best_factors


def _core_problem(problem: Normal, factor: Tensor) -> Normal:
    """Return the problem of core and output factor for a fixed input factor (rank_in, in_channels)."""
    rank, channels = factor.shape
    inputs = problem.inputs.reshape(channels, -1, channels, len(problem.inputs) // channels)
    half = torch.einsum("as,skul->akul", factor, inputs)
    size = rank * inputs.shape[1]
    cross = torch.einsum("tsk,as->tak", problem.cross.unflatten(1, (channels, -1)), factor).flatten(1)
    return Normal(torch.einsum("akul,bu->akbl", half, factor).reshape(size, size), cross, problem.power)


def _with_diagonal(matrix: Tensor, value: float) -> Tensor:
    """Return a copy of a matrix with a value added to its diagonal."""
    result = matrix.clone()
    result.diagonal().add_(value)
    return result


def _lower(inputs: Tensor) -> Tensor:
    """Return the Cholesky factor; if rounding made the matrix indefinite, raise its diagonal first."""
    if not bool(torch.isfinite(inputs).all()):
        raise ValueError("the sums over the inputs are not finite: look for NaN in the images or the layer before")
    shift = 1e-6 * scale(inputs)
    lower: Tensor
    lower, info = torch.linalg.cholesky_ex(inputs)
    while int(info):
        lower, info = torch.linalg.cholesky_ex(_with_diagonal(inputs, shift))
        shift *= 4
    return lower


def _input_factor(problem: Normal, core: Tensor, factor_out: Tensor, white_factor: Tensor, inverse: Tensor) -> Tensor:
    """Solve for the input factor (rank_in, in_channels) by conjugate gradients from `white_factor`, the others fixed.

    Both are in coordinates in which the channels are white; `inverse` maps them to the inputs' coordinates.
    """
    channels = white_factor.shape[1]

    def apply(factor: NDArray[np.float64]) -> NDArray[np.float64]:
        kernel = torch.einsum("rak,as->rsk", core, torch.from_numpy(factor).reshape(white_factor.shape) @ inverse)
        responses = (kernel.flatten(1) @ problem.inputs).unflatten(1, (channels, -1))
        return (torch.einsum("rsk,rak->as", responses, core) @ inverse).flatten().numpy()

    target = (factor_out.mT @ problem.cross).unflatten(1, (channels, -1))
    right_side = (torch.einsum("rsk,rak->as", target, core) @ inverse).flatten().numpy()
    system = LinearOperator((right_side.size, right_side.size), matvec=apply, dtype=right_side.dtype)
    solution, _ = cg(system, right_side, x0=white_factor.flatten().numpy(), rtol=1e-9, maxiter=CG_STEPS)
    return torch.from_numpy(solution).reshape(white_factor.shape)


def _roots(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Return square root and inverse square root of a covariance; eigenvalues near zero are raised first."""
    values, vectors = torch.linalg.eigh(covariance)
    values = values.clamp(min=max(float(values.max()), 1e-300) * 1e-10).sqrt()
    return (vectors * values) @ vectors.mT, (vectors / values) @ vectors.mT
