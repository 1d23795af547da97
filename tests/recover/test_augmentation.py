import torch

from workbench.recover.augmentation import augmented


def placed(images, flip, up, left):
    """The oracle: one image mirrored, then shifted by slices."""
    image = images.flip(-1) if flip else images
    out = torch.zeros_like(image)
    h, w = image.shape[-2:]
    ys, xs = (slice(max(0, -d), n - max(0, d)) for d, n in ((up, h), (left, w)))
    yd, xd = (slice(max(0, d), n - max(0, -d)) for d, n in ((up, h), (left, w)))
    out[..., yd, xd] = image[..., ys, xs]
    return out


def test_every_result_is_a_shift_of_the_image_or_its_mirror_and_all_of_them_occur():
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(1, 255, (1, 2, 5, 6), generator=generator).to(torch.uint8)
    many = augmented(image.expand(400, -1, -1, -1), generator, flip=True, shift=1)
    assert many.dtype == torch.uint8
    choices = [placed(image[0], f, u, v) for f in (False, True) for u in (-1, 0, 1) for v in (-1, 0, 1)]
    found = [next(i for i, choice in enumerate(choices) if torch.equal(choice, one)) for one in many]
    assert set(found) == set(range(18))


def test_nothing_asked_for_changes_nothing(generator):
    images = torch.rand(3, 1, 4, 4)
    assert torch.equal(augmented(images, generator), images)


def test_the_same_seed_gives_the_same(generator):
    images = torch.rand(8, 3, 6, 6)
    before = images.clone()
    one, two = (augmented(images, torch.Generator().manual_seed(5), flip=True, shift=2) for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(images, before)
