import torch

from benchmarks import kernels
from workbench.kernels.tucker import relative_error


def test_ours_finds_what_was_planted():
    k = kernels.kernel(64, 128, torch.Generator().manual_seed(0))
    kernels.floor(k)
    ranks, factors = kernels.ours(k)
    assert ranks == [32, 16]
    assert relative_error(k, factors) < 0.11  # a tenth of noise


def test_replanning_is_measured():
    assert kernels.replan_ms(edits=5) > 0


def test_the_layers_are_vgg16s():
    assert len(kernels.CHANNELS) == 13
    assert sum(9 * s * t for s, t in kernels.CHANNELS) == 14_710_464
