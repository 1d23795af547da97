"""The comparison itself: what passes, what does not, and networks that cannot be compared."""

import pytest
import torch

import workbench as wb
from tests.helpers.networks import Computes
from workbench.exporters.tracing import ExportError
from workbench.exporters.verification import Verification, reference


def network(answer):
    return wb.Network(Computes(lambda _, x: answer(x)), (3,), name="given")


def test_the_largest_difference_is_a_share_of_the_largest_output():
    wanted = reference(network(lambda x: x * 0 + torch.tensor([1.0, 4.0, 2.0])), None)
    found = wanted.compare(lambda x: torch.tensor([[1.0, 4.0, 2.5]]))
    assert (found.max_error, found.agreement, found.n, found.passed) == (0.125, 1.0, 8, False)
    assert wanted.compare(lambda x: torch.tensor([[1.0, 4.0001, 2.0]])).passed


def test_one_other_answer_fails_however_small_the_difference():
    wanted = reference(network(lambda x: x * 0 + torch.tensor([1.0, 4.0, 4.00001])), None)
    calls = iter(range(8))
    found = wanted.compare(lambda x: torch.tensor([[1.0, 4.0 + 0.00002 * (next(calls) == 3), 4.00001]]))
    assert found.max_error < 1e-4
    assert (found.agreement, found.passed) == (7 / 8, False)


def test_nan_and_zeros_and_maps():
    assert not reference(network(lambda x: x), None).compare(lambda x: x * float("nan")).passed
    zeros = reference(network(lambda x: 0 * x), None).compare(lambda x: 0 * x)
    assert zeros == Verification(0.0, 1.0, 8, "random inputs")
    maps = reference(network(lambda x: x[:, :, None].expand(-1, -1, 4)), None)
    assert maps.compare(lambda x: x[:, :, None].expand(-1, -1, 4)).passed
    with pytest.raises(ExportError, match=r"it gives \(1, 3\) where PyTorch gives \(1, 3, 4\)"):
        maps.compare(lambda x: x)


@pytest.mark.parametrize(("made", "agreement"), [((1.0, 4.00002, 4.00001), 1.0), ((4.0, 1.0, 1.0), 0.0)])
def test_a_place_between_two_classes_may_answer_either(made, agreement):
    def maps(*values):
        return torch.tensor(values)[None, :, None, None].expand(-1, -1, 1, 2)

    wanted = reference(network(lambda x: x[:, :, None, None] * 0 + maps(1.0, 4.0, 4.00001)), None)
    assert wanted.compare(lambda x: maps(*made)).agreement == agreement


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda x: "answer", "given gives no tensors of numbers"),
        (lambda x: {"out": []}, "given gives no tensors of numbers"),
        (lambda x: x / 0, "given gives outputs that are NaN or infinite"),
        (lambda x: x @ x, "given does not run on 3: "),
    ],
)
def test_networks_that_cannot_be_compared(answer, why):
    with pytest.raises(ExportError, match=why):
        reference(network(answer), None)


@pytest.mark.parametrize("answer", [lambda x: (x, 2 * x), lambda x: {"a": x, "b": [2 * x]}])
def test_every_output_is_compared(answer):
    wanted = reference(network(answer), None)
    assert wanted.compare(lambda x: [x, 2 * x]).passed
    assert wanted.compare(lambda x: [x, 2.5 * x]).max_error == pytest.approx(0.25)
