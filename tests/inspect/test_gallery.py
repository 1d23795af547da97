"""Answers for single images, against sums done by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import workbench as wb
from workbench.inspect import gallery as module
from workbench.inspect.gallery import as_pictures


class Sums(nn.Module):
    """Outputs are the channel sums of the image, each times a factor."""

    def __init__(self, *factors):
        super().__init__()
        self.register_buffer("factors", torch.tensor(factors))

    def forward(self, x):
        return x.sum(dim=(2, 3)) * self.factors


@pytest.fixture
def colours():
    """40 images, 30 red and 10 green; a network that sees it, and a compressed one that sees red everywhere."""
    images = torch.zeros(40, 3, 2, 2)
    images[:30, 0] = 1.0
    images[30:, 1] = 0.5
    split = wb.Split(images, torch.tensor([0] * 30 + [1] * 10), "validation")
    right = wb.Network(Sums(1.0, 1.0, 1.0), (3, 2, 2), "right", classes=("red", "green", "blue"))
    plan = wb.evbmf_plan(wb.analyze(right, cached=False))
    return right, wb.CompressedNetwork.of(right, plan, Sums(1.0, -1.0, 1.0)), split


def cancel(share, note):
    raise wb.Cancelled


def indices(found):
    return [picture.index for picture in found.pictures]


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


def test_the_seed_chooses_the_images(colours):
    right, blind, split = colours
    picks = [indices(wb.gallery(right, split, 7, 3, compressed=other)) for other in (blind, None)]
    assert picks[0] == picks[1] != indices(wb.gallery(right, split, 7, 4))
    assert len(set(picks[0])) == 7
    assert wb.gallery(right, split, 7).pictures[0].after is None


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


def test_the_bundled_network(network, data, plan):
    shown = wb.gallery(network, data.validation, 9, compressed=wb.decompose(network, plan))
    assert len(shown.pictures) == 9
    for p in shown.pictures:
        assert np.array_equal(p.image[..., 0], np.round(255 * data.validation.images[p.index, 0].numpy()))
        assert p.name == str(int(data.validation.labels[p.index]))


def test_names_of_classes(colours):
    right, _, split = colours
    assert wb.gallery(right.with_model(right.model, classes=()), split, 1).pictures[0].before.name in ("0", "1")
    (unlabelled,) = wb.gallery(right, wb.Split.unlabelled(split.images), 1).pictures
    assert (unlabelled.name, unlabelled.before.right) == ("", None)


def test_what_cannot_be_shown(colours):
    right, blind, split = colours
    with pytest.raises(ValueError, match="the validation split has no images"):
        wb.gallery(right, wb.Split(split.images[:0], split.labels[:0], "validation"))
    with pytest.raises(ValueError, match="count must be at least 1, not 0"):
        wb.gallery(right, split, 0)
    with pytest.raises(ValueError, match="class 6, but the network has outputs 0 to 2 only"):
        wb.gallery(right, replace(split, labels=split.labels + 5))
    two = blind.with_model(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)))
    with pytest.raises(ValueError, match="the networks have 3 and 2 outputs"):
        wb.gallery(right, split, compressed=two)
    with pytest.raises(wb.Cancelled):
        wb.gallery(right, split, progress=cancel)


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


def test_other_than_one_or_three_channels_become_their_mean(generator):
    four = torch.rand(2, 4, 4, 5, generator=generator)
    grey = as_pictures(four)
    assert np.array_equal(grey[..., 0], grey[..., 2])
    assert np.array_equal(grey[..., 0], (255 * four.double().mean(1)).round().numpy())
