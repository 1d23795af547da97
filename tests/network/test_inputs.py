import numpy as np
import pytest
import torch
from PIL import Image

import workbench as wb
from tests.helpers.networks import Computes
from tests.helpers.pictures import picture
from workbench.network.inputs import data_of, inputs_of, random_view, split_of


def test_random_views_are_pieces_of_the_image():
    small = wb.Network(torch.nn.Flatten(), (3, 6, 6))
    ramp = torch.arange(10.0)[None, None, :, None].expand(5, 3, 10, 8) / 10
    first, again, other = (random_view(small, ramp, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.shape == (5, 3, 6, 6)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert ((first >= 0) & (first <= 0.9)).all()
    assert (first.diff(dim=2) > 0).all()
    images = torch.randint(0, 256, (2, 3, 10, 8), dtype=torch.uint8)
    view = random_view(small, images, torch.Generator())  # without preprocessing bytes become 0 to 1
    assert (view.dtype, float(view.max()) <= 1) == (torch.float32, True)
    bytes_too = wb.Network(torch.nn.Flatten(), (3, 6, 6), preprocessing=lambda x: x)
    assert random_view(bytes_too, images, torch.Generator()).dtype == torch.uint8


def test_bytes_become_what_the_example_is():
    images = torch.randint(0, 256, (2, 3, 6, 6), dtype=torch.uint8)
    floats, whole = (wb.Network(torch.nn.Flatten(), example=each).inputs(images) for each in (images.float(), images))
    assert torch.equal(floats, images.float() / 255)
    assert torch.equal(whole, images)


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
        ([torch.zeros(2, 3, 8, 8)], ValueError, r"inputs of shape \(1, 8, 8\), these images have \(3, 8, 8\)"),
        (["a"], ValueError, "there is no picture a"),
        (wb.Split.unlabelled(torch.zeros(0, 1, 8, 8)), ValueError, "the images split has no images"),
    ],
)
def test_what_is_no_images(network, images, error, message):
    with pytest.raises(error, match=message):
        inputs_of(network, images)


def redness(net, images):
    """Answers class 1 to red images, of the classes bee, ant."""
    red = images[:, 0].mean(dim=(1, 2))
    return torch.stack([red, 0.2 - red], dim=1) + 0 * net.conv(images).mean(dim=(2, 3))


def test_verbs_take_paths(tmp_path):
    for label, name in enumerate(("ant", "bee")):
        for i in range(12):
            picture(tmp_path / name / f"{i}.png", (100 * label, 2 * i, 0))
    network = wb.Network(Computes(redness, conv=torch.nn.Conv2d(3, 2, 1)), (3, 8, 8), classes=("bee", "ant"))
    assert wb.score(network, tmp_path).top1 == 1  # folders are the network's classes, not in their own order
    found = inputs_of(network, tmp_path / "ant" / "0.png")
    assert [tuple(batch.shape) for batch in found] == [(1, 3, 8, 8)]
    assert not split_of(network, tmp_path, labelled=False).labelled
    data = data_of(network, str(tmp_path))
    assert [len(s) for s in (data.train, data.validation, data.test)] == [10, 2, 12]
    assert data.classes == ("bee", "ant")
    assert wb.score(network, data).top1 == 1
    small = wb.decompose(network, wb.evbmf_plan(wb.analyze(network)))
    tuned = wb.finetune(small, tmp_path, epochs=1, learning_rate=1e-3)
    assert len(tuned.history) == 1
    assert wb.compare(small, tmp_path / "bee").n == 12


def test_pictures_have_the_networks_channels(tmp_path):
    """Pillow's own conversion to grey is the oracle."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    grey = wb.Network(torch.nn.Flatten(), (1, 8, 8))
    wanted = torch.from_numpy(np.asarray(Image.fromarray(pixels).convert("L")).astype(np.float32) / 255)
    for given in (tmp_path, tmp_path / "a.png", [tmp_path / "a.png"], Image.fromarray(pixels)):
        found = torch.cat([*inputs_of(grey, given)])
        assert found.shape == (1, 1, 8, 8)
        assert (found[0, 0] - wanted).abs().max() < 1.01 / 255
    colour = wb.Network(torch.nn.Flatten(), (3, 8, 8))
    found = torch.cat([*inputs_of(colour, Image.fromarray(pixels[..., 0]))])
    assert torch.equal(found, torch.from_numpy(pixels[..., 0].astype(np.float32) / 255).expand(1, 3, 8, 8))
    with pytest.raises(ValueError, match="these images have"):  # arrays are taken as they are
        inputs_of(grey, torch.zeros(2, 3, 8, 8))
