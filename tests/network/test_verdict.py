import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest

from workbench.network.verdict import (
    Z_95,
    Finding,
    images_needed,
    judge,
    judge_agreement,
    judge_pairs,
    paired_interval,
    unpaired_interval,
    wilson,
)


def pairs(lost, gained, n):
    """Results of two networks on n images."""
    before, after = np.ones((2, n), dtype=bool)
    after[:lost] = False
    before[lost : lost + gained] = False
    return before, after


@pytest.mark.parametrize(
    ("lost", "gained", "n", "low", "high", "digits"),
    [
        # airway hyper-responsiveness (Bentur et al., 2009): Fagerland, Lydersen and Laake, 2014
        (1, 7, 21, -0.517, -0.026, 3),
        # complete response (Cavo et al., 2012): Fagerland, Lydersen and Laake, Analysis of Contingency Tables, ch. 8
        (6, 16, 161, -0.1240, -0.0054, 4),
    ],
)
def test_the_paired_interval_of_published_examples(lost, gained, n, low, high, digits):
    assert paired_interval(lost, gained, n) == pytest.approx((low, high), abs=0.51 * 10**-digits)


def score_statistic(lost, gained, n, difference):
    """Tango's statistic, its nuisance parameter found by searching for the largest likelihood."""

    def unlikely(q):  # share of gained images; that of lost ones is q + difference
        shares = np.array([q + difference, q, 1 - 2 * q - difference])
        return -float(np.array([lost, gained, n - lost - gained]) @ np.log(np.maximum(shares, 1e-300)))

    span = (max(0.0, -difference), (1 - difference) / 2)
    q = minimize_scalar(unlikely, bounds=span, method="bounded", options={"xatol": 1e-12}).x
    return (lost - gained - n * difference) / math.sqrt(n * (2 * q + difference * (1 - difference)))


@pytest.mark.parametrize(("lost", "gained", "n"), [(3, 2, 40), (7, 1, 21), (12, 5, 100), (30, 20, 1000)])
def test_at_the_ends_the_score_statistic_is_z(lost, gained, n):
    low, high = paired_interval(lost, gained, n)
    assert score_statistic(lost, gained, n, low) == pytest.approx(Z_95, rel=1e-4)
    assert score_statistic(lost, gained, n, high) == pytest.approx(-Z_95, rel=1e-4)
    assert paired_interval(gained, lost, n) == pytest.approx((-high, -low), abs=1e-12)


@pytest.mark.parametrize("n", [1, 20, 381, 50_000, 10**7])
def test_the_paired_interval_where_it_has_a_closed_form(n):
    alike = Z_95**2 / (n + Z_95**2)
    assert paired_interval(0, 0, n) == pytest.approx((-alike, alike), rel=1e-6)
    assert paired_interval(n, 0, n) == pytest.approx(((n - Z_95**2) / (n + Z_95**2), 1), rel=1e-6)
    assert paired_interval(0, n, n) == pytest.approx((-1, -(n - Z_95**2) / (n + Z_95**2)), rel=1e-6)


@pytest.mark.parametrize(
    ("before", "n", "after", "m", "low", "high"),
    [  # Newcombe, Statistics in Medicine 17, 1998, p. 873, table II, method 10
        (56 / 70, 70, 48 / 80, 80, 0.0524, 0.3339),
        (9 / 10, 10, 3 / 10, 10, 0.1705, 0.8090),
        (6 / 7, 7, 2 / 7, 7, 0.0582, 0.8062),
        (5 / 56, 56, 0 / 29, 29, -0.0381, 0.1926),
    ],
)
def test_the_unpaired_interval_of_newcombes_examples(before, n, after, m, low, high):
    assert unpaired_interval(before, n, after, m) == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 50), (50, 50), (1, 3), (497, 500), (5000, 10000)])
def test_the_interval_of_a_share_is_wilsons(right, n):
    found = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson(right / n, n) == pytest.approx((found.low, found.high), abs=1e-12)


@pytest.mark.parametrize(
    ("lost", "gained", "n", "words"),
    [
        (0, 0, 381, "no loss seen (between -1.0 and 1.0 points lost on 381 images)"),
        (0, 0, 380, "too few images to tell: 0.0 points lost (between -1.0 and 1.0 on 380 images)"),
        (3, 2, 50, "too few images to tell: 2.0 points lost (between -8.6 and 13.0 on 50 images)"),
        (12, 2, 50, "20.0 points lost (between 6.1 and 34.5 on 50 images)"),
        (2, 60, 500, "no loss seen (between -14.8 and -8.9 points lost on 500 images)"),
    ],
)
def test_the_verdict_of_pairs(lost, gained, n, words):
    found = judge_pairs(*pairs(lost, gained, n))
    low, high = paired_interval(lost, gained, n)
    assert (found.lost, found.low, found.high, found.n) == ((lost - gained) / n, low, high, n)
    assert str(found) == words
    assert found.tolerable == (high <= 0.01)


@pytest.mark.parametrize(
    ("same", "n", "words"),
    [
        (381, 381, "no loss seen (between 0.0 and 1.0 % of the answers changed on 381 images)"),
        (985, 1000, "too few images to tell: 1.5 % of the answers changed (between 0.9 and 2.5 on 1000 images)"),
        (900, 1000, "10.0 % of the answers changed (between 8.3 and 12.0 on 1000 images)"),
    ],
)
def test_the_verdict_of_agreement(same, n, words):
    found = judge_agreement(same / n, n)
    low, high = binomtest(n - same, n).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    assert str(found) == words


def test_a_wider_tolerance_needs_fewer_images():
    assert [images_needed(points) for points in (0.5, 1, 2, 5)] == [765, 381, 189, 73]
    for points in (0.5, 1, 2, 5):
        for n in (images_needed(points) - 1, images_needed(points)):
            enough = n == images_needed(points)
            assert judge_pairs(*pairs(0, 0, n), max_drop=points).tolerable == enough
            assert judge_agreement(1.0, n, max_drop=points).tolerable == enough


def said(draws, judged):
    """How often "no loss seen" is said of draws of counts, each kind of which is judged once."""
    kinds, counts = np.unique(draws, axis=0, return_counts=True)
    silent = [judged(*(int(k) for k in kind)).finding is Finding.NO_LOSS for kind in kinds]
    return counts[silent].sum() / counts.sum()


@pytest.mark.parametrize("n", [20, 200, 2000])
@pytest.mark.parametrize("gained", [0.0, 0.02, 0.3])
@pytest.mark.parametrize(("true", "drop"), [(0.03, 1.0), (0.03, 2.9), (0.0101, 1.0)])
def test_a_loss_of_three_points_is_hardly_ever_overlooked(n, gained, true, drop):
    """For each rate at which the networks differ; also of a loss just above what is tolerated."""
    draws = np.random.default_rng(0).multinomial(n, [true + gained, gained, 1 - true - 2 * gained], size=1000)[:, :2]
    assert said(draws, lambda lost, gained: judge(*_pair(lost, gained, n), n, max_drop=drop)) <= 0.05


def test_that_nothing_is_lost_is_seen_with_enough_images():
    draws = np.random.default_rng(0).multinomial(2000, [0.002, 0.002, 0.996], size=2000)[:, :2]
    assert said(draws, lambda lost, gained: judge(*_pair(lost, gained, 2000), 2000)) > 0.95


def _pair(lost, gained, n):
    return (lost - gained) / n, paired_interval(lost, gained, n)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: judge_pairs(np.ones(3, bool), np.ones(4, bool)), "results of 3 and of 4 images"),
        (lambda: judge_pairs(np.ones(0, bool), np.ones(0, bool)), "one boolean an image"),
        (lambda: judge_pairs(np.ones(3), np.ones(3)), "one boolean an image, not float64"),
        (lambda: judge_agreement(1.0, 10, max_drop=0), "max_drop is the loss in points .* not 0"),
        (lambda: judge_agreement(1.0, 10, max_drop=math.nan), "not nan"),
    ],
)
def test_what_cannot_be_judged_is_a_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()
