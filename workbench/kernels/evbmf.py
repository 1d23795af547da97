r"""Empirical variational Bayesian matrix factorisation (EVBMF): estimate rank and noise variance of a matrix.

EVBMF models a matrix V (L x M, L <= M) as a low-rank signal plus Gaussian noise of unknown variance :math:`\sigma^2`.
The free energy of the factorised posterior has an analytic minimum in everything but :math:`\sigma^2`. With
:math:`x_h = s_h^2 / (M \sigma^2)`, :math:`\alpha = L / M` and :math:`x = (1 + \tau)(1 + \alpha/\tau)` it is, up to
constants,

.. math:: \Omega(\sigma^2) = \sum_h \psi(x_h), \qquad
   \psi(x) = \begin{cases} x - \log x & x \le \bar{x} \\
   1 + \alpha + \alpha/\tau + \alpha\log(\tau/\alpha) + (\alpha - 1)\log(1 + \alpha/\tau) & x > \bar{x}\end{cases}

The second branch is Nakajima's :math:`x - \log x + \log(\tau + 1) + \alpha \log(\tau/\alpha + 1) - \tau`, written
without cancellation. In :math:`t = \log \sigma^2` the derivative is

.. math:: \Omega'(t) = \sum_{x_h \le \bar{x}} (1 - x_h) - \alpha \sum_{x_h > \bar{x}} (1 + 1/\tau_h),

continuous except where an :math:`x_h` crosses :math:`\bar{x}`; there the slope jumps *down*, so such a point is never
a minimum. All minima are roots of a smooth function between neighbouring crossings: we bracket them all and take the
lowest. No tolerance has a unit, so the result does not depend on the scale of the weights.

References: Nakajima, Sugiyama, Babacan, Tomioka, *Global analytic solution of fully-observed variational Bayesian
matrix factorization*, JMLR 14 (2013), and *Perfect dimensionality recovery by variational Bayesian PCA*, NIPS 2012.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import exp, log, log1p, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import svdvals
from scipy.optimize import brentq

Vector = NDArray[np.float64]
Function = Callable[[Vector], Vector]

MAX_BRACKET_WIDTH = 0.05
"""Widest interval of log(noise variance) in which one minimum is searched for."""

MAX_ARRAY_ENTRIES = 2_000_000
"""Entries of the largest temporary array."""

CURVE_POINTS = 400


@dataclass(frozen=True)
class Evbmf:
    """Result of EVBMF for one matrix.

    Attributes
    ----------
    rank : number of singular values above `threshold`; may be 0.
    noise_variance : sigma^2 that minimises the free energy; 0 for a matrix of exactly low rank.
    threshold : sqrt(M sigma^2 x-bar); singular values above it are signal.
    shape : (rows, columns) of the matrix.
    singular_values : (L,) descending.
    exact : whether the matrix is of exactly low rank, without noise; `rank` is then its numerical rank.
    dead_rows, dead_columns : number of all-zero rows and columns, which EVBMF leaves out.
    """

    rank: int
    noise_variance: float
    threshold: float
    shape: tuple[int, int]
    singular_values: Vector = field(repr=False)
    exact: bool = False
    dead_rows: int = 0
    dead_columns: int = 0

    @property
    def shrunk(self) -> Vector:
        """Posterior means of the singular values above the threshold, (rank,) (Nakajima et al. 2013, theorem 2)."""
        s = self.singular_values[: self.rank]
        ratio = self.noise_variance / s**2
        b = 1 - sum(self.shape) * ratio
        root = np.sqrt(np.maximum(b * b - 4 * self.shape[0] * self.shape[1] * ratio**2, 0))
        return np.asarray(0.5 * s * (b + root))

    def free_energy(self, noise_variance: ArrayLike) -> Vector:
        """Return the free energy per singular value, up to a constant, at noise variances > 0."""
        problem = FreeEnergy(self.singular_values, self.shape)
        t = np.log(np.atleast_1d(np.asarray(noise_variance, dtype=np.float64)))
        return problem.objective(t - problem.log_scale) / min(self.shape)

    def curve(self) -> tuple[Vector, Vector]:
        """Return (noise variances, free energies) around the minimum, evenly in the logarithm; empty without noise."""
        if self.noise_variance <= 0:
            return np.empty(0), np.empty(0)
        mean_square = float(np.sum(self.singular_values**2)) / (self.shape[0] * self.shape[1])
        variances = np.geomspace(self.noise_variance * exp(-2), mean_square * exp(1), CURVE_POINTS)
        return variances, self.free_energy(variances)


def evbmf(singular_values: ArrayLike, shape: tuple[int, int]) -> Evbmf:
    """Return the global analytic EVBMF solution from the singular values of a matrix.

    Parameters
    ----------
    singular_values : up to min(shape) non-negative numbers in any order; missing ones count as zero.
    shape : (rows, columns) of the matrix, either way round.

    Raises
    ------
    ValueError : on NaN, infinite or negative singular values, or more of them than the shape has.

    Notes
    -----
    Singular values up to ``max(shape) * eps * s_1`` count as zero. If there are any, the matrix is of exactly low rank:
    the result is its numerical rank with noise variance 0. All-zero rows and columns say nothing about the noise: pass
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
    rows, columns = sorted(shape)
    if not np.isfinite(s).all():
        raise ValueError("the singular values contain NaN or infinity: look for a broken layer or a diverged training")
    if s.size and s[-1] < 0:
        raise ValueError(f"a singular value is negative ({s[-1]:.3g}): pass singular values, not eigenvalues")
    if s.size > rows:
        raise ValueError(f"{s.size} singular values for a matrix of shape {tuple(shape)}, which has at most {rows}")
    s = np.concatenate([s, np.zeros(rows - s.size)])
    numerical_rank = int(np.sum(s > columns * np.finfo(np.float64).eps * s[0])) if rows else 0
    if rows == 0 or numerical_rank < rows:
        return Evbmf(numerical_rank, 0.0, 0.0, shape, s, exact=True)
    problem = FreeEnergy(s, shape)
    t = problem.minimise()
    variance = exp(t + problem.log_scale)
    if variance == 0.0 or variance == np.inf:
        raise ValueError("the noise variance leaves the range of float64: scale the matrix")
    threshold = sqrt(columns * problem.x_bar) * sqrt(variance)
    return Evbmf(int(problem.signal_count(np.array([t]))[0]), variance, threshold, shape, s)


def evbmf_matrix(matrix: ArrayLike) -> Evbmf:
    """Return EVBMF of a matrix without its all-zero rows and columns (dead channels), which are counted.

    Parameters
    ----------
    matrix : (rows, columns), of any proportions.

    Raises
    ------
    ValueError : if it is not a matrix, or contains NaN or infinity.
    """
    m = np.asarray(matrix, dtype=np.float64)
    if m.ndim != 2:
        raise ValueError(f"EVBMF takes a matrix; this array has {m.ndim} dimensions: unfold it first")
    live = m[m.any(axis=1)][:, m.any(axis=0)]
    rows, columns = live.shape
    result = evbmf(svdvals(live) if live.size else [], (rows, columns))
    return replace(result, dead_rows=m.shape[0] - rows, dead_columns=m.shape[1] - columns)


def tau_bar(alpha: float) -> float:
    r"""Return the root of :math:`\Phi(\tau) + \Phi(\tau/\alpha) = 0` with :math:`\Phi(z) = \log(z+1)/z - 1/2`.

    The common approximation 2.5129 sqrt(alpha) is right at alpha = 1 only.
    """
    root: float = brentq(
        lambda tau: log1p(tau) / tau + alpha * log1p(tau / alpha) / tau - 1.0,
        sqrt(alpha),  # where x(tau) has its minimum; the root lies above
        (2.6 + sqrt(-log(alpha))) * sqrt(alpha),
        xtol=1e-15,
        rtol=8.9e-16,
    )
    return root


def x_bar(alpha: float) -> float:
    """Return the threshold on s^2 / (M sigma^2): (1 + tau-bar)(1 + alpha / tau-bar)."""
    tau = tau_bar(alpha)
    return (1 + tau) * (1 + alpha / tau)


class FreeEnergy:
    """The free energy as a function of t = log sigma^2 - `log_scale`, for squares scaled so that the largest is 1.

    `singular_values` are positive and descending; each counts as noise at every t above its value of `crossings` (L,).
    """

    def __init__(self, singular_values: Vector, shape: tuple[int, int]) -> None:
        rows, columns = sorted(shape)
        self.alpha = rows / columns
        self.x_bar = x_bar(self.alpha)
        self.log_scale = 2 * log(singular_values[0])
        self.log_squares = 2 * np.log(singular_values) - self.log_scale - log(columns)
        self.crossings = self.log_squares - log(self.x_bar)

    def signal_count(self, t: Vector) -> NDArray[np.intp]:
        """Return how many singular values are signal at each t."""
        return np.searchsorted(-self.crossings, -t, side="left")

    def objective(self, t: Vector) -> Vector:
        """Return Omega(t)."""
        a = self.alpha

        def signal(tau: Vector) -> Vector:
            return np.asarray(1 + a + a / tau - a * np.log(a / tau) + (a - 1) * np.log1p(a / tau))

        return self._sum(t, self.signal_count(t), signal, lambda x: x - np.log(x))

    def slope(self, t: Vector, count: NDArray[np.intp]) -> Vector:
        """Return dOmega/dt with the first `count` singular values as signal."""
        return self._sum(t, count, lambda tau: -self.alpha * (1 + 1 / tau), lambda x: 1 - x)

    def _sum(self, t: Vector, count: NDArray[np.intp], signal: Function, noise: Function) -> Vector:
        """Return, at each t, the sum of signal(tau) over the first `count` singular values, noise(x) over the rest."""
        index = np.arange(self.log_squares.size)
        values = np.empty(t.size)
        step = max(1, MAX_ARRAY_ENTRIES // index.size)
        for start in range(0, t.size, step):  # in blocks of bounded size
            block = slice(start, start + step)
            x = np.exp(self.log_squares - t[block, None])
            above = index < count[block, None]
            half = 0.5 * (np.where(above, x, self.x_bar) - (1 + self.alpha))
            tau = half + np.sqrt(np.maximum(half * half - self.alpha, 0))
            values[block] = np.where(above, signal(tau), noise(x)).sum(axis=1)
        return values

    def minimise(self) -> float:
        """Return the t of the global minimum."""
        # Above the mean square all terms rise (Nakajima et al. 2013, theorem 4). Below the crossing with fewer than
        # alpha noise values per signal value the slope is negative: (noise) - alpha (signal) < 0.
        rows = self.log_squares.size
        last = min(rows, int(np.ceil(rows / (1 + self.alpha)))) - 1
        mean_square = log(np.exp(self.log_squares).mean())
        low, high = min(self.crossings[last], mean_square) - 1e-9, mean_square + 1e-9
        kinks = self.crossings[(self.crossings > low) & (self.crossings < high)]
        grid = np.linspace(low, high, max(2, int((high - low) / MAX_BRACKET_WIDTH) + 1))
        nodes = np.unique(np.concatenate([grid, kinks]))
        left, right = nodes[:-1], nodes[1:]
        count = self.signal_count(0.5 * (left + right))
        rising = (self.slope(left, count) <= 0) & (self.slope(right, count) >= 0)
        candidates = [self._root(left[i], right[i], count[[i]]) for i in np.flatnonzero(rising)]
        minima = np.array(candidates or [high])
        return float(minima[np.argmin(self.objective(minima))])

    def _root(self, left: float, right: float, count: NDArray[np.intp]) -> float:
        def slope(t: float) -> float:
            return float(self.slope(np.array([t]), count)[0])

        if slope(left) * slope(right) >= 0:  # an end is the root itself
            return left if abs(slope(left)) < abs(slope(right)) else right
        root: float = brentq(slope, left, right, xtol=1e-14, rtol=8.9e-16)
        return root
