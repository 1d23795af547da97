"""What a network says of single images, and its first filters: against sums done by hand."""

import numpy as np
import pytest
import torch
from torch import nn

import workbench as wb
from workbench.inspect import gallery as module
from workbench.inspect.gallery import as_pictures, first_filters, gallery, reconstruct
from workbench.network.layers import find_layers, kernel_of


class Sums(nn.Module):
    """Outputs are the channel sums of the image, each times a factor."""

    def __init__(self, *factors):
        super().__init__()
        self.register_buffer("factors", torch.tensor(factors))

    def forward(self, x):
        return x.sum(dim=(2, 3)) * self.factors


@pytest.fixture
def colours():
    """40 images: the first 30 are red, the others green; a network that sees it, and one that sees red everywhere."""
    images = torch.zeros(40, 3, 2, 2)
    images[:30, 0] = 1.0
    images[30:, 1] = 0.5
    split = wb.Split(images, torch.tensor([0] * 30 + [1] * 10), "validation")
    right = wb.Network(Sums(1.0, 1.0, 1.0), (3, 2, 2), "right", classes=("red", "green", "blue"))
    blind = wb.Network(Sums(1.0, -1.0, 1.0), (3, 2, 2), "blind")
    return right, blind, split


def test_what_is_said_of_each_image(colours):
    right, blind, split = colours
    shown = gallery(right, blind, split, count=40)
    assert sorted(p.index for p in shown.pictures) == list(range(40))
    for p in shown.pictures:
        assert (p.label, p.name) == ((0, "red") if p.index < 30 else (1, "green"))
        assert (p.before.label, p.before.name) == (p.label, p.name)
        assert p.after.label == 0  # of two zeros the first
        assert p.changed == (p.index >= 30)
        assert p.image.dtype == np.uint8
        assert p.image.shape == (2, 2, 3)
        assert p.image[0, 0].tolist() == ([255, 0, 0] if p.index < 30 else [0, 128, 0])
        top = np.exp(4.0 if p.index < 30 else 2.0)
        assert p.before.probability == pytest.approx(top / (top + 2))
    assert (shown.split, shown.looked_at, shown.changed) == ("validation", 40, 10)


def test_picks_are_those_of_the_seed(colours):
    right, blind, split = colours
    picks = [[p.index for p in gallery(right, other, split, 7, seed=3).pictures] for other in (blind, None, right)]
    assert picks[0] == picks[1] == picks[2]
    assert len(set(picks[0])) == 7
    assert picks[0] != [p.index for p in gallery(right, None, split, 7, seed=4).pictures]
    assert gallery(right, None, split, 7).pictures[0].after is None


def test_changed_ones_first(colours, monkeypatch):
    right, blind, split = colours
    shown = gallery(right, blind, split, 12, prefer_changed=True)
    assert [p.changed for p in shown.pictures] == [True] * 10 + [False] * 2
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0)).tolist()
    assert [p.index for p in shown.pictures] == [*(i for i in order if i >= 30), *[i for i in order if i < 30][:2]]
    monkeypatch.setattr(module, "fitting_batch", lambda shape: 4)
    few = gallery(right, blind, split, 2, prefer_changed=True)
    assert [p.index for p in few.pictures] == [i for i in order if i >= 30][:2]
    assert few.looked_at < 40  # it stops when it has found them


def test_the_bundled_network(network, data, plan):
    shown = gallery(network, wb.decompose(network, plan), data.validation, 9)
    assert len(shown.pictures) == 9
    for p in shown.pictures:
        assert p.image.shape == (8, 8, 3)
        assert np.array_equal(p.image[..., 0], np.round(255 * data.validation.images[p.index, 0].numpy()))
        assert p.name == str(int(data.validation.labels[p.index]))


def test_names_can_be_given_and_missing_ones_are_numbers(colours):
    _, blind, split = colours
    assert gallery(blind, None, split, 1, classes=("a", "b", "c")).pictures[0].before.name == "a"
    assert gallery(blind, None, split, 1).pictures[0].before.name == "0"


def test_what_cannot_be_shown(colours):
    right, _, split = colours
    with pytest.raises(ValueError, match="the validation split has no images"):
        gallery(right, None, wb.Split(split.images[:0], split.labels[:0], "validation"))
    with pytest.raises(ValueError, match="count must be at least 1, not 0"):
        gallery(right, None, split, 0)
    with pytest.raises(ValueError, match="class 6, but the network has outputs 0 to 2 only"):
        gallery(right, None, wb.Split(split.images, split.labels + 5))
    two = wb.Network(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), (3, 2, 2))
    with pytest.raises(ValueError, match="the networks have 3 and 2 outputs"):
        gallery(right, two, split)
    with pytest.raises(ValueError, match=r"pictures have the shape \(n, channels, height, width\), not \(4, 7\)"):
        as_pictures(torch.zeros(4, 7))


def test_modes_are_left_and_progress_ends_it(network, data):
    network.model.train()
    try:
        gallery(network, None, data.validation, 3)
        assert network.model.training
    finally:
        network.model.eval()

    def stop(share):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        gallery(network, None, data.validation, progress=stop)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (torch.tensor([0, 128, 255], dtype=torch.uint8), [0, 128, 255]),
        (torch.tensor([0.0, 0.5, 1.0]), [0, 128, 255]),
        (torch.tensor([-2.0, 0.0, 2.0]), [0, 128, 255]),  # stretched
        (torch.tensor([0, 500, 1000]), [0, 128, 255]),
        (torch.tensor([False, True, True]), [0, 255, 255]),
        (torch.tensor([0.0, float("nan"), 1.0]), [0, 0, 255]),
        (torch.tensor([7.0, 7.0, 7.0]), [0, 0, 0]),
    ],
)
def test_ranges_of_pixels(images, expected):
    shown = as_pictures(images.reshape(3, 1, 1, 1))
    assert shown.shape == (3, 1, 1, 3)
    assert shown[:, 0, 0].tolist() == [[v] * 3 for v in expected]


def test_channels(generator):
    images = torch.rand(2, 3, 4, 5, generator=generator)
    assert np.array_equal(as_pictures(images)[1, 2, 3], (255 * images[1, :, 2, 3]).round().to(torch.uint8))
    four = torch.rand(2, 4, 4, 5, generator=generator)
    grey = as_pictures(four)
    assert np.array_equal(grey[..., 0], grey[..., 2])
    assert np.array_equal(grey[..., 0], (255 * four.double().mean(1)).round().numpy())


def test_filters_and_their_reconstruction(network, plan):
    smaller = wb.decompose(network, plan)
    found = first_filters(network, smaller)
    assert found.layer == "features.0"
    assert found.original.shape == found.reconstructed.shape == (32, 5, 5, 3)
    assert found.error == pytest.approx(smaller.plan["features.0"].measured_error, rel=1e-5)
    kernel = network.model.get_submodule("features.0").weight.detach().double()
    norms = kernel.flatten(1).norm(dim=1).numpy()
    assert np.sqrt(((found.errors * norms) ** 2).sum()) / np.sqrt((norms**2).sum()) == pytest.approx(found.error)
    # one scale for both, so that grey values say what the weights are
    assert np.abs(found.original[:, :, :, 0] / 127.5 - 1 - kernel[:, 0].numpy() / found.scale).max() < 1 / 254
    assert found.scale >= float(kernel.abs().max())


def test_at_full_rank_nothing_is_lost(network, plan):
    found = first_filters(network, wb.decompose(network, plan.with_ranks("features.0", rank_out=25)))
    assert found.error < 1e-6
    assert np.array_equal(found.original, found.reconstructed)
    kept = first_filters(network, wb.decompose(network, plan.keep("features.0")))
    assert kept.error == 0
    assert not kept.errors.any()


@pytest.mark.parametrize("name", ["first", "dilated", "twice", "pointwise", "grouped", "depthwise", "hidden", "last"])
def test_factors_stand_for_the_kernel_that_they_came_from(mixed, name):
    """At full rank, whatever kind of layer."""
    layer = next(found for found in find_layers(mixed).layers if found.name == name)
    plan = wb.evbmf_plan(wb.analyze(mixed, cached=False))
    if layer.method != "keep":
        rank_in, rank_out = layer.max_ranks
        plan = plan.with_ranks(name, rank_in=rank_in if layer.method == "tucker2" else None, rank_out=rank_out)
    smaller = wb.decompose(mixed, plan)
    kernel = kernel_of(mixed.model.get_submodule(name), layer)
    assert torch.allclose(reconstruct(smaller.model.get_submodule(name), layer), kernel, atol=1e-10)


def test_transposed_and_grouped():
    torch.manual_seed(0)
    model = nn.Sequential(nn.ConvTranspose2d(16, 12, 3, groups=2), nn.Flatten(), nn.Linear(12 * 36, 3)).double()
    network = wb.Network(model, (16, 4, 4))
    plan = wb.evbmf_plan(wb.analyze(network, cached=False)).with_ranks("0", rank_in=8, rank_out=6)
    assert first_filters(network, wb.decompose(network, plan)).error < 1e-10


def test_filters_that_cannot_be_compared(network, mixed):
    with pytest.raises(ValueError, match=r"mixed was not made from digits_vgg: it has no layer features.0 of 1 -> 32"):
        first_filters(network, mixed)
    flat = wb.Network(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), (1, 2, 2), "flat")
    with pytest.raises(ValueError, match="flat has no two-dimensional convolution in front"):
        first_filters(flat, flat)
    wider = wb.Network(nn.Sequential(nn.Conv2d(1, 3, 3)), (1, 4, 4), "wider")
    with pytest.raises(ValueError, match="wider was not made from network: it has no layer 0 of 1 -> 2, 3x3"):
        first_filters(wb.Network(nn.Sequential(nn.Conv2d(1, 2, 3)), (1, 4, 4)), wider)
    nested = wb.Network(nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 3))), (1, 4, 4), "nested")
    with pytest.raises(ValueError, match="layer 0 is neither a layer nor its factors, but a Sequential"):
        first_filters(wb.Network(nn.Sequential(nn.Conv2d(1, 2, 3)), (1, 4, 4)), nested)


def test_a_dead_filter_has_no_error():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2))
    with torch.no_grad():
        model[0].weight[0] = 0
    network = wb.Network(model, (1, 4, 4))
    found = first_filters(network, network)
    assert found.errors.tolist() == [0, 0]
    assert (found.original[0] == 128).all()
