import numpy as np
import pytest
import torch

from workbench.kernels import hosvd
from workbench.kernels.evbmf import evbmf_matrix
from workbench.kernels.hosvd import analyze_mode, as_share, captured, gram, project
from workbench.kernels.unfolding import IN_MODE, OUT_MODE, unfold

MODES = [OUT_MODE, IN_MODE]


@pytest.fixture
def kernel(generator):
    return torch.randn(12, 7, 3, 2, generator=generator)


@pytest.fixture(params=[(8_000_000, 256), (50, 5)])
def block(request, monkeypatch):
    """All at once, and in many pieces."""
    entries, rows = request.param
    monkeypatch.setattr(hosvd, "MAX_BLOCK_ENTRIES", entries)
    monkeypatch.setattr(hosvd, "GRAM_ROWS", rows)


@pytest.mark.parametrize("mode", MODES)
def test_gram_and_projection_by_blocks(kernel, mode, block, generator):
    matrix = unfold(kernel.double(), mode)
    assert torch.allclose(gram(kernel, mode).tril(), (matrix @ matrix.mT).tril(), atol=1e-12)
    factor = torch.randn(kernel.shape[mode], 4, dtype=torch.float64, generator=generator)
    assert torch.allclose(unfold(project(kernel, factor, mode), mode), factor.mT @ matrix, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_mode_is_the_svd_summed_in_float64(kernel, mode, dtype, block):
    kernel = kernel.to(dtype)
    matrix = unfold(kernel.double(), mode)
    found = analyze_mode(kernel, mode)
    exact = torch.linalg.svdvals(matrix).numpy()
    assert np.allclose(found.singular_values, exact, rtol=1e-10)
    assert torch.allclose(found.basis.mT @ found.basis, torch.eye(len(exact), dtype=torch.float64), atol=1e-12)
    strongest = torch.linalg.vector_norm(found.basis.mT @ matrix, dim=1).numpy()
    assert np.allclose(strongest, exact, rtol=1e-10)
    assert found.live == tuple(matrix.shape)


def with_singular_values(values, columns):
    rng = np.random.default_rng(0)
    n = len(values)
    left, _ = np.linalg.qr(rng.standard_normal((n, n)))
    right, _ = np.linalg.qr(rng.standard_normal((columns, n)))
    return torch.from_numpy((left * values) @ right.T).reshape(n, columns // 9, 3, 3)


@pytest.mark.parametrize("smallest", [1e-2, 1e-4, 1e-6, 1e-9, 1e-12])
def test_the_rule_keeps_every_singular_value_accurate(smallest):
    """A Gram matrix alone would lose what lies below 1e-8; the rule changes over to an SVD long before."""
    values = np.geomspace(1, smallest, 20)
    kernel = with_singular_values(values, 180)
    found = analyze_mode(kernel, OUT_MODE)
    assert np.allclose(found.singular_values, values, rtol=2e-5, atol=1e-15)
    assert found.evbmf().rank == evbmf_matrix(unfold(kernel, OUT_MODE).numpy()).rank


def test_dead_channels_are_taken_out(kernel):
    kernel[2] = 0
    kernel[5] = 1e-30
    kernel[:, 3] = 0
    out, in_ = analyze_mode(kernel, OUT_MODE), analyze_mode(kernel, IN_MODE)
    assert out.live == (10, 36)
    assert in_.live == (6, 60)
    assert out.evbmf().dead_rows == 2
    assert in_.evbmf().dead_columns == 12
    assert analyze_mode(torch.zeros(4, 3, 2, 2), OUT_MODE).evbmf().rank == 0


def test_captured_energy_is_that_of_the_truncated_hosvd(kernel, block):
    out, in_ = analyze_mode(kernel, OUT_MODE), analyze_mode(kernel, IN_MODE)
    table = captured(kernel, out.basis, in_.basis)
    assert table.shape == (13, 8)
    assert table[-1, -1] == pytest.approx(float(kernel.double().square().sum()))
    core = project(project(kernel, out.basis[:, :5], OUT_MODE), in_.basis[:, :2], IN_MODE)
    assert table[5, 2] == pytest.approx(float(core.square().sum()))
    assert as_share(np.cumsum(out.singular_values**2)[:, None])[4, 0] == pytest.approx(table[5, -1] / table[-1, -1])
