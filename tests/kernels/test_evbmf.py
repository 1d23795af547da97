import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.kernels.evbmf import evbmf, evbmf_matrix, tau_bar, x_bar


def singular_values(matrix):
    return np.linalg.svd(matrix, compute_uv=False)


def planted(rows, columns, rank, seed, strength=3.0):
    """Gaussian noise of variance 1 plus `rank` directions well above it."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((rows, columns))
    left, _ = np.linalg.qr(rng.standard_normal((rows, rank)))
    right, _ = np.linalg.qr(rng.standard_normal((columns, rank)))
    edge = math.sqrt(rows) + math.sqrt(columns)
    return noise + strength * edge * (left * np.linspace(2, 1, rank)) @ right.T


def nakajima(s, rows, columns, variance):
    """Free energy as Nakajima et al. (JMLR 2013) write it, term by term."""
    alpha = rows / columns
    x = s**2 / (columns * variance)
    noise, signal = x[x <= x_bar(alpha)], x[x > x_bar(alpha)]
    tau = 0.5 * (signal - (1 + alpha) + np.sqrt((signal - (1 + alpha)) ** 2 - 4 * alpha))
    psi1 = np.log(tau + 1) + alpha * np.log(tau / alpha + 1) - tau
    return np.sum(noise - np.log(noise)) + np.sum(signal - np.log(signal) + psi1)


@pytest.mark.parametrize(
    ("alpha", "tau", "x"),
    [(1, 2.512862, 4.910815), (1 / 2, 1.782640, 3.563123), (1 / 9, 0.864173, 2.103859), (1 / 36, 0.452328, 1.541517)],
)
def test_constants_are_the_closed_forms(alpha, tau, x):
    found = tau_bar(alpha)
    assert found == pytest.approx(tau, abs=5e-7)
    assert x_bar(alpha) == pytest.approx(x, abs=1.1e-6)  # the published sixth decimal rounds down once
    assert sum(math.log1p(z) / z - 0.5 for z in (found, found / alpha)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("rows", "columns", "rank", "strength", "scale"),
    [
        (40, 360, 6, 3.0, 1e-12),
        (64, 64, 10, 1.0, 1),
        (60, 70, 25, 0.4, 1e12),
        (128, 1152, 40, 0.5, 1),
        (9, 32, 0, 1, 1),
    ],
)
def test_noise_variance_is_the_global_minimum(rows, columns, rank, strength, scale):
    s = singular_values(planted(rows, columns, rank, 1, strength)) * scale
    found = evbmf(s, (rows, columns))
    grid = np.sum(s**2) / (rows * columns) * np.exp(np.linspace(-14, 3, 20_001))
    energies = found.free_energy(grid)
    assert found.free_energy(found.noise_variance)[0] <= energies.min() + 1e-13
    assert found.noise_variance == pytest.approx(grid[energies.argmin()], rel=2e-3)
    variances, energies = found.curve()
    assert variances[0] < found.noise_variance < variances[-1]
    assert variances[energies.argmin()] == pytest.approx(found.noise_variance, rel=0.05)


@pytest.mark.parametrize("levels", [(1e3, 1e1, 1e-1), (1e5, 1, 1e-5)])
def test_the_lowest_of_several_minima_is_taken(levels):
    """A spectrum in narrow steps has a minimum at each step that is wide enough."""
    rng = np.random.default_rng(3)
    sizes = (20, 28, 12)
    steps = [level * (1 + 0.02 * rng.random(size)) for level, size in zip(levels, sizes, strict=True)]
    s = np.sort(np.concatenate(steps))[::-1]
    found = evbmf(s, (60, 540))
    grid = np.exp(np.linspace(-40, 40, 40_001))
    energies = found.free_energy(grid)
    inside = energies[1:-1]
    assert np.sum((inside < energies[:-2]) & (inside < energies[2:])) > 1
    assert found.free_energy(found.noise_variance)[0] <= energies.min() + 1e-12


def test_free_energy_is_nakajimas_up_to_a_constant():
    s = singular_values(planted(30, 200, 5, 2))
    variances = np.exp(np.linspace(-3, 3, 25))
    ours = 30 * evbmf(s, (30, 200)).free_energy(variances)
    theirs = np.array([nakajima(s, 30, 200, v) for v in variances])
    assert np.ptp(ours - theirs) < 1e-9


@given(st.integers(0, 1000), st.floats(-12, 12), st.sampled_from([(20, 20), (12, 108), (30, 45)]), st.integers(0, 6))
@settings(max_examples=60, deadline=None)
def test_rank_does_not_depend_on_scale(seed, exponent, shape, rank):
    s = singular_values(planted(*shape, rank, seed, strength=0.7))
    one, other = evbmf(s, shape), evbmf(s * 10.0**exponent, shape)
    assert other.rank == one.rank
    assert other.noise_variance == pytest.approx(one.noise_variance * 10.0 ** (2 * exponent), rel=1e-9)


@given(st.integers(0, 1000), st.integers(1, 25), st.integers(1, 60), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_transposing_and_rotating_change_nothing(seed, rows, columns, rank):
    matrix = planted(rows, columns, min(rank, rows, columns), seed)
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((rows, rows)))
    ranks = {evbmf_matrix(m).rank for m in (matrix, matrix.T, -3.0 * matrix, rotation @ matrix)}
    assert len(ranks) == 1


@given(st.integers(0, 1000), st.integers(0, 30), st.integers(0, 30))
@settings(max_examples=30, deadline=None)
def test_dead_channels_change_nothing(seed, dead_rows, dead_columns):
    matrix = planted(20, 90, 5, seed)
    padded = np.zeros((20 + dead_rows, 90 + dead_columns))
    padded[dead_rows:, : padded.shape[1] - dead_columns] = matrix
    plain, found = evbmf_matrix(matrix), evbmf_matrix(padded)
    assert (found.rank, found.dead_rows, found.dead_columns) == (plain.rank, dead_rows, dead_columns)
    assert found.noise_variance == pytest.approx(plain.noise_variance, rel=1e-9)


@given(st.integers(0, 10_000), st.integers(0, 12), st.sampled_from([(40, 360), (60, 60), (256, 64), (20, 400)]))
@settings(max_examples=60, deadline=None)
def test_a_planted_rank_comes_back_and_pure_noise_has_none(seed, rank, shape):
    found = evbmf_matrix(planted(*shape, rank, seed))
    assert found.rank == rank
    assert found.noise_variance == pytest.approx(1, rel=0.25)


@pytest.mark.parametrize(("shape", "rank"), [((30, 90), 4), ((40, 40), 30), ((50, 20), 19), ((6, 6), 0)])
def test_exactly_low_rank_without_noise(shape, rank):
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))
    found = evbmf(singular_values(matrix) if rank else np.zeros(6), shape)
    assert (found.rank, found.noise_variance, found.exact) == (rank, 0.0, True)
    assert found.curve()[0].size == 0


def test_the_public_codes_failures():
    """512 x 4608 of true rank 9 at falling scales; more rows than columns; dead rows (see the README)."""
    rng = np.random.default_rng(0)
    matrix = planted(128, 1152, 9, 0)
    assert {evbmf_matrix(matrix * std).rank for std in (0.01, 0.005, 0.0025, 0.001)} == {9}
    assert evbmf_matrix(planted(1024, 256, 18, 0)).rank == 18
    with_dead = np.concatenate([planted(40, 360, 5, 0), np.zeros((24, 360))])
    assert evbmf_matrix(with_dead[rng.permutation(64)]).rank == 5


def test_threshold_and_shrinkage():
    s = singular_values(planted(30, 300, 4, 0))
    found = evbmf(s, (30, 300))
    assert np.sum(s > found.threshold) == found.rank == len(found.shrunk)
    assert (found.shrunk < s[: found.rank]).all()
    # The posterior mean solves the stationary condition g^2 - (1 - (L+M)v/s^2) s g + L M v^2 / s^2 = 0.
    v, kept = found.noise_variance, s[: found.rank]
    residual = found.shrunk**2 - (1 - 330 * v / kept**2) * kept * found.shrunk + 30 * 300 * v**2 / kept**2
    assert np.abs(residual / kept**2).max() < 1e-12


@pytest.mark.parametrize(
    ("values", "shape", "rank"),
    [([], (0, 5), 0), ([3.0], (1, 40), 0), ([3.0], (1, 1), 0), ([0, 0], (2, 7), 0), ([2, 2, 2], (3, 3), 0)],
)
def test_small_inputs_are_defined(values, shape, rank):
    assert evbmf(values, shape).rank == rank


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: evbmf([1, math.nan], (2, 3)), "NaN or infinity"),
        (lambda: evbmf([1, -1], (2, 3)), "negative"),
        (lambda: evbmf([1, 1, 1], (2, 3)), "at most 2"),
        (lambda: evbmf_matrix(np.zeros((2, 2, 2))), "3 dimensions"),
        (lambda: evbmf_matrix([[1.0, np.nan]]), "infs or NaNs"),
    ],
)
def test_bad_values(make, message):
    with pytest.raises(ValueError, match=message):
        make()
