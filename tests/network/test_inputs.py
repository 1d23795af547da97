import pytest
import torch

import workbench as wb
from workbench.network.inputs import InputBatches, inputs_of, random_view


@pytest.fixture
def large(generator):
    """A network on 6 x 6 inputs, and images of 10 x 8."""
    network = wb.Network(
        torch.nn.Flatten(), (3, 6, 6), preprocessing=lambda x: x[..., :6, :6] if x.shape[-1] == 6 else x[..., 2:8, 1:7]
    )
    return network, wb.Split(torch.rand(5, 3, 10, 8, generator=generator), torch.zeros(5, dtype=torch.long))


def test_one_view_is_the_networks_own(large):
    network, split = large
    (batch,) = InputBatches(network, split)
    assert torch.equal(batch, network.inputs(split.images))


def test_ten_views_are_the_centre_the_corners_and_their_mirror_images(large):
    network, split = large
    views = list(InputBatches(network, split, 99, batch_size=5))
    assert len(views) == 10
    assert torch.equal(views[1], split.images[..., :6, :6])
    assert torch.equal(views[2], split.images[..., 4:, 2:])
    for plain, mirrored in zip(views[:5], views[5:], strict=True):
        assert torch.equal(plain.flip(-1), mirrored)
    assert len({v.sum().item() for v in views[:5]}) == 5


def test_images_no_larger_than_the_input_are_never_mirrored(network, data, generator):
    split = wb.Split(data.train.images[:7], data.train.labels[:7])
    (batch,) = InputBatches(network, split, 10)
    assert torch.equal(batch, split.images)
    assert torch.equal(random_view(network, split.images, generator), split.images)


def test_random_views_are_pieces_of_the_image(large):
    network, _ = large
    ramp = torch.arange(10.0)[None, None, :, None].expand(5, 3, 10, 8) / 10
    first, again = (random_view(network, ramp, torch.Generator().manual_seed(1)) for _ in range(2))
    other = random_view(network, ramp, torch.Generator().manual_seed(2))
    assert first.shape == (5, 3, 6, 6)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert ((first >= 0) & (first <= 0.9)).all()
    assert (first.diff(dim=2) > 0).all()


def test_integers_stay_integers(large, generator):
    network, _ = large
    images = torch.randint(0, 256, (2, 3, 10, 8), dtype=torch.uint8, generator=generator)
    assert random_view(network, images, generator).dtype == torch.uint8


def test_any_batches_of_images():
    network = wb.Network(torch.nn.Flatten(), (1, 8, 8), preprocessing=lambda x: 2 * x)
    given = [torch.rand(3, 1, 8, 8), torch.rand(2, 1, 8, 8)]
    labelled = [(batch, torch.zeros(len(batch))) for batch in given]
    for found in (inputs_of(network, given), inputs_of(network, iter(given)), inputs_of(network, labelled)):
        for _ in range(2):  # the same each time, also from a generator
            assert all(torch.equal(a, 2 * b) for a, b in zip(found, given, strict=True))
    assert [len(b) for b in inputs_of(network, torch.rand(5, 1, 8, 8), batch_size=4)] == [4, 1]


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        ([], ValueError, "there are no images"),
        ([torch.zeros(2, 3, 8, 8)], ValueError, r"inputs of shape \(1, 8, 8\), these images have \(3, 8, 8\)"),
        (["a"], TypeError, "batches of str"),
        (7, TypeError, "not a int"),
        (wb.Split(torch.zeros(0, 1, 8, 8), torch.zeros(0, dtype=torch.long)), ValueError, "has no images"),
    ],
)
def test_what_is_no_images(network, images, error, message):
    with pytest.raises(error, match=message):
        inputs_of(network, images)
