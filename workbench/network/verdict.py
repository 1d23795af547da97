"""Compare two networks on the same images: confidence intervals of the loss, and whether it is significant.

All intervals are of 95 % and two-sided, in shares; a loss is above 0, a gain below.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

Z_95 = 1.959963984540054
"""Quantile of the standard normal distribution at 0.975, for intervals of 95 %."""
STEP = 1e-9
"""Smallest distance, in shares, between an observed difference and the ends of its interval."""
MAX_DROP_POINTS = 1.0
"""Loss in percentage points that is tolerated if no other is given."""


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
    lost : images that the first network has right and the second has not.
    gained : images that the second network has right and the first has not.

    References: Tango, Statistics in Medicine 17, 1998, p. 891; recommended by Fagerland, Lydersen and Laake,
    Statistics in Medicine 33, 2014, p. 2850.
    """
    found = (lost - gained) / n

    def distance(difference: float) -> float:
        """Return the squared statistic less z squared, times its variance: negative inside the interval."""
        b = -lost - gained + (2 * n - lost + gained) * difference
        c = -gained * difference * (1 - difference)
        q = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
        variance = n * max(0.0, 2 * q + difference * (1 - difference))
        return float((lost - gained - n * difference) ** 2 - Z_95**2 * variance)

    # beside `found` and not at it: the statistic is 0 / 0 there if no image differs, or all do
    low = -1.0 if gained == n else brentq(distance, -1.0, found - STEP, xtol=1e-15)
    high = 1.0 if lost == n else brentq(distance, found + STEP, 1.0, xtol=1e-15)
    return float(low), float(high)


def unpaired_interval(before: float, n_before: int, after: float, n_after: int) -> tuple[float, float]:
    """Return Newcombe's 95 % hybrid score interval of the difference of two shares that were measured apart.

    It is wider than the paired interval, which needs each image's result.

    References: Newcombe, Statistics in Medicine 17, 1998, p. 873, method 10.
    """
    (low_1, high_1), (low_2, high_2) = wilson(before, n_before), wilson(after, n_after)
    return (
        before - after - math.hypot(before - low_1, high_2 - after),
        before - after + math.hypot(high_1 - before, after - low_2),
    )


def images_needed(max_drop: float = MAX_DROP_POINTS) -> int:
    """Return how many images can show that at most `max_drop` points are lost: 381 for one point.

    With fewer of them the interval goes beyond `max_drop` even if both networks answer alike on every image.
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
    lost : share that was lost on these images; below 0 for a gain.
    low, high : 95 % confidence interval of that share.
    n : number of images.
    kind : "accuracy" (the loss of right answers) or "agreement" (the share of answers that changed).
    max_drop : loss in points that is tolerated.
    split : name of the images, like "validation", or "".
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
        """Width of the interval: of two verdicts on one loss, the narrower says more."""
        return self.high - self.low

    @property
    def tolerable(self) -> bool:
        """Whether the images show that at most `max_drop` points are lost."""
        return 100 * self.high <= self.max_drop

    def __str__(self) -> str:
        lost, low, high = (f"{100 * share:.1f}" for share in (self.lost, self.low, self.high))
        lost, low = lost.replace("-0.0", "0.0"), low.replace("-0.0", "0.0")
        what = "points lost" if self.kind == "accuracy" else "% of the answers changed"
        where = f"on {self.n} {self.split} images" if self.split else f"on {self.n} images"
        if self.finding is Finding.NO_LOSS:
            return f"{self.finding} (between {low} and {high} {what} {where})"
        doubt = f"{self.finding}: " if self.finding is Finding.TOO_FEW else ""
        return f"{doubt}{lost} {what} (between {low} and {high} {where})"


def judge(
    lost: float,
    interval: tuple[float, float],
    n: int,
    *,
    kind: str = "accuracy",
    max_drop: float = MAX_DROP_POINTS,
) -> Verdict:
    """Return the verdict on a loss and its interval.

    "Points lost": the whole interval is above 0, and for agreement, where a changed answer need not be a worse one,
    above `max_drop`. "No loss seen": otherwise, and the whole interval is at most `max_drop`: of a network that loses
    more, this is said by chance in at most about one of forty cases. "Too few images to tell": all else.

    Parameters
    ----------
    lost, interval : share that was lost on n images, and its 95 % interval.
    max_drop : loss in points that is tolerated.

    Raises
    ------
    ValueError : if `max_drop` is no number above 0.
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
    """Judge the loss between two networks from the images that each classifies correctly.

    Parameters
    ----------
    before, after : (n,) booleans, of the same images in the same order.
    max_drop : loss in points that is tolerated.

    Raises
    ------
    ValueError : if there are no images, or not as many of each.
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
    found = np.asarray(values)
    if found.ndim != 1 or not len(found) or found.dtype != bool:
        raise ValueError(f"results are one boolean an image, not {found.dtype} of shape {found.shape}")
    return found
