import pytest
import torch
from torch.nn.functional import cross_entropy

from workbench.network.data import UNLABELLED
from workbench.recover.finetune import augmented, distillation_losses, losses

LOGITS = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(0))
MINE, THEIRS = LOGITS[0], LOGITS[1]
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])


def test_divergence_by_its_definition():
    p, q = ((z.double() / 3).softmax(1) for z in (THEIRS, MINE))
    expected = 9 * (p * (p / q).log()).sum(1)
    assert torch.allclose(distillation_losses(MINE, THEIRS, 3.0).double(), expected, rtol=1e-5)


def test_its_gradient_does_not_shrink_with_the_temperature():
    # in the limit it is the squared distance of the centred logits (Hinton et al., 2015, eq. 4)
    centred = (MINE - MINE.mean(1, keepdim=True)) - (THEIRS - THEIRS.mean(1, keepdim=True))
    for temperature in (50.0, 100.0):
        logits = MINE.double().requires_grad_(True)
        distillation_losses(logits, THEIRS.double(), temperature).sum().backward()
        assert torch.allclose(logits.grad.float(), centred / 4, atol=0.03)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_a_mixture_with_a_teacher_and_images_without_a_label(weight):
    labels = torch.where(torch.arange(6) < 3, LABELS, UNLABELLED)
    found = losses(MINE, labels, THEIRS, temperature=2, label_weight=weight)
    answers, apart = cross_entropy(MINE, LABELS, reduction="none"), distillation_losses(MINE, THEIRS, 2)
    assert torch.allclose(found[:3], weight * answers[:3] + (1 - weight) * apart[:3])
    assert torch.allclose(found[3:], apart[3:])
    assert torch.allclose(losses(MINE, LABELS, None, temperature=2, label_weight=weight), answers)


def moved(image, flip, up, left):
    """The oracle: one image mirrored, then shifted by slices."""
    image = image.flip(-1) if flip else image
    out = torch.zeros_like(image)
    ys, xs = (slice(max(0, -d), n - max(0, d)) for d, n in zip((up, left), image.shape[-2:], strict=True))
    yd, xd = (slice(max(0, d), n - max(0, -d)) for d, n in zip((up, left), image.shape[-2:], strict=True))
    out[..., yd, xd] = image[..., ys, xs]
    return out


def test_every_augmented_image_is_a_shift_of_it_or_its_mirror_and_all_of_them_occur(generator):
    image = torch.randint(1, 255, (2, 5, 6), generator=generator, dtype=torch.uint8)
    torch.manual_seed(0)
    many = augmented(image.expand(400, -1, -1, -1), flip=True, shift=1)
    assert many.dtype == torch.uint8
    choices = [moved(image, f, u, v) for f in (False, True) for u in (-1, 0, 1) for v in (-1, 0, 1)]
    found = [next(i for i, choice in enumerate(choices) if torch.equal(choice, one)) for one in many]
    assert set(found) == set(range(18))
