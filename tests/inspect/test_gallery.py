"""Answers for single images, against sums done by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import Computes
from tests.helpers.progress import cancel
from workbench.inspect import gallery as module
from workbench.inspect.gallery import reconstruct
from workbench.kernels.tucker import relative_error
from workbench.network.tracing import find_layers


def sums(*factors):
    """A model whose outputs are the channel sums of the image, each times a factor."""
    return Computes(lambda _, x: x.sum(dim=(2, 3)) * torch.tensor(factors))


@pytest.fixture
def colours():
    """40 images, 30 red and 10 green; a network that sees it, and a compressed one that sees red everywhere."""
    images = torch.zeros(40, 3, 2, 2)
    images[:30, 0] = 1.0
    images[30:, 1] = 0.5
    split = wb.Split(images, torch.tensor([0] * 30 + [1] * 10), "validation")
    right = wb.Network(sums(1.0, 1.0, 1.0), (3, 2, 2), "right", classes=("red", "green", "blue"))
    plan = wb.evbmf_plan(wb.analyze(right, cached=False))
    return right, wb.CompressedNetwork.of(right, plan, sums(1.0, -1.0, 1.0)), split


def indices(found):
    return [picture.index for picture in found.pictures]


def test_probabilities_that_a_network_gives_are_shown_as_they_are(colours):
    right, _, split = colours
    ends = wb.Network(nn.Sequential(right.model, nn.Softmax(1)), (3, 2, 2), "ends in a softmax")
    found = [{p.index: p.before.probability for p in wb.gallery(n, split, 40).pictures} for n in (right, ends)]
    assert found[1] == pytest.approx(found[0])


def test_answers_of_each_image(colours):
    right, blind, split = colours
    shown = wb.gallery(right, split, 40, compressed=blind)
    assert sorted(indices(shown)) == list(range(40))
    for p in shown.pictures:
        assert (p.label, p.name) == ((0, "red") if p.index < 30 else (1, "green"))
        assert (p.before.label, p.before.name, p.before.right) == (p.label, p.name, True)
        assert p.after.label == 0  # of two zeros the first
        assert p.changed == (p.index >= 30) == (not p.after.right)
        assert (p.image.dtype, p.image.shape) == (np.uint8, (2, 2, 3))
        assert p.image[0, 0].tolist() == ([255, 0, 0] if p.index < 30 else [0, 128, 0])
        top = np.exp(4.0 if p.index < 30 else 2.0)
        assert p.before.probability == pytest.approx(top / (top + 2))
    assert (shown.split, shown.looked_at, shown.changed) == ("validation", 40, 10)


def test_changed_ones_first(colours, monkeypatch):
    right, blind, split = colours
    shown = wb.gallery(right, split, compressed=blind, prefer_changed=True)
    assert [p.changed for p in shown.pictures] == [True] * 10 + [False] * 2
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0)).tolist()
    changed, same = [i for i in order if i >= 30], [i for i in order if i < 30]
    assert indices(shown) == [*changed, *same[:2]]
    monkeypatch.setattr(module, "fitting_batch", lambda shape: 4)
    two = wb.gallery(right, split, 2, compressed=blind, prefer_changed=True)
    assert indices(two) == changed[:2]
    assert two.looked_at < 40  # it stops when it has found them


def test_what_cannot_be_shown(colours):
    right, blind, split = colours
    two = blind.with_model(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)))
    for images, options, why in (
        (wb.Split(split.images[:0], split.labels[:0], "validation"), {}, "the validation split has no images"),
        (split, {"count": 0}, "count must be at least 1, not 0"),
        (replace(split, labels=split.labels + 5), {}, "class 6, but the network has outputs 0 to 2 only"),
        (split, {"compressed": two}, "the networks have 3 and 2 outputs"),
    ):
        with pytest.raises(ValueError, match=why):
            wb.gallery(right, images, **options)
    with pytest.raises(wb.Cancelled):
        wb.gallery(right, split, progress=cancel)


def test_the_kernel_of_a_convolution_with_a_norm_of_its_own():
    conv = nn.Conv2d(3, 4, 3)
    conv.norm = nn.BatchNorm2d(4)
    (layer,) = find_layers(wb.Network(conv, (3, 8, 8))).layers
    assert torch.equal(reconstruct(conv, layer), conv.weight.double())


def test_filters_before_and_after(network, small):
    found = wb.first_filters(small)
    assert found.layer == "features.0"
    assert found.original.shape == found.reconstructed.shape == (32, 5, 5, 3)
    kernel = network.model.get_submodule("features.0").weight.detach().double()
    made = reconstruct(small.model.get_submodule("features.0"), small.plan["features.0"].layer)
    assert found.error == pytest.approx(relative_error(kernel, made), rel=1e-5)
    norms = kernel.flatten(1).norm(dim=1).numpy()
    assert np.sqrt(((found.errors * norms) ** 2).sum() / (norms**2).sum()) == pytest.approx(found.error)
    # one scale for both, so that grey values say what the weights are
    assert np.abs(found.original[:, :, :, 0] / 127.5 - 1 - kernel[:, 0].numpy() / found.scale).max() < 1 / 254
    assert found.scale >= float(kernel.abs().max())
