"""Compare two networks on the same images: confidence intervals of the loss, and whether it is significant.

All intervals are two-sided 95 % intervals of shares; a loss is positive, a gain negative.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

Z_95 = 1.959963984540054
"""Quantile of the standard normal distribution at 0.975, for intervals of 95 %."""
MIN_DISTANCE = 1e-9
"""Smallest distance, as a share, between an observed difference and an end of its interval."""
MAX_DROP_POINTS = 1.0
"""Default of the tolerated loss, in percentage points."""


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of n images (1927; Brown, Cai and DasGupta, 2001, eq. 4)."""
    middle = share + Z_95**2 / (2 * n)
    half = Z_95 * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n**2))
    low, high = ((middle + sign * half) / (1 + Z_95**2 / n) for sign in (-1, 1))
    return (low if share > 0 else 0.0), (high if share < 1 else 1.0)


def paired_interval(lost: int, gained: int, n: int) -> tuple[float, float]:
    r"""Return Tango's 95 % score interval of the difference of two proportions of the same n images.

    The ends are the differences :math:`\delta` at which the score statistic has the size z:

    .. math:: |lost - gained - n\delta| = z \sqrt{n (2 \hat q + \delta (1 - \delta))}

    with :math:`\hat q` the maximum-likelihood share of gained images at that difference.

    Parameters
    ----------
    lost : images that only the first network classifies correctly.
    gained : images that only the second network classifies correctly.

    References: Tango, Statistics in Medicine 17, 1998, p. 891; recommended by Fagerland, Lydersen and Laake,
    Statistics in Medicine 33, 2014, p. 2850.
    """
    observed = (lost - gained) / n

    def distance(difference: float) -> float:
        """Return (squared statistic - z squared) * variance, which is negative inside the interval."""
        b = -lost - gained + (2 * n - lost + gained) * difference
        c = -gained * difference * (1 - difference)
        q = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
        variance = n * max(0.0, 2 * q + difference * (1 - difference))
        return float((lost - gained - n * difference) ** 2 - Z_95**2 * variance)

    # the search ends beside `observed`, where the statistic is 0 / 0 if no image differs, or all do
    low = -1.0 if gained == n else brentq(distance, -1.0, observed - MIN_DISTANCE, xtol=1e-15)
    high = 1.0 if lost == n else brentq(distance, observed + MIN_DISTANCE, 1.0, xtol=1e-15)
    return float(low), float(high)


def unpaired_interval(before: float, n_before: int, after: float, n_after: int) -> tuple[float, float]:
    """Return Newcombe's 95 % hybrid score interval of the difference of two independent shares.

    It is wider than the paired interval, which needs the result of each image.

    References: Newcombe, Statistics in Medicine 17, 1998, p. 873, method 10.
    """
    (low_1, high_1), (low_2, high_2) = wilson(before, n_before), wilson(after, n_after)
    return (
        before - after - math.hypot(before - low_1, high_2 - after),
        before - after + math.hypot(high_1 - before, after - low_2),
    )


def images_needed(max_drop: float = MAX_DROP_POINTS) -> int:
    """Return the number of images that can show a loss of at most `max_drop` points: 381 for one point.

    With fewer images, the interval exceeds `max_drop` even if both networks give the same answer to every image.
    """
    if not 0 < max_drop < math.inf:
        raise ValueError(f"max_drop is the loss in points that is tolerated, a number above 0, not {max_drop}")
    return max(1, math.ceil(Z_95**2 * (100 / max_drop - 1)))


class Finding(StrEnum):
    """Conclusion about a loss."""

    NO_LOSS = "no loss seen"
    LOSS = "points lost"
    TOO_FEW = "too few images to tell"


@dataclass(frozen=True)
class Verdict:
    """Loss of one network against another on n images, with its interval and the conclusion.

    Attributes
    ----------
    finding : "no loss seen", "points lost" or "too few images to tell".
    lost : share that was lost on these images; negative for a gain.
    low, high : 95 % confidence interval of that share.
    n : number of images.
    kind : "accuracy" (loss of right answers) or "agreement" (share of changed answers).
    max_drop : tolerated loss in points.
    split : name of the split, like "validation", or "".
    """

    finding: Finding
    lost: float
    low: float
    high: float
    n: int
    kind: str = "accuracy"
    max_drop: float = MAX_DROP_POINTS
    split: str = ""

    @property
    def width(self) -> float:
        """Width of the interval."""
        return self.high - self.low

    @property
    def tolerable(self) -> bool:
        """Whether the images show that at most `max_drop` points are lost."""
        return 100 * self.high <= self.max_drop

    def __str__(self) -> str:
        lost, low, high = (f"{100 * share:.1f}" for share in (self.lost, self.low, self.high))
        lost, low = lost.replace("-0.0", "0.0"), low.replace("-0.0", "0.0")
        unit = "points lost" if self.kind == "accuracy" else "% of the answers changed"
        images = f"on {self.n} {self.split} images" if self.split else f"on {self.n} images"
        if self.finding is Finding.NO_LOSS:
            return f"{self.finding} (between {low} and {high} {unit} {images})"
        prefix = f"{self.finding}: " if self.finding is Finding.TOO_FEW else ""
        return f"{prefix}{lost} {unit} (between {low} and {high} {images})"


def judge(
    lost: float,
    interval: tuple[float, float],
    n: int,
    *,
    kind: str = "accuracy",
    max_drop: float = MAX_DROP_POINTS,
) -> Verdict:
    """Return the verdict on a loss and its interval.

    "Points lost": the interval is above 0, or, for agreement, where a changed answer need not be worse, above
    `max_drop`. "No loss seen": else, if the interval is not above `max_drop`; a network that loses more gets this
    verdict by chance in at most about one of forty cases. "Too few images to tell": otherwise.

    Parameters
    ----------
    lost, interval : share that was lost on n images, and its 95 % interval.
    max_drop : tolerated loss in points.

    Raises
    ------
    ValueError : if `max_drop` is not a number above 0.
    """
    images_needed(max_drop)  # raises ValueError if `max_drop` is invalid
    low, high = interval
    finding = Finding.TOO_FEW
    if low > (0.0 if kind == "accuracy" else max_drop / 100):
        finding = Finding.LOSS
    elif 100 * high <= max_drop:
        finding = Finding.NO_LOSS
    return Verdict(finding, lost, low, high, n, kind, max_drop)


def judge_pairs(before: ArrayLike, after: ArrayLike, *, max_drop: float = MAX_DROP_POINTS) -> Verdict:
    """Judge the loss between two networks by the images that each classifies correctly.

    Parameters
    ----------
    before, after : (n,) booleans, of the same images in the same order.
    max_drop : tolerated loss in points.

    Raises
    ------
    ValueError : if there are no images, or the numbers of images differ.
    """
    first, second = _results(before), _results(after)
    if first.shape != second.shape:
        raise ValueError(f"results of {len(first)} and of {len(second)} images: score both networks on the same ones")
    lost, gained, n = int((first & ~second).sum()), int((second & ~first).sum()), len(first)
    interval = paired_interval(lost, gained, n)
    return judge((lost - gained) / n, interval, n, max_drop=max_drop)


def judge_agreement(agreement: float, n: int, *, max_drop: float = MAX_DROP_POINTS) -> Verdict:
    """Judge a network by the share of n images on which it agrees with the original; all others count as lost."""
    low, high = wilson(agreement, n)
    return judge(1 - agreement, (1 - high, 1 - low), n, kind="agreement", max_drop=max_drop)


def _results(values: ArrayLike) -> NDArray[np.bool_]:
    results = np.asarray(values)
    if results.ndim != 1 or not len(results) or results.dtype != bool:
        raise ValueError(f"results are one boolean an image, not {results.dtype} of shape {results.shape}")
    return results
