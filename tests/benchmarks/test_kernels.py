import torch

from benchmarks import kernels
from workbench.kernels.tucker import relative_error


def test_ours_finds_what_was_planted():
    k = kernels.kernel(64, 128, torch.Generator().manual_seed(0))
    kernels.floor(k)
    ranks, factors = kernels.ours(k)
    assert ranks == [32, 16]
    assert relative_error(k, factors) < 0.11  # a tenth of noise
