import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import workbench as wb
from workbench.kernels.evbmf import evbmf_matrix
from workbench.kernels.tucker import relative_error, tucker1, tucker2
from workbench.kernels.unfolding import IN_MODE, OUT_MODE, unfold
from workbench.network.layers import kernel_of


def test_singular_values_and_ranks_are_those_of_a_full_svd(network, spectra):
    for one in spectra:
        kernel = kernel_of(network.model.get_submodule(one.layer.name), one.layer).double()
        modes = [(OUT_MODE, one.singular_out, one.out), (IN_MODE, one.singular_in, one.in_)]
        for mode, values, found in modes[: 1 + (one.in_ is not None)]:
            matrix = unfold(kernel, mode).numpy()
            exact = np.linalg.svd(matrix, compute_uv=False)
            assert np.abs(values - exact).max() < 1e-7 * exact[0]
            assert found.rank == evbmf_matrix(matrix).rank


def test_predicted_errors_bound_the_real_ones_and_are_exact_for_tucker1(network, spectra):
    two, one = spectra["features.7"], spectra["classifier.2"]
    kernel, matrix = (kernel_of(network.model.get_submodule(s.layer.name), s.layer).double() for s in (two, one))
    for rank_in, rank_out in ((5, 9), (20, 30), (64, 12), (33, 64)):
        predicted = two.error(rank_in=rank_in, rank_out=rank_out)
        real = relative_error(kernel, tucker2(kernel, rank_in=rank_in, rank_out=rank_out))
        assert predicted - 1e-12 < real * 1.05
        assert real <= predicted + 1e-12
    assert two.error(rank_in=64, rank_out=64) == pytest.approx(0, abs=1e-7)
    assert all((np.diff(two.captured, axis=axis) >= 0).all() for axis in (0, 1))
    for rank in (1, 4, 9):
        real = relative_error(matrix, tucker1(matrix, rank_out=rank))
        assert one.error(rank_out=rank) == pytest.approx(real, rel=1e-6)


def test_a_network_of_zeros():
    conv = nn.Conv2d(6, 6, 3)
    nn.init.zeros_(conv.weight)
    found = wb.analyze(wb.Network(conv, (6, 6, 6)))[""]
    assert (found.out.rank, found.in_.rank) == (0, 0)
    assert found.error(rank_in=1, rank_out=1) == 0


def test_ranks_of_groups_are_of_a_groups_channels(mixed):
    row = next(row for row in wb.analyze(mixed, cached=False).rows if row[0] == "grouped")
    assert [cell.split(" of ")[1] for cell in row[-2:]] == ["8", "8"]


def test_a_broken_layer_is_named():
    model = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3))
    with torch.no_grad():
        model[1].weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="layer 1 of mine has weights that are NaN or infinite"):
        wb.analyze(wb.Network(model, (8, 9, 9), name="mine"))


MEMORY = """
import resource, sys, torch
import workbench as wb
from workbench.kernels.evbmf import evbmf
torch.set_num_threads(1)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(512 * 49, 1024))
network = wb.Network(model, (512, 7, 7), maps={"1": (512, 7, 7)})
wb.analyze(wb.Network(torch.nn.Sequential(torch.nn.Conv2d(600, 700, 3)), (600, 4, 4)), cached=False)  # warm up
unit = 1 if sys.platform == "darwin" else 1024
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
assert wb.analyze(network, cached=False)["1"].layer.method == "tucker2"
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before) / (4 * model[1].weight.numel()))
"""


@pytest.mark.slow
def test_memory_stays_below_three_times_the_layer():
    """A fully connected layer like VGG-16's first, a quarter as wide, in a process of its own."""
    result = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert float(result.stdout) < 3.0, result.stdout
