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
"""Ridge with which the search for the first layer's begins."""
MIN_RIDGE_EXPONENT, MAX_RIDGE_EXPONENT = -6.0, 0.0
"""Smallest and largest ridge as powers of ten, in units of the mean variance of an input. Larger ones may predict
better where weights are free, but weights of a low rank then fit the prior rather than the outputs."""
MAX_RIDGE_OUTPUTS = 64
"""Outputs by whose prediction a ridge is chosen, evenly among all."""
MAX_SWEEPS = 12
CG_STEPS = 12
MIN_GAIN = 1e-3
"""Share of the error by which a sweep must lower it, else the alternation stops."""


@dataclass(frozen=True)
class Normal:
    """Normal equations of a least-squares problem, float64.

    What only depends on the inputs is computed once, and shared with the problems that :meth:`wanting` makes.
    """

    inputs: Tensor  # (n, n), P above
    cross: Tensor  # (t, n), C above
    power: float  # E||y||^2, centred like the others
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

    def wanting(self, cross: Tensor, power: float) -> "Normal":
        """Return the problem of other outputs for the same inputs."""
        return Normal(self.inputs, cross, power, self._shared)

    def ridged(self, prior: Tensor, rho: float) -> "Normal":
        """Return the problem with a ridge towards a prior (t, n)."""
        return Normal(_with_diagonal(self.inputs, rho), self.cross, self.power).towards(prior, rho)

    def towards(self, prior: Tensor, rho: float) -> "Normal":
        """Return the problem with the outputs' part of a ridge; that of the inputs is in `inputs` already."""
        return self.wanting(self.cross + rho * prior, self.power + rho * float(prior.square().sum()))


def scale(inputs: Tensor) -> float:
    """Return the mean variance of an input; 1 where all are zero, so that a ridge is positive."""
    mean = float(inputs.diagonal().mean()) if inputs.numel() else 0.0
    return mean if mean > 0 else 1.0


def choose_ridge(halves: Sequence[Normal], prior: Tensor, *, start: float = START_RIDGE) -> float:
    """Choose a ridge towards a prior (t, n): weights fitted to one half of the images predict the other half best.

    The prediction error and its slope come from one factorisation for each ridge that is tried. The search goes from
    `start` in steps of a factor of 10 until the slope changes its sign, then interpolates. Ridges are in units of the
    mean variance of an input. A fit to both halves needs half of the ridge that is returned.
    """
    fit, check = halves
    sampled = slice(None, None, -(-len(prior) // MAX_RIDGE_OUTPUTS))
    prior = prior[sampled]
    missing = (fit.cross[sampled] - prior @ fit.inputs).mT
    wanted = check.cross[sampled] - prior @ check.inputs
    unit = scale(fit.inputs)

    def slope(exponent: float) -> float:
        """Return the derivative of the prediction error by the ridge's exponent, divided by the ridge."""
        lower = _lower(_with_diagonal(fit.inputs, unit * 10**exponent))
        change = torch.cholesky_solve(missing, lower)
        falling = torch.cholesky_solve(change, lower).mT  # minus the derivative of the change
        return float(((wanted - change.mT @ check.inputs) * falling).sum()) * 10**exponent

    exponent, steep = log10(start), slope(log10(start))
    step = -1.0 if steep > 0 else 1.0
    while MIN_RIDGE_EXPONENT < exponent + step < MAX_RIDGE_EXPONENT + 1:
        following = min(exponent + step, MAX_RIDGE_EXPONENT)
        other = slope(following)
        if other * steep <= 0:
            return float(10 ** (exponent + (following - exponent) * steep / (steep - other or 1.0)))
        exponent, steep = following, other
    return float(10**exponent)


def full_rank(problem: Normal) -> Tensor:
    """Return the minimiser W (t, n) without any constraint."""
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
    rank_out), the last with orthonormal columns. `problem` has a positive definite `inputs` (see
    :meth:`Normal.ridged`); `shape` is the kernel's. `start` is an input factor to begin with, by default the strongest
    input directions of the unconstrained solution, in the metric of the channels' covariance.
    """
    taps = prod(shape[2:])
    root, inverse = problem.channel_roots(shape[1])
    if start is None:
        weight = full_rank(problem).reshape(shape[0], shape[1], taps)
        white = leading_basis(torch.einsum("tsk,su->tuk", weight, root), IN_MODE)[:, :rank_in].mT
    else:
        white = torch.linalg.qr((start @ root).mT)[0].mT
    best = float("inf")
    for _ in range(max_sweeps):
        factor = white @ inverse
        small = _behind(problem, factor)
        core, factor_out = reduced_rank(small, rank_out)
        loss = problem.power - float((core * (factor_out.mT @ small.cross)).sum())
        core = core.reshape(rank_out, rank_in, taps)
        if loss <= best:
            answer = factor, core.reshape(rank_out, rank_in, *shape[2:]), factor_out
        if best - loss <= MIN_GAIN * abs(loss) or rank_in == shape[1]:
            break
        best = loss
        white = torch.linalg.qr(_input_factor(problem, core, factor_out, white, inverse).mT)[0].mT
    return answer


def _behind(problem: Normal, factor: Tensor) -> Normal:
    """Return the problem of core and output factor, given an input factor (rank_in, in_channels)."""
    rank, channels = factor.shape
    inputs = problem.inputs.reshape(channels, -1, channels, len(problem.inputs) // channels)
    half = torch.einsum("as,skul->akul", factor, inputs)
    size = rank * inputs.shape[1]
    cross = torch.einsum("tsk,as->tak", problem.cross.unflatten(1, (channels, -1)), factor).flatten(1)
    return Normal(torch.einsum("akul,bu->akbl", half, factor).reshape(size, size), cross, problem.power)


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


def _input_factor(problem: Normal, core: Tensor, factor_out: Tensor, start: Tensor, inverse: Tensor) -> Tensor:
    """Solve for the input factor (rank_in, in_channels) by conjugate gradients, the other factors fixed.

    `start` and the answer are in coordinates in which the channels are white; `inverse` leads to those of the inputs.
    """
    channels = start.shape[1]

    def apply(factor: NDArray[np.float64]) -> NDArray[np.float64]:
        spread = torch.einsum("rak,as->rsk", core, torch.from_numpy(factor).reshape(start.shape) @ inverse)
        through = (spread.flatten(1) @ problem.inputs).unflatten(1, (channels, -1))
        return (torch.einsum("rsk,rak->as", through, core) @ inverse).flatten().numpy()

    wanted = (factor_out.mT @ problem.cross).unflatten(1, (channels, -1))
    right = (torch.einsum("rsk,rak->as", wanted, core) @ inverse).flatten().numpy()
    system = LinearOperator((right.size, right.size), matvec=apply, dtype=right.dtype)
    found, _ = cg(system, right, x0=start.flatten().numpy(), rtol=1e-9, maxiter=CG_STEPS)
    return torch.from_numpy(found).reshape(start.shape)


def _roots(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Return square root and inverse square root of a positive semidefinite matrix, eigenvalues held above zero."""
    values, vectors = torch.linalg.eigh(covariance)
    values = values.clamp(min=max(float(values.max()), 1e-300) * 1e-10).sqrt()
    return (vectors * values) @ vectors.mT, (vectors / values) @ vectors.mT
