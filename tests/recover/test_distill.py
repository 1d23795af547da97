import copy

import pytest
import torch
from torch import nn

import workbench as wb
from tests.recover.test_calibrate import divergence, unlabelled
from workbench.plan.plan import PlanError
from workbench.recover.distill import distill


@pytest.fixture
def smaller(network, plan):
    return wb.decompose(network, plan)


def test_it_learns_the_originals_answers_without_labels(network, smaller, data):
    made = distill(smaller, network, unlabelled(data.train, 256), epochs=6)
    held = data.validation.images
    assert divergence(network, made, held) < 0.25 * divergence(network, smaller, held)
    assert made.weights == smaller.weights
    assert made.plan == smaller.plan
    assert not any(m._forward_hooks for net in (network, made) for m in net.model.modules())


def test_neither_network_is_changed_and_frozen_weights_say_so(network, smaller, data):
    smaller.model.classifier[2].requires_grad_(False)
    before = [copy.deepcopy(n.model.state_dict()) for n in (network, smaller)]
    made = distill(smaller, network, data.train.images[:32], epochs=1)
    for net, state in zip((network, smaller), before, strict=True):
        assert all(torch.equal(v, state[k]) for k, v in net.model.state_dict().items())
    assert not any(p.requires_grad for p in made.model.classifier[2].parameters())
    assert all(p.requires_grad for p in made.model.features.parameters())
    assert not any(m.training for m in made.model.modules())


def test_epochs_are_reproducible(network, smaller, data):
    split = unlabelled(data.train, 48)
    one, two, other = (distill(smaller, network, split, epochs=1, seed=seed).model.state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(v, two[k]) for k, v in one.items())
    assert any(not torch.equal(v, other[k]) for k, v in one.items())


def test_it_ends_when_the_time_is_over(network, smaller, data):
    shares = []
    distill(smaller, network, data.train.images[:32], minutes=1e-3, progress=lambda share, _: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_it_takes_no_longer_than_it_may(network, smaller, data, monkeypatch):
    now = 100.0

    def tell():
        return now

    def step(share, words):
        nonlocal now
        now += 7.0 if words.startswith("loss") else 0.0

    monkeypatch.setattr("workbench.recover.distill.time.perf_counter", tell)
    steps = []
    settings = {"minutes": 1, "learning_rate": 1e-5, "progress": step, "losses": steps.append}
    distill(smaller, network, data.train.images[:32], **settings)
    assert len(steps) == 8  # of 7 s each: a ninth would end after the minute


def test_cancel_gives_the_average_so_far(network, smaller, data):
    steps = []
    images = data.train.images[:64]
    made = distill(
        smaller,
        network,
        images,
        epochs=100,
        progress=lambda *now: steps.append(now),
        cancelled=lambda: len(steps) >= 3,
    )
    assert len(steps) == 3
    assert steps[-1][1].startswith("loss ")
    with torch.no_grad():
        assert torch.isfinite(made.model(images)).all()


def test_relus_in_place_and_branches(generator):
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.relu = nn.Conv2d(3, 12, 3), nn.ReLU(inplace=True)
            self.left, self.right, self.last = nn.Conv2d(12, 8, 3), nn.Conv2d(12, 8, 3), nn.Linear(16, 4)

        def forward(self, x):
            x = self.relu(self.stem(x))
            return self.last(torch.relu_(torch.cat([self.left(x), self.right(x)], 1)).mean((2, 3)))

    torch.manual_seed(0)
    network = wb.Network(Branches().eval(), (3, 9, 9), name="branches")
    plan = wb.evbmf_plan(wb.analyze(network, cached=False)).with_ranks("left", rank_in=5, rank_out=4)
    smaller = wb.decompose(network, plan)
    x = torch.randn(64, 3, 9, 9, generator=generator)
    made = distill(smaller, network, x, epochs=20)
    assert divergence(network, made, x) < 0.5 * divergence(network, smaller, x)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "either minutes or epochs"),
        ({"minutes": 1, "epochs": 1}, "either minutes or epochs"),
        ({"epochs": 0}, "epochs must be a number above 0"),
        ({"epochs": 1, "learning_rate": -1}, "learning_rate must be a number above 0"),
    ],
)
def test_settings_that_make_no_sense(network, smaller, data, settings, message):
    with pytest.raises(ValueError, match=message):
        distill(smaller, network, data.train, **settings)


def test_only_decomposed_networks(network, data):
    with pytest.raises(PlanError, match="digits_vgg was not decomposed"):
        distill(network, network, data.train, epochs=1)


def test_divergence_is_said(network, smaller, data):
    broken = copy.deepcopy(smaller.model)
    with torch.no_grad():
        broken.features[3].core.weight.fill_(1e30)
    with pytest.raises(ValueError, match="distillation diverged"):
        distill(wb.Network(broken, smaller.input_shape, plan=smaller.plan), network, data.train, epochs=1)
