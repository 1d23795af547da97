"""Kernels that factors multiply to, and the filters of the first convolution."""

import numpy as np
import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import at_full_rank, decomposed
from workbench.inspect.gallery import kernels_of
from workbench.kernels.tucker import relative_error


def test_at_full_rank_factors_multiply_to_the_kernel(mixed):
    small = wb.decompose(mixed, at_full_rank(mixed))
    for part in small.plan:
        assert torch.allclose(*kernels_of(small, part.layer), atol=1e-10)


def test_errors_are_at_most_those_predicted(network, plan):
    """Truncated HOSVD is what is predicted; HOOI is never worse, and Tucker-1 is exact."""
    small = wb.decompose(network, plan)
    for part in (part for part in plan if part.decision != "keep"):
        error = relative_error(*kernels_of(small, part.layer))
        assert 0.5 * part.error < error <= part.error + 1e-6
        if part.decision == "tucker1":
            assert error == pytest.approx(part.error, rel=1e-5)


def test_filters_before_and_after(network, plan):
    small = wb.decompose(network, plan)
    found = wb.first_filters(small)
    assert found.layer == "features.0"
    assert found.original.shape == found.reconstructed.shape == (32, 5, 5, 3)
    assert found.error == pytest.approx(relative_error(*kernels_of(small, plan["features.0"].layer)), rel=1e-5)
    kernel = network.model.get_submodule("features.0").weight.detach().double()
    norms = kernel.flatten(1).norm(dim=1).numpy()
    assert np.sqrt(((found.errors * norms) ** 2).sum() / (norms**2).sum()) == pytest.approx(found.error)
    # one scale for both, so that grey values say what the weights are
    assert np.abs(found.original[:, :, :, 0] / 127.5 - 1 - kernel[:, 0].numpy() / found.scale).max() < 1 / 254
    assert found.scale >= float(kernel.abs().max())


def test_at_full_rank_no_filter_changes(network, plan):
    found = wb.first_filters(wb.decompose(network, plan.with_ranks("features.0", rank_out=25)))
    assert found.error < 1e-6
    assert np.array_equal(found.original, found.reconstructed)
    kept = wb.first_filters(wb.decompose(network, plan.keep("features.0")))
    assert (kept.error, kept.errors.any()) == (0, False)
    torch.manual_seed(0)
    model = nn.Sequential(nn.ConvTranspose2d(16, 12, 3, groups=2), nn.Flatten(), nn.Linear(12 * 36, 3)).double()
    assert wb.first_filters(decomposed(wb.Network(model, (16, 4, 4)), {"0": (8, 6)})).error < 1e-10


def test_without_a_two_dimensional_convolution():
    flat = wb.Network(nn.Sequential(nn.Linear(8, 8)), (8,), "flat")
    with pytest.raises(ValueError, match="flat has no two-dimensional convolution in front"):
        wb.first_filters(decomposed(flat, {"0": (None, 2)}))


def test_a_dead_filter_has_no_error():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2))
    with torch.no_grad():
        model[0].weight[0] = 0
    found = wb.first_filters(decomposed(wb.Network(model, (1, 4, 4)), {"0": (None, 2)}))
    assert found.errors == pytest.approx([0, 0], abs=1e-6)
    assert (found.original[0] == 128).all()
