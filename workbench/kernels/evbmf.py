"""Empirical variational Bayesian matrix factorisation (EVBMF): a rank and a noise level from a matrix alone.

:mod:`workbench.kernels.free_energy` has the mathematics.
"""

from dataclasses import dataclass, field, replace
from math import exp, log, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from workbench.kernels.free_energy import FreeEnergy, Vector, x_bar


@dataclass(frozen=True)
class Evbmf:
    """Result of EVBMF for one matrix.

    Attributes
    ----------
    rank : number of singular values above `threshold`; may be 0.
    noise_variance : sigma^2 that minimises the free energy, or the given one; 0 for a matrix of exactly low rank.
    threshold : sqrt(M sigma^2 x-bar); singular values above it are signal.
    shape : (rows, columns) of the matrix.
    singular_values : (L,) descending.
    shrunk : (rank,) posterior means of the singular values above the threshold.
    exact : whether the matrix is of exactly low rank, without noise; `rank` is then its numerical rank.
    approximate : whether the approximation of tau-bar was used.
    dead_rows, dead_columns : number of all-zero ones that were left out.
    """

    rank: int
    noise_variance: float
    threshold: float
    shape: tuple[int, int]
    singular_values: Vector = field(repr=False)
    shrunk: Vector = field(repr=False)
    exact: bool = False
    approximate: bool = False
    dead_rows: int = 0
    dead_columns: int = 0

    @classmethod
    def of(
        cls, *, rank: int, noise_variance: float, shape: tuple[int, int], singular_values: Vector, **more: Any
    ) -> "Evbmf":
        """Make a result; the shrunk singular values follow from the other values."""
        rows, columns = sorted(shape)
        shrunk = _shrink(singular_values[:rank], rows, columns, noise_variance)
        return cls(rank, noise_variance, shape=shape, singular_values=singular_values, shrunk=shrunk, **more)

    def free_energy(self, noise_variance: ArrayLike) -> Vector:
        """Return the free energy per singular value, up to a constant, at noise variances > 0."""
        rows, columns = sorted(self.shape)
        variances = np.atleast_1d(np.asarray(noise_variance, dtype=np.float64))
        if not rows or not self.singular_values.size or self.singular_values[0] == 0:
            return np.zeros_like(variances)
        problem = FreeEnergy.of(self.singular_values, rows, columns, self.approximate)
        return problem.objective(np.log(variances) - problem.log_scale) / rows

    def curve(self, points: int = 400) -> tuple[Vector, Vector]:
        """Return (noise variances, free energies) around the minimum, evenly in the logarithm; empty without noise."""
        if self.noise_variance <= 0:
            return np.empty(0), np.empty(0)
        mean_square = float(np.sum(self.singular_values**2)) / (self.shape[0] * self.shape[1])
        high = log(max(mean_square, self.noise_variance)) + 1.0
        low = min(log(self.noise_variance) - 2.0, high - 3.0)
        variances = np.exp(np.linspace(low, high, points))
        return variances, self.free_energy(variances)


def evbmf(
    singular_values: ArrayLike,
    shape: tuple[int, int],
    *,
    noise_variance: float | None = None,
    approximate: bool = False,
) -> Evbmf:
    """Return the global analytic EVBMF solution from the singular values of a matrix.

    Parameters
    ----------
    singular_values : (min(shape),) non-negative, in any order; missing ones count as zero.
    shape : (rows, columns) of the matrix, either way round.
    noise_variance : the known variance; None to estimate it.
    approximate : use tau-bar = 2.5129 sqrt(alpha), as circulating code does, instead of the exact root.

    Raises
    ------
    ValueError : on NaN, infinite or negative singular values, more of them than the shape has, or a bad variance.

    Notes
    -----
    Singular values below ``max(shape) * eps * s_1`` are zeros. If there are any, the matrix is of exactly low rank:
    its numerical rank is returned with noise variance 0. All-zero rows and columns say nothing about the noise: pass
    the shape without them, as :func:`evbmf_matrix` does.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> signal = 30 * rng.standard_normal((64, 3)) @ rng.standard_normal((3, 200)) / 8
    >>> noisy = signal + rng.standard_normal((64, 200))
    >>> evbmf(np.linalg.svd(noisy, compute_uv=False), shape=(64, 200)).rank
    3

    References: Nakajima et al., JMLR 2013, theorems 2 and 4; NIPS 2012.
    """
    s = np.sort(np.asarray(singular_values, dtype=np.float64).ravel())[::-1]
    rows, columns = sorted(int(d) for d in shape)
    if rows < 0:
        raise ValueError(f"a matrix cannot have the shape {tuple(shape)}")
    if not np.isfinite(s).all():
        raise ValueError("the singular values contain NaN or infinity: look for a broken layer or a diverged training")
    if s.size and s[-1] < 0:
        raise ValueError(f"a singular value is negative ({s[-1]:.3g}): pass singular values, not eigenvalues")
    if s.size > rows:
        raise ValueError(f"{s.size} singular values for a matrix of shape {tuple(shape)}, which has at most {rows}")
    if noise_variance is not None and not 0 <= noise_variance < np.inf:
        raise ValueError(f"the noise variance must be a number >= 0, not {noise_variance}")
    s = np.concatenate([s, np.zeros(rows - s.size)])

    def result(rank: int, variance: float, threshold: float, *, exact: bool) -> Evbmf:
        facts = {"threshold": threshold, "exact": exact, "approximate": approximate}
        return Evbmf.of(rank=rank, noise_variance=variance, shape=(shape[0], shape[1]), singular_values=s, **facts)

    if rows == 0 or s[0] == 0:
        return result(0, noise_variance or 0.0, 0.0, exact=noise_variance is None)
    if noise_variance is None:
        numerical_rank = int(np.sum(s > columns * np.finfo(np.float64).eps * s[0]))
        if numerical_rank < rows:
            return result(numerical_rank, 0.0, 0.0, exact=True)
        problem = FreeEnergy.of(s, rows, columns, approximate)
        t = problem.minimise()
        variance = exp(t + problem.log_scale)
        rank = int(problem.signal_count(np.array([t]))[0])
        if variance == 0.0 or variance == np.inf:
            raise ValueError("the noise variance leaves the range of float64: scale the matrix")
    else:
        variance = noise_variance
        rank = int(np.sum(s * s > columns * variance * x_bar(rows / columns, approximate)))
    threshold = sqrt(columns * x_bar(rows / columns, approximate)) * sqrt(variance)
    return result(rank, variance, threshold, exact=False)


def evbmf_matrix(matrix: ArrayLike, *, noise_variance: float | None = None, approximate: bool = False) -> Evbmf:
    """Return EVBMF of a matrix; all-zero rows and columns (dead channels) are left out first, and counted.

    Parameters
    ----------
    matrix : (rows, columns), either may be larger.
    noise_variance, approximate : as for :func:`evbmf`.

    Raises
    ------
    ValueError : if it is not a matrix, or contains NaN or infinity.
    """
    m = np.asarray(matrix, dtype=np.float64)
    if m.ndim != 2:
        raise ValueError(f"EVBMF takes a matrix; this array has {m.ndim} dimensions: unfold it first")
    if not np.isfinite(m).all():
        raise ValueError("the matrix contains NaN or infinity: look for a broken layer or a diverged training")
    live = m[m.any(axis=1)][:, m.any(axis=0)]
    s = np.linalg.svd(live, compute_uv=False) if live.size else np.empty(0)
    found = evbmf(s, (live.shape[0], live.shape[1]), noise_variance=noise_variance, approximate=approximate)
    dead = {"dead_rows": m.shape[0] - live.shape[0], "dead_columns": m.shape[1] - live.shape[1]}
    return replace(found, **dead)


def _shrink(s: Vector, rows: int, columns: int, variance: float) -> Vector:
    """Return posterior means of singular values above the threshold (Nakajima et al. 2013, theorem 2)."""
    if s.size == 0 or variance == 0:
        return s.copy()
    a = sqrt(variance) / s
    b = 1 - (rows + columns) * a * a
    root = np.sqrt(np.maximum(b * b - 4 * rows * columns * a**4, 0))
    return np.asarray(0.5 * s * (b + root))
