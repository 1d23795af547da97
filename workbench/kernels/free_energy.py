r"""Free energy of empirical variational Bayesian matrix factorisation, and its global minimum.

A matrix V (L x M, L <= M) is taken as a low-rank signal plus Gaussian noise of unknown variance :math:`\sigma^2`.
The free energy of the factorised posterior is minimised analytically in everything but :math:`\sigma^2`. With
:math:`x_h = s_h^2 / (M \sigma^2)`, :math:`\alpha = L / M` and :math:`x = (1 + \tau)(1 + \alpha/\tau)` it is, up to
constants,

.. math:: \Omega(\sigma^2) = \sum_h \psi(x_h), \qquad
   \psi(x) = \begin{cases} x - \log x & x \le \bar{x} \\
   1 + \alpha + \alpha/\tau + \alpha\log(\tau/\alpha) + (\alpha - 1)\log(1 + \alpha/\tau) & x > \bar{x}\end{cases}

The second branch is Nakajima's :math:`x - \log x + \log(\tau + 1) + \alpha \log(\tau/\alpha + 1) - \tau`, written
so that nothing cancels. In :math:`t = \log \sigma^2` the derivative is

.. math:: \Omega'(t) = \sum_{x_h \le \bar{x}} (1 - x_h) - \alpha \sum_{x_h > \bar{x}} (1 + 1/\tau_h),

continuous but where an :math:`x_h` crosses :math:`\bar{x}`; there the slope jumps *down*, so such a point is never a
minimum. All minima are roots of a smooth function between neighbouring crossings: we bracket them all and take the
lowest. No tolerance has a unit, so the answer does not depend on the scale of the weights.

References: Nakajima, Sugiyama, Babacan, Tomioka, *Global analytic solution of fully-observed variational Bayesian
matrix factorization*, JMLR 14 (2013), and *Perfect dimensionality recovery by variational Bayesian PCA*, NIPS 2012.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import log, log1p, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Vector = NDArray[np.float64]
Mask = NDArray[np.bool_]

MAX_BRACKET_WIDTH = 0.05
"""Widest interval of log(noise variance) in which one minimum is searched for."""

MAX_ARRAY_ENTRIES = 2_000_000
"""Entries of the largest temporary array."""


@lru_cache(maxsize=4096)
def tau_bar(alpha: float, approximate: bool = False) -> float:
    r"""Return the root of :math:`\Phi(\tau) + \Phi(\tau/\alpha) = 0` with :math:`\Phi(z) = \log(z+1)/z - 1/2`.

    The common approximation 2.5129 sqrt(alpha) is right at alpha = 1 only.
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
    """Return the threshold on s^2 / (M sigma^2): (1 + tau-bar)(1 + alpha / tau-bar)."""
    tau = tau_bar(alpha, approximate)
    return (1 + tau) * (1 + alpha / tau)


@dataclass(frozen=True)
class FreeEnergy:
    """The free energy as a function of t = log sigma^2, for squares scaled so that the largest is 1."""

    log_squares: Vector  # (H,) descending, of the non-zero singular values
    zeros: int
    alpha: float
    columns: int
    x_bar: float
    log_scale: float

    @classmethod
    def of(cls, s: Vector, rows: int, columns: int, approximate: bool) -> "FreeEnergy":
        """Make the problem of singular values (rows,) of a matrix (rows, columns)."""
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
        """Return how many singular values are signal at each t."""
        return np.searchsorted(-self.crossings, -t, side="left")

    def _tau(self, x: Vector) -> Vector:
        half = 0.5 * (x - (1 + self.alpha))
        return np.asarray(half + np.sqrt(np.maximum(half * half - self.alpha, 0)))

    def objective(self, t: Vector) -> Vector:
        """Return Omega(t); zero singular values count with their t, without the infinite constant."""
        values = np.empty(t.size)
        for block, x, signal in self._blocks(t):
            tau = self._tau(np.where(signal, x, self.x_bar))
            a, r = self.alpha, self.alpha / tau
            above = 1 + a + r - a * np.log(r) + (a - 1) * np.log1p(r)
            below = x - np.log(x)
            values[block] = np.where(signal, above, below).sum(axis=1) + self.zeros * t[block]
        return values

    def slope(self, t: Vector, count: NDArray[np.intp] | None = None) -> Vector:
        """Return dOmega/dt with the first `count` singular values as signal (default: those above the threshold)."""
        values = np.empty(t.size)
        for block, x, signal in self._blocks(t, count):
            tau = self._tau(np.where(signal, x, self.x_bar))
            parts = np.where(signal, -self.alpha * (1 + 1 / tau), 1 - x)
            values[block] = parts.sum(axis=1) + self.zeros
        return values

    def _blocks(self, t: Vector, count: NDArray[np.intp] | None = None) -> Iterator[tuple[slice, Vector, Mask]]:
        """Yield (slice of t, x of every singular value there, whether it is signal), in blocks of bounded size."""
        index = np.arange(self.log_squares.size)
        counts = self.signal_count(t) if count is None else count
        step = max(1, MAX_ARRAY_ENTRIES // max(1, index.size))
        for start in range(0, t.size, step):
            block = slice(start, start + step)
            x = np.exp(self.log_squares[None, :] - t[block, None])
            yield block, x, index[None, :] < counts[block, None]

    def bounds(self) -> tuple[float, float]:
        """Return an interval of t that holds every minimum.

        Above the mean square all terms rise (Nakajima et al. 2013, theorem 4). Below the crossing that leaves
        fewer than alpha per signal as noise, the slope is negative: (noise) - alpha (signal) < 0.
        """
        rows = self.log_squares.size + self.zeros
        high = log(np.exp(self.log_squares).sum() / rows)
        most = min(self.log_squares.size, int(np.ceil(rows / (1 + self.alpha))) - 1)
        low = self.crossings[most] if most < self.log_squares.size else self.crossings[-1]
        return min(low, high) - 1e-9, high + 1e-9

    def minimise(self) -> float:
        """Return the t of the global minimum."""
        low, high = self.bounds()
        kinks = self.crossings[(self.crossings > low) & (self.crossings < high)]
        even = np.linspace(low, high, max(2, int((high - low) / MAX_BRACKET_WIDTH) + 1))
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
