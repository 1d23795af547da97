import pytest
import torch
from torch.nn.functional import cross_entropy

from workbench.network.data import UNLABELLED
from workbench.recover.losses import distillation_losses, losses

LOGITS = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).float()
MINE, THEIRS = LOGITS[0], LOGITS[1]
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])


def test_divergence_by_its_definition():
    p, q = ((z.double() / 3).softmax(1) for z in (THEIRS, MINE))
    expected = 9 * (p * (p / q).log()).sum(1)
    assert torch.allclose(distillation_losses(MINE, THEIRS, 3.0).double(), expected, rtol=1e-5)
    assert torch.allclose(distillation_losses(MINE, MINE, 3.0), torch.zeros(6), atol=1e-6)


def test_its_gradient_does_not_shrink_with_the_temperature():
    gradients = []
    for temperature in (50.0, 100.0):
        logits = MINE.double().requires_grad_(True)
        distillation_losses(logits, THEIRS.double(), temperature).sum().backward()
        gradients.append(logits.grad)
    # in the limit it is the squared distance of the centred logits (Hinton et al., 2015, eq. 4)
    centred = (MINE - MINE.mean(1, keepdim=True)) - (THEIRS - THEIRS.mean(1, keepdim=True))
    assert torch.allclose(gradients[1].float(), centred / 4, atol=0.02)
    assert torch.allclose(gradients[0], gradients[1], atol=0.02)


def test_without_a_teacher_it_is_the_cross_entropy():
    found = losses(MINE, LABELS, None, temperature=4, label_weight=0.1)
    assert torch.allclose(found.mean(), cross_entropy(MINE, LABELS))


def test_the_mixture_and_images_without_a_label():
    labels = torch.where(torch.arange(6) < 3, LABELS, UNLABELLED)
    found = losses(MINE, labels, THEIRS, temperature=2, label_weight=0.25)
    apart = distillation_losses(MINE, THEIRS, 2)
    answers = cross_entropy(MINE, LABELS, reduction="none")
    assert torch.allclose(found[:3], 0.25 * answers[:3] + 0.75 * apart[:3])
    assert torch.allclose(found[3:], apart[3:])


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_either_alone(weight):
    found = losses(MINE, LABELS, THEIRS, temperature=2, label_weight=weight)
    alone = cross_entropy(MINE, LABELS, reduction="none") if weight else distillation_losses(MINE, THEIRS, 2)
    assert torch.allclose(found, alone)
