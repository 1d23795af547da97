"""The comparison itself: what passes, what does not, and networks that cannot be compared."""

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.exporters.check import Check, expected
from workbench.exporters.preparing import ExportError


class Given(nn.Module):
    """Returns whatever it was told to."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x):
        return self.answer(x)


def network(answer, **options):
    return wb.Network(Given(answer), (3,), "given", **options)


def test_the_largest_difference_is_a_share_of_the_largest_output():
    reference = expected(network(lambda x: x * 0 + torch.tensor([1.0, 4.0, 2.0])), None)
    found = reference.compare(lambda x: torch.tensor([[1.0, 4.0, 2.5]]))
    assert (found.max_error, found.agreement, found.n) == (0.125, 1.0, 8)
    assert not found.passed
    assert reference.compare(lambda x: torch.tensor([[1.0, 4.0001, 2.0]])).passed


def test_one_other_answer_fails_however_small_the_difference():
    reference = expected(network(lambda x: x * 0 + torch.tensor([1.0, 4.0, 4.00001])), None)
    calls = iter(range(8))
    found = reference.compare(lambda x: torch.tensor([[1.0, 4.0 + 0.00002 * (next(calls) == 3), 4.00001]]))
    assert found.max_error < 1e-4
    assert found.agreement == 7 / 8
    assert not found.passed
    assert str(found).startswith("87.5% of the answers on 8 images (random inputs)")


def test_what_is_not_a_number_fails():
    reference = expected(network(lambda x: x), None)
    assert not reference.compare(lambda x: x * float("nan")).passed


def test_outputs_that_are_maps():
    reference = expected(network(lambda x: x[:, :, None].expand(-1, -1, 4)), None)
    assert reference.compare(lambda x: x[:, :, None].expand(-1, -1, 4)).passed
    with pytest.raises(ExportError, match=r"it gives \(8, 3\) where PyTorch gives \(8, 3, 4\)"):
        reference.compare(lambda x: x)


def test_zeros():
    assert expected(network(lambda x: 0 * x), None).compare(lambda x: 0 * x) == Check(0.0, 1.0, 8, "random inputs")


def test_at_most_500_images_of_a_split():
    split = wb.Split(torch.rand(700, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(700, dtype=torch.long))
    reference = expected(network(lambda x: x), split)
    assert len(reference.outputs) == 500
    assert torch.equal(reference.outputs, split.images[:500])
    assert reference.example.shape == (1, 3)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda x: (x, x), "given does not return one tensor"),
        (lambda x: {"out": x}, "given does not return one tensor"),
        (lambda x: x.sum(1), "given does not return one tensor"),
        (lambda x: x / 0, "given gives outputs that are NaN or infinite"),
        (lambda x: x @ x, "given does not run on 3: "),
    ],
)
def test_networks_that_cannot_be_compared(answer, why):
    with pytest.raises(ExportError, match=why):
        expected(network(answer), None)


def test_inputs_of_its_own_kind():
    with pytest.raises(ExportError, match="given takes inputs of its own kind"):
        expected(network(lambda x: x, example=(torch.zeros(1, 3),)), None)


def test_images_are_a_split(data):
    with pytest.raises(TypeError, match="images is a Split, not a Data: say which"):
        expected(network(lambda x: x), data)
