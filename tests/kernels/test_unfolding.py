import pytest
import tensorly as tl
import torch

from workbench.kernels.unfolding import IN_MODE, OUT_MODE, unfold

KERNEL = torch.arange(2 * 3 * 4 * 5, dtype=torch.float64).reshape(2, 3, 4, 5)


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_unfolding_is_tensorlys(mode):
    assert (unfold(KERNEL, mode).numpy() == tl.unfold(KERNEL.numpy(), mode)).all()


def test_modes_are_the_papers():
    assert unfold(KERNEL, OUT_MODE).shape == (2, 60)
    assert unfold(KERNEL, IN_MODE).shape == (3, 40)


def test_a_mode_that_is_not_there():
    with pytest.raises(ValueError, match="mode 4: the tensor has 4 dimensions"):
        unfold(KERNEL, 4)
