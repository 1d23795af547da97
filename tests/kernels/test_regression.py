import pytest
import torch

from workbench.kernels.regression import Normal, choose_ridge, full_rank, reduced_rank, scale, tucker2_regression
from workbench.kernels.tucker import relative_error, tucker2

SHAPE = (10, 8, 3, 3)


def normal(x, y):
    return Normal(x.mT @ x / len(x), y.mT @ x / len(x), float(y.square().sum()) / len(x))


def loss(problem, weight):
    """E||y - W x||^2 of weights W (t, n)."""
    return problem.power + float(((weight @ problem.inputs - 2 * problem.cross) * weight).sum())


@pytest.fixture
def x(generator):
    """Correlated inputs of a 3x3 kernel over 8 channels."""
    mix = torch.randn(72, 72, dtype=torch.float64, generator=generator)
    scales = torch.logspace(0, -2, 72, dtype=torch.float64)
    return torch.randn(400, 72, dtype=torch.float64, generator=generator) * scales @ mix


@pytest.fixture
def kernel(generator):
    return torch.randn(SHAPE, dtype=torch.float64, generator=generator)


def test_without_a_constraint_it_is_ordinary_least_squares(x, generator):
    y = torch.randn(400, 10, dtype=torch.float64, generator=generator)
    expected = torch.linalg.lstsq(x, y).solution.mT
    assert torch.allclose(full_rank(normal(x, y)), expected, rtol=1e-6, atol=1e-8)


def test_reduced_rank_with_white_inputs_is_the_truncated_svd(kernel):
    k = kernel.flatten(1)
    core, outer = reduced_rank(Normal(torch.eye(72, dtype=torch.float64), k, float(k.square().sum())), 4)
    u, s, v = torch.linalg.svd(k, full_matrices=False)
    assert torch.allclose(outer @ core, (u[:, :4] * s[:4]) @ v[:4], atol=1e-10)
    assert torch.allclose(outer.mT @ outer, torch.eye(4, dtype=torch.float64), atol=1e-12)


def test_no_other_weights_of_that_rank_are_better(x, kernel, generator):
    problem = normal(x, x @ kernel.flatten(1).mT)
    core, outer = reduced_rank(problem, 3)
    best = loss(problem, outer @ core)
    for _ in range(5):
        nearby = (outer + 0.01 * torch.randn(outer.shape, dtype=torch.float64, generator=generator)) @ core
        assert loss(problem, nearby) >= best


def product(inner, core, outer):
    return torch.einsum("ab...,ta,bs->ts...", core, outer, inner)


def test_tucker2_with_white_inputs_is_that_of_the_kernel(kernel):
    k = kernel.flatten(1)
    problem = Normal(torch.eye(72, dtype=torch.float64), k, float(k.square().sum()))
    found = product(*tucker2_regression(problem, SHAPE, rank_in=4, rank_out=5, max_sweeps=100))
    expected = relative_error(kernel, tucker2(kernel, rank_in=4, rank_out=5, tolerance=1e-9))
    assert relative_error(kernel, found) == pytest.approx(expected, rel=0.01)


def test_a_planted_tucker2_comes_back_whatever_the_inputs(x, generator):
    planted = product(*(torch.randn(s, dtype=x.dtype, generator=generator) for s in ((3, 8), (5, 3, 3, 3), (10, 5))))
    problem = normal(x, x @ planted.flatten(1).mT)
    found = product(*tucker2_regression(problem, SHAPE, rank_in=3, rank_out=5))
    assert relative_error(planted, found) < 1e-6


def test_sweeps_never_raise_the_error_and_beat_the_weights_own_factors(x, kernel):
    problem = normal(x, x @ kernel.flatten(1).mT)

    def loss_after(sweeps):
        found = product(*tucker2_regression(problem, SHAPE, rank_in=3, rank_out=4, max_sweeps=sweeps))
        return loss(problem, found.flatten(1))

    losses = [loss_after(n) for n in (1, 2, 4, 8)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.99 * losses[0]
    assert losses[-1] < loss(problem, tucker2(kernel, rank_in=3, rank_out=4).reconstruct().flatten(1))


def test_the_ridge_pulls_towards_the_prior(x, kernel):
    prior = kernel.flatten(1)
    problem = normal(x, torch.zeros(400, 10, dtype=torch.float64))
    near, far = (full_rank(problem.with_ridge(prior, r * scale(problem.inputs))) for r in (1e3, 1e-9))
    assert relative_error(prior, near) < 0.01
    assert float(far.abs().max()) < 0.01 * float(prior.abs().max())


def test_the_ridge_is_chosen_by_prediction(generator):
    def halves(n, weight, noise):
        found = []
        for _ in range(2):
            inputs = torch.randn(n, 30, dtype=torch.float64, generator=generator)
            noises = noise * torch.randn(n, 6, dtype=torch.float64, generator=generator)
            found.append(normal(inputs, inputs @ weight.mT + noises))
        return found

    truth = torch.randn(6, 30, dtype=torch.float64, generator=generator)
    assert choose_ridge(halves(40, truth, 3.0), truth) == 1.0  # the prior is right, the data are noise: the largest
    assert choose_ridge(halves(4000, truth, 0.01), torch.zeros_like(truth)) < 1e-4  # the other way round
    fit, check = halves(60, truth, 3.0)
    near = truth + 0.5 * torch.randn(truth.shape, dtype=torch.float64, generator=generator)

    def error(ridge):
        return loss(check, full_rank(fit.with_ridge(near, ridge * scale(fit.inputs))))

    found = [choose_ridge([fit, check], near, start=start) for start in (1e-4, 1e-2, 1.0)]
    best = min(map(error, torch.logspace(-6, 0, 200, dtype=torch.float64).tolist()))
    assert all(error(ridge) < 1.02 * best for ridge in found)


def test_sums_that_are_indefinite_by_rounding(generator):
    x = torch.randn(20, 60, generator=generator) + 5  # fewer rows than inputs, in float32
    y = torch.randn(20, 3, generator=generator)
    inputs = (x.mT @ x).double() / 20 - torch.outer(*[x.mean(0).double()] * 2)
    assert float(torch.linalg.eigvalsh(inputs)[0]) < 0
    problem = Normal(inputs, (y.mT @ x).double() / 20, float(y.square().sum()) / 20)
    assert torch.isfinite(full_rank(problem)).all()
    with pytest.raises(ValueError, match="sums over the inputs are not finite"):
        full_rank(Normal(torch.full((2, 2), torch.nan), torch.zeros(1, 2), 0.0))
