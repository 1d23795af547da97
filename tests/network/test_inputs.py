import pytest
import torch

import workbench as wb
from workbench.network.inputs import inputs_of, random_view


@pytest.fixture
def large():
    """A network on 6 x 6 inputs, for larger images."""
    return wb.Network(torch.nn.Flatten(), (3, 6, 6))


def test_images_of_the_inputs_size_are_never_cut(network, data, generator):
    assert torch.equal(random_view(network, data.test.images, generator), data.test.images)


def test_random_views_are_pieces_of_the_image(large):
    ramp = torch.arange(10.0)[None, None, :, None].expand(5, 3, 10, 8) / 10
    first, again, other = (random_view(large, ramp, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.shape == (5, 3, 6, 6)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert ((first >= 0) & (first <= 0.9)).all()
    assert (first.diff(dim=2) > 0).all()
    images = torch.randint(0, 256, (2, 3, 10, 8), dtype=torch.uint8)
    view = random_view(large, images, torch.Generator())  # without preprocessing bytes become 0 to 1
    assert (view.dtype, float(view.max()) <= 1) == (torch.float32, True)
    bytes_too = wb.Network(torch.nn.Flatten(), (3, 6, 6), preprocessing=lambda x: x)
    assert random_view(bytes_too, images, torch.Generator()).dtype == torch.uint8
    assert torch.equal(large.inputs(images[..., :6, :6]), images[..., :6, :6].float() / 255)


def test_any_batches_of_images():
    network = wb.Network(torch.nn.Flatten(), (1, 8, 8), preprocessing=lambda x: 2 * x)
    given = [torch.rand(3, 1, 8, 8), torch.rand(2, 1, 8, 8)]
    labelled = [(batch, torch.zeros(len(batch))) for batch in given]
    for found in (inputs_of(network, given), inputs_of(network, iter(given)), inputs_of(network, labelled)):
        for _ in range(2):  # the same each time, also from a generator
            assert torch.equal(torch.cat([*found]), 2 * torch.cat(given))
    assert [len(b) for b in inputs_of(network, torch.rand(5, 1, 8, 8), batch_size=4)] == [4, 1]


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        ([], ValueError, "there are no images"),
        ([torch.zeros(2, 3, 8, 8)], ValueError, r"inputs of shape \(1, 8, 8\), these images have \(3, 8, 8\)"),
        (["a"], ValueError, "there is no picture a"),
        ([None], TypeError, "batches of NoneType"),
        (7, TypeError, "not a int"),
        (wb.Split.unlabelled(torch.zeros(0, 1, 8, 8)), ValueError, "the images split has no images"),
    ],
)
def test_what_is_no_images(network, images, error, message):
    with pytest.raises(error, match=message):
        inputs_of(network, images)
