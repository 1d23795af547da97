import copy
from functools import partial

import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import Caches, Computes, decomposed, same, unlabelled
from tests.helpers.progress import Told
from workbench.network.images.folders import LazyImages
from workbench.recover.distill import mix_images


@pytest.fixture
def usual_views(monkeypatch):
    """Images are learned from, and compared on, as they are."""
    monkeypatch.setattr("workbench.recover.distill.augment", lambda images, **_: images)
    monkeypatch.setattr("workbench.recover.distill.mix_images", lambda inputs: inputs)


def test_it_learns_the_originals_answers_without_labels(network, small, data):
    made = wb.distill(small, unlabelled(data.train, 256), epochs=6)
    held = data.validation.images
    assert wb.compare(made, held).divergence < 0.25 * wb.compare(small, held).divergence
    assert made.weights == small.weights
    assert made.plan is small.plan
    assert [e.epoch for e in made.history] == [1, 2, 3, 4, 5, 6]
    assert made.history[-1].loss < made.history[0].loss


FLAT = partial(nn.Flatten, 1)


@pytest.mark.parametrize("head", [[], [FLAT, partial(nn.Linear, 18, 5)], [FLAT, partial(nn.Unflatten, 1, (2, 9))]])
def test_the_loss_is_a_mean_over_the_images_for_outputs_of_any_shape(usual_views, head):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 3), *(make() for make in head))
    network = wb.Network(model, (3, 7, 7))
    small = decomposed(network, {"2": (4, 1)})
    images = torch.rand(1, 3, 7, 7).expand(8, -1, -1, -1)
    losses = [
        wb.distill(small, images, epochs=1, learning_rate=1e-12, batch_size=size).history[0].loss for size in (1, 2, 8)
    ]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-2)
    assert losses[0] > 1e-4


def test_only_the_outputs_that_matter_are_learned(data):
    def answers(net, x, maps=False):
        found = net.conv(x)
        logits = {"logits": net.head(found.mean((2, 3)))}
        return {**logits, "maps": found} if maps else logits

    losses = []
    for forward in (answers, partial(answers, maps=True)):
        torch.manual_seed(0)
        model = Computes(forward, conv=nn.Conv2d(1, 8, 3), head=nn.Linear(8, 10))
        network = wb.Network(model, (1, 8, 8), output=lambda outputs: outputs["logits"])
        made = wb.distill(decomposed(network, {"conv": (None, 2)}), data.train.images[:16], epochs=1)
        losses.append(made.history[0].loss)
    assert losses[0] == losses[1] > 0


@pytest.mark.parametrize("count", [8, 64])  # of 8 none is held out
def test_it_never_returns_what_agrees_less(usual_views, small, data, count):
    images = data.train.images[:count]
    calibrated = wb.calibrate(small, images)
    made = wb.distill(calibrated, images, epochs=3, learning_rate=1.0)
    assert same(made.model.state_dict(), calibrated.model.state_dict())
    assert made.model is not calibrated.model
    assert made.source not in (calibrated.source, f"{calibrated.source}; distilled")
    assert [e.validation.n for e in made.history] == [8 if count == 8 else 13] * 3
    start = wb.compare(calibrated, images if count == 8 else images[held_out(count)]).divergence
    assert all(-e.validation.top1 > start for e in made.history)


def held_out(count):
    """Indices of the images that are held out of `count`."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))[: round(0.2 * count)]


def test_the_best_epoch_by_the_divergence_on_images_that_are_not_learned_from(usual_views, small, data):
    images = data.train.images[:60].clone()
    held = held_out(60)
    made = wb.distill(small, images, epochs=5, learning_rate=0.05)
    found = [-e.validation.top1 for e in made.history]
    assert wb.compare(made, images[held]).divergence == pytest.approx(min(found), rel=1e-4)
    images[held] = 1 - images[held]
    other = wb.distill(small, images, epochs=5, learning_rate=0.05)
    assert [e.loss for e in other.history] == [e.loss for e in made.history]
    assert [-e.validation.top1 for e in other.history] != found


@pytest.mark.parametrize("lazy", [False, True])
def test_auxiliary_images_are_learned_from_and_never_judge(small, data, monkeypatch, lazy):
    images, auxiliary, learned = data.train.images[:40], data.train.images[40:100], []
    monkeypatch.setattr("workbench.recover.distill.augment", lambda images, **_: images)
    monkeypatch.setattr("workbench.recover.distill.mix_images", lambda inputs: learned.append(inputs) or inputs)
    sources = [lazy_split(pool) if lazy else pool for pool in (images, auxiliary)]
    made = wb.distill(small, sources[0], auxiliary=sources[1], epochs=1, learning_rate=1e-12, batch_size=16)
    held = held_out(40)
    kept = [i for i in range(40) if i not in held]
    expected = small.original.inputs(torch.cat([images[kept], auxiliary]))
    assert sorted(torch.cat(learned).flatten(1).tolist()) == sorted(expected.flatten(1).tolist())
    assert [e.validation.n for e in made.history] == [8]
    assert wb.compare(made, images[held]).divergence == pytest.approx(-made.history[0].validation.top1, rel=1e-4)


def lazy_split(images):
    return wb.Split.unlabelled(LazyImages(lambda index: images[index], tuple(images.shape)))


@pytest.mark.parametrize(
    ("auxiliary", "message"),
    [
        (torch.zeros(4, 1, 12, 12), r"float32 of shape \(1, 12, 12\).*float32 of shape \(1, 10, 10\)"),
        (torch.zeros(4, 1, 10, 10, dtype=torch.uint8), "uint8.*float32"),
        (torch.zeros(0, 1, 10, 10), "no images"),
    ],
)
def test_auxiliary_images_that_do_not_fit_are_refused(network, auxiliary, message):
    resized = wb.Network(network.model, (1, 8, 8), preprocessing=lambda images: images[:, :, :8, :8])
    small = wb.decompose(resized, wb.budget_plan(wb.analyze(resized), macs_ratio=2.0))
    with pytest.raises(ValueError, match=message):
        wb.distill(small, torch.zeros(40, 1, 10, 10), auxiliary=auxiliary, epochs=1)


def test_auxiliary_batches_of_a_network_with_two_inputs():
    torch.manual_seed(0)
    model = Computes(lambda net, maps: net.conv(maps["image"]).mean((2, 3)) + maps["offset"], conv=nn.Conv2d(3, 8, 3))
    batches = [({"image": torch.rand(2, 3, 8, 8), "offset": torch.rand(2, 8)},) for _ in range(6)]
    network = wb.Network(model, example=batches[0])
    small = decomposed(network, {"conv": (None, 2)})
    alone, together = (wb.distill(small, batches[:2], auxiliary=more, epochs=1) for more in (None, batches[2:]))
    assert alone.history[0].validation.n == together.history[0].validation.n == 4
    assert alone.history[0].loss != together.history[0].loss


def test_views_that_never_occur_do_not_outweigh_those_that_do(network, spectra, data):
    images = data.train.images[:100]  # digits, which are never mirrored
    calibrated = wb.calibrate(wb.decompose(network, wb.budget_plan(spectra, macs_ratio=20.0)), images)
    made = wb.distill(calibrated, images, epochs=10)
    before, after = (wb.compare(each, data.test.images).divergence for each in (calibrated, made))
    assert after < 1.5 * before


def test_an_average_that_was_cancelled_within_an_epoch_is_judged_too(small, data):
    images, told, seen = data.train.images[:64], Told(steps=2), []
    made = wb.distill(small, images, epochs=9, learning_rate=1.0, batch_size=16, progress=told, on_epoch=seen.append)
    assert (len(told), seen, len(made.history)) == (3, [], 1)
    assert same(made.model.state_dict(), small.model.state_dict())


def test_it_takes_no_longer_than_it_may(small, data, monkeypatch):
    told = Told()
    monkeypatch.setattr("workbench.recover.training.time.perf_counter", lambda: 100.0 + 7.0 * len(told))
    wb.distill(small, data.train.images[:32], minutes=1, learning_rate=1e-5, progress=told)
    assert len(told) == 8  # of 7 s each: a ninth would end after the minute


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "either minutes or epochs"),
        ({"minutes": 1, "epochs": 1}, "either minutes or epochs"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1"),
        ({"epochs": 1, "learning_rate": 0}, "learning_rate must be a number above 0, not 0"),  # no default
        ({"epochs": 1, "batch_size": 0}, "0"),
    ],
)
def test_settings_that_make_no_sense(small, data, settings, message):
    with pytest.raises(ValueError, match=message):
        wb.distill(small, data.train, **settings)


def test_models_that_cache_what_they_compute(data):
    network = wb.Network(Caches(), (1, 8, 8))
    small = wb.decompose(network, wb.budget_plan(wb.analyze(network, cached=False), macs_ratio=1.3))
    made = wb.distill(small, data.train.images[:64], epochs=2)
    fresh = copy.deepcopy(made.model)
    fresh.cache.clear()
    x = data.test.images[:8]
    with torch.no_grad():
        assert torch.equal(made.model(x), fresh(x))  # by the weights that it ends with
    assert not torch.equal(made.model.scale, small.model.scale)


def test_batch_norms_follow_the_weights(data):
    layers = [nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)]
    model, images = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 5)), data.train.images[:41]
    for _ in range(100):
        model(images)
    small = wb.calibrate(decomposed(wb.Network(model, (1, 8, 8)), {"3": (2, 2)}), images)
    before = copy.deepcopy(small.model.state_dict())
    made = wb.distill(small, images, epochs=20, batch_size=32)  # the second batch is one image
    assert made.source.endswith("distilled")
    assert same(small.model.state_dict(), before)
    assert not torch.equal(made.model[1].running_var, small.model[1].running_var)
    assert not made.model.training
    assert torch.allclose(made.model[:1](images).mean((0, 2, 3)), made.model[1].running_mean, atol=0.1)


def test_mixed_images_are_made_of_two():
    images = torch.rand(400, 1, 8, 8)
    own, other = images, images.roll(1, 0)
    made = mix_images(images)
    share = ((made - other) / (own - other)).flatten(1)  # of the image itself, in each pixel
    same = (share > 0.999).all(1)
    parts = ((share > 0.999) | (share < 0.001)).all(1) & ~same
    blended = (share.amax(1) - share.amin(1) < 1e-3) & ~same & ~parts
    assert (same | parts | blended).sum() > 390  # but for pixels that are nearly alike
    assert (same.sum(), parts.sum(), blended.sum()) == pytest.approx((40, 180, 180), abs=35)
