from itertools import pairwise

import pytest
import tensorly as tl
import torch
from tensorly.decomposition import partial_tucker

from workbench.kernels.hosvd import leading_basis
from workbench.kernels.tucker import relative_error, tucker1, tucker2
from workbench.kernels.unfolding import IN_MODE, OUT_MODE, unfold


def decaying(shape, generator, noise=0.3):
    """A kernel whose unfoldings decay, as trained ones do."""
    kernel = torch.randn(shape, generator=generator, dtype=torch.float64)
    for mode in (0, 1):
        scales = torch.exp(-torch.arange(shape[mode], dtype=torch.float64) / (shape[mode] / 5))
        kernel = (kernel.movedim(mode, -1) * scales).movedim(-1, mode)
    return kernel + noise * kernel.std() * torch.randn(shape, generator=generator, dtype=torch.float64)


def orthonormal(factor):
    return torch.allclose(factor.mT @ factor, torch.eye(factor.shape[1], dtype=factor.dtype), atol=1e-12)


def test_errors_of_zeros():
    zeros = torch.zeros(8, 6, 3, 3)
    assert relative_error(zeros, tucker2(zeros, rank_in=1, rank_out=1)) == 0
    assert relative_error(zeros, zeros + 1) == float("inf")


@pytest.mark.parametrize(("rank_in", "rank_out"), [(3, 5), (8, 4), (1, 1), (12, 20)])
def test_no_worse_than_tensorly_and_than_hosvd(rank_in, rank_out, generator):
    kernel = decaying((24, 16, 3, 3), generator)
    ours = tucker2(kernel, rank_in=rank_in, rank_out=rank_out)
    (core, factors), _ = partial_tucker(kernel.numpy(), rank=[rank_out, rank_in], modes=[0, 1])
    theirs = torch.from_numpy(tl.tenalg.multi_mode_dot(core, factors, modes=[0, 1]))
    bases = [leading_basis(kernel, mode)[:, :rank] for mode, rank in ((0, rank_out), (1, rank_in))]
    hosvd = torch.einsum("tsij,ta,xa,sb,yb->xyij", kernel, bases[0], bases[0], bases[1], bases[1])
    error = relative_error(kernel, ours)
    assert error <= relative_error(kernel, theirs) * (1 + 1e-6)
    assert error <= relative_error(kernel, hosvd) * (1 + 1e-12)


def test_tucker1_is_the_truncated_svd(generator):
    kernel = decaying((24, 16, 3, 3), generator)
    u, s, v = torch.linalg.svd(unfold(kernel, 0), full_matrices=False)
    best = ((u[:, :7] * s[:7]) @ v[:7]).reshape(kernel.shape)
    assert relative_error(best, tucker1(kernel, rank_out=7)) < 1e-10


def test_factors_are_orthonormal_deterministic_and_signed(generator):
    kernel = decaying((24, 16, 3, 3), generator)
    one, two = (tucker2(kernel, rank_in=5, rank_out=7) for _ in range(2))
    assert one.core.shape == (7, 5, 3, 3)
    assert one.factor_in.shape == (16, 5)
    assert one.factor_out.shape == (24, 7)
    assert orthonormal(one.factor_in)
    assert orthonormal(one.factor_out)
    assert torch.equal(one.core, two.core)
    for factor in (one.factor_in, one.factor_out, tucker1(kernel, rank_out=3).factor_out):
        assert (factor.gather(0, factor.abs().argmax(0, keepdim=True)) > 0).all()
    negated = tucker2(-kernel, rank_in=5, rank_out=7)
    assert torch.allclose(negated.factor_out, one.factor_out, atol=1e-10)
    assert torch.allclose(negated.core, -one.core, atol=1e-10)
    for half in (torch.float16, torch.bfloat16):
        parts = tucker2(kernel.to(half), rank_in=5, rank_out=7)
        assert {parts.core.dtype, parts.factor_in.dtype, parts.factor_out.dtype} == {half}


def test_more_sweeps_never_hurt(generator):
    kernel, how = torch.randn(20, 18, 3, 3, generator=generator, dtype=torch.float64), {"rank_in": 4, "rank_out": 5}
    errors = [relative_error(kernel, tucker2(kernel, **how, max_sweeps=n, tolerance=0.0)) for n in range(6)]
    assert all(later <= earlier + 1e-14 for earlier, later in pairwise(errors))
    assert errors[-1] < errors[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tucker2(torch.zeros(4, 3, 3), rank_in=0, rank_out=2), r"rank_in=0 .* shape \(4, 3, 3\): 1 to 3"),
        (lambda: tucker2(torch.zeros(4, 3, 3), rank_in=2, rank_out=5), r"rank_out=5 .* shape \(4, 3, 3\): 1 to 4"),
        (lambda: tucker1(torch.full((2, 2), torch.nan), rank_out=1), "NaN or infinity"),
        (lambda: tucker1(torch.zeros(3), rank_out=1), "at least two dimensions"),
        (lambda: relative_error(torch.zeros(2, 2), torch.zeros(3, 2)), "cannot compare"),
        (lambda: unfold(torch.zeros(2, 3, 4, 5), 4), "mode 4: the tensor has 4 dimensions"),
    ],
)
def test_what_does_not_fit(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("mode", [OUT_MODE, IN_MODE, 2, 3])
def test_unfolding_is_tensorlys(mode):
    kernel = torch.arange(2 * 3 * 4 * 5, dtype=torch.float64).reshape(2, 3, 4, 5)
    assert unfold(kernel, mode).shape == (kernel.shape[mode], 120 // kernel.shape[mode])
    assert (unfold(kernel, mode).numpy() == tl.unfold(kernel.numpy(), mode)).all()
