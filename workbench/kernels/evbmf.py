r"""Empirical variational Bayesian matrix factorization: the rank that the data themselves ask for.

A matrix V (L x M, L <= M) is taken as a low-rank signal plus Gaussian noise of unknown variance. The free energy
of the fully factorised posterior has a global analytic solution in everything but the noise variance
:math:`\sigma^2`; with :math:`x_h = s_h^2 / (M \sigma^2)` and :math:`\alpha = L / M` it is, up to constants,

.. math:: \Omega(\sigma^2) = \sum_h \psi(x_h), \qquad
   \psi(x) = \begin{cases} x - \log x & x \le \bar{x} \\
   1 + \alpha + \alpha/\tau + \alpha\log(\tau/\alpha) + (\alpha - 1)\log(1 + \alpha/\tau) & x > \bar{x}\end{cases}

where :math:`x = (1 + \tau)(1 + \alpha/\tau)`. The second branch is Nakajima's
:math:`x - \log x + \log(\tau + 1) + \alpha \log(\tau/\alpha + 1) - \tau`, rewritten so that nothing cancels. In
:math:`t = \log \sigma^2` its derivative is remarkably simple,

.. math:: \Omega'(t) = \sum_{x_h \le \bar{x}} (1 - x_h) - \alpha \sum_{x_h > \bar{x}} (1 + 1/\tau_h),

continuous but where an :math:`x_h` crosses :math:`\bar{x}`; there the slope jumps *down*, so such a point is never
a minimum. All minima therefore are roots of a smooth function between neighbouring crossings. We bracket them all,
and take the lowest: no tolerance has a unit, so the answer does not depend on the scale of the weights.

References: Nakajima, Sugiyama, Babacan, Tomioka, *Global analytic solution of fully-observed variational Bayesian
matrix factorization*, JMLR 14 (2013), and *Perfect dimensionality recovery by variational Bayesian PCA*, NIPS 2012.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from math import exp, log, log1p, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

Vector = NDArray[np.float64]
Mask = NDArray[np.bool_]

STEP = 0.05
"""Widest stretch of log(noise variance) that is looked at as one piece when minima are bracketed."""

CHUNK = 2_000_000
"""Entries of the largest temporary array."""


@dataclass(frozen=True)
class Evbmf:
    """What EVBMF says of one matrix. Facts only: rank 0 is rank 0.

    Attributes
    ----------
    rank : number of singular values above `threshold`.
    noise_variance : the sigma^2 that minimises the free energy (or the one that was given); 0 for a matrix of
        exactly low rank.
    threshold : singular values above it are signal; sqrt(M sigma^2 x-bar).
    shape : (rows, columns) of the matrix.
    singular_values : (L,) descending.
    shrunk : (rank,) posterior means of the kept singular values: the noise's part is taken off.
    exact : True if the matrix is of exactly low rank, without noise: `rank` is then its numerical rank.
    dead_rows, dead_columns : all-zero ones that were left out, when the matrix itself was given.
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
        """Make one from its facts; the shrunk singular values follow from them."""
        rows, columns = sorted(shape)
        shrunk = _shrink(singular_values[:rank], rows, columns, noise_variance)
        return cls(
            rank=rank,
            noise_variance=noise_variance,
            shape=shape,
            singular_values=singular_values,
            shrunk=shrunk,
            **more,
        )

    def free_energy(self, noise_variance: ArrayLike) -> Vector:
        """Free energy per singular value, up to a constant, at any noise variances > 0: the curve to plot."""
        rows, columns = sorted(self.shape)
        variances = np.atleast_1d(np.asarray(noise_variance, dtype=np.float64))
        if not rows or not self.singular_values.size or self.singular_values[0] == 0:
            return np.zeros_like(variances)
        problem = _Problem.of(self.singular_values, rows, columns, self.approximate)
        return problem.objective(np.log(variances) - problem.log_scale) / rows

    def curve(self, points: int = 400) -> tuple[Vector, Vector]:
        """(noise variances, free energies) around the minimum, evenly in the logarithm; empty if there is no noise."""
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
    r"""Global analytic EVBMF solution from the singular values of a matrix.

    Parameters
    ----------
    singular_values : (min(shape),) non-negative, in any order; missing ones count as zero.
    shape : (rows, columns) of the matrix, either way round.
    noise_variance : take it as known instead of estimating it.
    approximate : use tau-bar = 2.5129 sqrt(alpha) as circulating code does, instead of the exact root.

    Returns
    -------
    Evbmf

    Raises
    ------
    ValueError : on NaN, infinite or negative singular values, more of them than the shape has, or a bad variance.

    Notes
    -----
    Singular values below ``max(shape) * eps * s_1`` are zeros. If there are any, the matrix is of exactly low rank:
    its numerical rank is reported with noise variance 0. All-zero rows or columns say nothing about the noise: pass
    the shape without them (:func:`evbmf_matrix` does).

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

    def result(rank: int, variance: float, threshold: float, exact: bool) -> Evbmf:
        return Evbmf.of(
            rank=rank,
            noise_variance=variance,
            threshold=threshold,
            shape=(shape[0], shape[1]),
            singular_values=s,
            exact=exact,
            approximate=approximate,
        )

    if rows == 0 or s[0] == 0:
        return result(0, noise_variance or 0.0, 0.0, exact=noise_variance is None)
    if noise_variance is None:
        numerical_rank = int(np.sum(s > columns * np.finfo(np.float64).eps * s[0]))
        if numerical_rank < rows:
            return result(numerical_rank, 0.0, 0.0, exact=True)
        problem = _Problem.of(s, rows, columns, approximate)
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
    """EVBMF of a matrix itself: all-zero rows and columns (dead channels) are left out first, and reported.

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
    return Evbmf(**{**vars(found), **dead})


@lru_cache(maxsize=4096)
def tau_bar(alpha: float, approximate: bool = False) -> float:
    r"""Root of :math:`\Phi(\tau) + \Phi(\tau/\alpha) = 0`, :math:`\Phi(z) = \log(z+1)/z - 1/2`, for 0 < alpha <= 1.

    2.512862, 1.782640, 0.864173, 0.452328 at alpha = 1, 1/2, 1/9, 1/36. The common approximation 2.5129 sqrt(alpha)
    is right at alpha = 1 only.
    """
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha = rows / columns must lie in (0, 1], not {alpha}")
    if approximate:
        return 2.5129 * sqrt(alpha)
    root: float = brentq(
        lambda tau: log1p(tau) / tau + alpha * log1p(tau / alpha) / tau - 1.0,
        sqrt(alpha),  # where x(tau) has its minimum; the root lies above
        (2.6 + sqrt(-log(alpha))) * sqrt(alpha),
        xtol=1e-15,
        rtol=8.9e-16,
    )
    return root


def x_bar(alpha: float, approximate: bool = False) -> float:
    """Threshold on s^2 / (M sigma^2): (1 + tau-bar)(1 + alpha / tau-bar)."""
    tau = tau_bar(alpha, approximate)
    return (1 + tau) * (1 + alpha / tau)


def _shrink(s: Vector, rows: int, columns: int, variance: float) -> Vector:
    """Posterior means of singular values above the threshold (Nakajima et al. 2013, theorem 2)."""
    if s.size == 0 or variance == 0:
        return s.copy()
    a = sqrt(variance) / s
    b = 1 - (rows + columns) * a * a
    root = np.sqrt(np.maximum(b * b - 4 * rows * columns * a**4, 0))
    return np.asarray(0.5 * s * (b + root))


@dataclass(frozen=True)
class _Problem:
    """The one-dimensional problem in t = log sigma^2, for squares scaled so that the largest is 1."""

    log_squares: Vector  # (H,) descending, of the non-zero singular values
    zeros: int
    alpha: float
    columns: int
    x_bar: float
    log_scale: float

    @classmethod
    def of(cls, s: Vector, rows: int, columns: int, approximate: bool) -> "_Problem":
        alpha = rows / columns
        positive = s[s > 0]
        log_squares = 2 * (np.log(positive) - log(positive[0])) - log(columns)
        bar = x_bar(alpha, approximate)
        return cls(log_squares, rows - positive.size, alpha, columns, bar, 2 * log(positive[0]))

    @property
    def crossings(self) -> Vector:
        """(H,) descending: the t above which singular value h counts as noise."""
        return self.log_squares - log(self.x_bar)

    def signal_count(self, t: Vector) -> NDArray[np.intp]:
        return np.searchsorted(-self.crossings, -t, side="left")

    def _tau(self, x: Vector) -> Vector:
        half = 0.5 * (x - (1 + self.alpha))
        return np.asarray(half + np.sqrt(np.maximum(half * half - self.alpha, 0)))

    def objective(self, t: Vector) -> Vector:
        """Omega(t); zero singular values count with their t, without the infinite constant."""
        values = np.empty(t.size)
        for block, x, signal in self._blocks(t):
            tau = self._tau(np.where(signal, x, self.x_bar))
            a, r = self.alpha, self.alpha / tau
            above = 1 + a + r - a * np.log(r) + (a - 1) * np.log1p(r)
            below = x - np.log(x)
            values[block] = np.where(signal, above, below).sum(axis=1) + self.zeros * t[block]
        return values

    def slope(self, t: Vector, count: NDArray[np.intp] | None = None) -> Vector:
        """dOmega/dt, with the first `count` singular values taken as signal (default: those that are)."""
        values = np.empty(t.size)
        for block, x, signal in self._blocks(t, count):
            tau = self._tau(np.where(signal, x, self.x_bar))
            parts = np.where(signal, -self.alpha * (1 + 1 / tau), 1 - x)
            values[block] = parts.sum(axis=1) + self.zeros
        return values

    def _blocks(self, t: Vector, count: NDArray[np.intp] | None = None) -> Iterator[tuple[slice, Vector, Mask]]:
        """(which t, x of every singular value at them, whether it is signal), in pieces of bounded size."""
        index = np.arange(self.log_squares.size)
        counts = self.signal_count(t) if count is None else count
        step = max(1, CHUNK // max(1, index.size))
        for start in range(0, t.size, step):
            block = slice(start, start + step)
            x = np.exp(self.log_squares[None, :] - t[block, None])
            yield block, x, index[None, :] < counts[block, None]

    def bounds(self) -> tuple[float, float]:
        """An interval of t that holds every minimum.

        Above the mean square all terms rise (Nakajima et al. 2013, theorem 4). Below the crossing that leaves
        fewer than alpha per signal as noise, the slope is negative: (noise) - alpha (signal) < 0.
        """
        rows = self.log_squares.size + self.zeros
        high = log(np.exp(self.log_squares).sum() / rows)
        most = min(self.log_squares.size, int(np.ceil(rows / (1 + self.alpha))) - 1)
        low = self.crossings[most] if most < self.log_squares.size else self.crossings[-1]
        return min(low, high) - 1e-9, high + 1e-9

    def minimise(self) -> float:
        """The t of the global minimum."""
        low, high = self.bounds()
        kinks = self.crossings[(self.crossings > low) & (self.crossings < high)]
        even = np.linspace(low, high, max(2, int((high - low) / STEP) + 1))
        nodes = np.unique(np.concatenate([even, kinks]))
        left, right = nodes[:-1], nodes[1:]
        count = self.signal_count(0.5 * (left + right))
        rising = (self.slope(left, count) <= 0) & (self.slope(right, count) >= 0)
        candidates = [self._root(left[i], right[i], count[i : i + 1]) for i in np.flatnonzero(rising)]
        best = np.array(candidates or [high])
        return float(best[np.argmin(self.objective(best))])

    def _root(self, left: float, right: float, count: NDArray[np.intp]) -> float:
        def slope(t: float) -> float:
            return float(self.slope(np.array([t]), count)[0])

        if slope(left) * slope(right) >= 0:  # an end is the root itself
            return left if abs(slope(left)) < abs(slope(right)) else right
        root: float = brentq(slope, left, right, xtol=1e-14, rtol=8.9e-16)
        return root
