import pytest
import torch
from torch import nn

from workbench.network.moments import Moments, patches, pick_places, rows

CONVOLUTIONS = [
    (nn.Conv2d(4, 6, 3, padding=1), (9, 8)),
    (nn.Conv2d(4, 6, (3, 5), stride=(2, 1), padding=(0, 2), bias=False), (9, 11)),
    (nn.Conv2d(4, 6, 3, padding=2, dilation=2), (9, 8)),
    (nn.Conv2d(4, 6, 3, padding="same", padding_mode="circular"), (7, 8)),
    (nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect", stride=2), (7, 8)),
    (nn.Conv2d(4, 6, 1, stride=2), (7, 8)),
    (nn.Conv2d(4, 6, 5, padding="same"), (7, 8)),
    (nn.Conv1d(4, 6, 5, padding=2), (13,)),
    (nn.Conv3d(4, 6, 2, stride=(1, 2, 1)), (4, 5, 6)),
]
for late in (
    nn.Conv2d(4, 6, 3, padding=1),
    nn.Conv2d(4, 6, 3, padding="same"),
    nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
):
    late.dilation = (2, 2)  # as some encoders do after construction
    late.padding = late.padding if late.padding == "same" else (2, 2)
    CONVOLUTIONS.append((late, (12, 11)))


@pytest.mark.parametrize(("conv", "size"), CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("most", [1000, 5])
def test_patches_times_kernel_are_the_convolution(conv, size, most, generator):
    given = torch.randn(3, 4, *size, generator=generator)
    with torch.no_grad():
        output = conv(given)
        places = pick_places(output[0, 0].numel(), most)
        made = patches(conv, given, places) @ conv.weight.flatten(1).mT
    if conv.bias is not None:
        made = made + conv.bias
    wanted = rows(output, places)
    assert wanted.shape == made.shape == (3 * min(most, output[0, 0].numel()), 6)
    assert torch.allclose(made, wanted, atol=1e-5)


def test_moments_are_those_of_all_rows_whatever_the_batches(generator):
    x = torch.randn(50, 4, dtype=torch.float64, generator=generator) + 3
    y = torch.randn(50, 2, dtype=torch.float64, generator=generator) - 1
    moments = Moments(4, 2, centred=True)
    for i, (some_x, some_y) in enumerate(zip(x.split(7), y.split(7), strict=True)):
        moments.add(i % 2, some_x, some_y)
    problem = moments.normal()
    both = torch.cov(torch.cat([x, y], dim=1).mT, correction=0)
    assert torch.allclose(problem.inputs, both[:4, :4])
    assert torch.allclose(problem.cross, both[4:, :4])
    assert problem.power == pytest.approx(float(both[4:, 4:].trace()))
    weight = torch.randn(2, 4, dtype=torch.float64, generator=generator)
    assert torch.allclose(moments.intercept(weight), y.mean(0) - weight @ x.mean(0))
    moments.reset_outputs()  # other outputs for the same inputs
    for half in (0, 1):
        moments.add_outputs(half, *(torch.cat(rows.split(7)[half::2]) for rows in (x, 2 * y)))
    assert torch.allclose(moments.normal().cross, 2 * problem.cross)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_moments_of_half_precision_are_those_in_double(dtype, generator):
    x, y = (300 * torch.randn(500, size, generator=generator).to(dtype) for size in (4, 2))
    found, wanted = Moments(4, 2, centred=True), Moments(4, 2, centred=True)
    found.add(0, x, y)
    wanted.add(0, x.double(), y.double())
    for name in ("xx", "yx", "yy", "x", "y"):
        one, other = getattr(found, name), getattr(wanted, name)
        assert (one - other).abs().max() < 1e-6 * other.abs().max()


def test_outputs_that_are_not_finite_are_named():
    moments = Moments(2, 1, centred=True)
    moments.add(0, torch.ones(3, 2), torch.tensor([[1.0], [float("nan")], [1.0]]))
    with pytest.raises(ValueError, match="sums over the outputs are not finite"):
        moments.normal()
