import copy
from dataclasses import replace

import pytest
import torch

import workbench as wb


@pytest.fixture
def smaller(network, plan):
    return wb.decompose(network, plan)


def few(data, n=200):
    return replace(data, train=wb.Split(data.train.images[:n], data.train.labels[:n], "train"))


def test_accuracy_comes_back(network, smaller, data):
    fallen = wb.accuracy(smaller, data.validation).top1
    epochs = list(wb.finetune(smaller, data, epochs=2))
    assert [e.epoch for e in epochs] == [1, 2]
    assert epochs[1].loss < epochs[0].loss
    assert epochs[-1].validation == wb.accuracy(smaller, data.validation)
    assert epochs[-1].validation.top1 > fallen + 10
    assert "epoch 1: loss" in str(epochs[0])


def test_the_original_is_never_changed(network, smaller, data):
    before = copy.deepcopy(network.model.state_dict())
    list(wb.finetune(smaller, few(data), epochs=1))
    assert all(torch.equal(v, before[k]) for k, v in network.model.state_dict().items())


def test_the_test_split_is_never_touched(smaller, data):
    class Forbidden:
        def __getattr__(self, name):
            raise AssertionError(f"fine-tuning asked for test.{name}")

    data = few(data)
    object.__setattr__(data, "test", Forbidden())
    assert len(list(wb.finetune(smaller, data, epochs=1))) == 1


def test_it_is_reproducible(network, plan, data):
    runs = []
    for _ in range(2):
        smaller = wb.decompose(network, plan)
        losses = [e.loss for e in wb.finetune(smaller, few(data), epochs=2, seed=3)]
        runs.append((losses, smaller.model.state_dict()))
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(v, runs[1][1][k]) for k, v in runs[0][1].items())


def test_the_papers_schedule(smaller, data):
    rates = [e.learning_rate for e in wb.finetune(smaller, few(data, 64), epochs=5, drop_every=2)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5])


def test_cancel_stops_before_the_next_batch(smaller, data):
    steps = []
    epochs = wb.finetune(smaller, data, epochs=5, progress=steps.append, cancelled=lambda: len(steps) >= 3)
    assert list(epochs) == []
    assert len(steps) == 3
    assert not any(m.training for m in smaller.model.modules())


def test_progress_reaches_one(smaller, data):
    steps = []
    list(wb.finetune(smaller, few(data, 100), epochs=2, progress=steps.append))
    assert steps == sorted(steps)
    assert steps[-1] == 1


def test_frozen_weights_stay(smaller, data):
    frozen = smaller.model.get_submodule("classifier.2").requires_grad_(False)
    before = copy.deepcopy(frozen.state_dict())
    list(wb.finetune(smaller, few(data, 64), epochs=1))
    assert all(torch.equal(v, before[k]) for k, v in frozen.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, not 0"),
        ({"epochs": 1.5}, "epochs must be a whole number"),
        ({"epochs": 1, "batch_size": 0}, "batch_size must be"),
        ({"epochs": 1, "learning_rate": 0}, "learning rate must be a number above 0"),
        ({"epochs": 1, "learning_rate": float("nan")}, "learning rate must be a number above 0"),
    ],
)
def test_settings_that_make_no_sense(smaller, data, settings, message):
    with pytest.raises(ValueError, match=message):
        wb.finetune(smaller, data, **settings)


def test_divergence_is_said(smaller, data):
    with pytest.raises(ValueError, match="training diverged in epoch 1"):
        list(wb.finetune(smaller, data, epochs=1, learning_rate=1e30))
    assert not any(m.training for m in smaller.model.modules())


def test_labels_without_an_output(smaller, data):
    wrong = replace(data, train=wb.Split(data.train.images[:40], torch.full((40,), 10), "train"))
    with pytest.raises(ValueError, match="class 10, but the network has outputs 0 to 9"):
        list(wb.finetune(smaller, wrong, epochs=1))
