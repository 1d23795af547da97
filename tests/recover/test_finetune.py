import copy
from dataclasses import replace

import pytest
import torch

import workbench as wb
from workbench.recover.recipe import Recipe


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


def test_a_teacher_without_any_labels(network, smaller, data):
    unlabelled = replace(data, train=wb.Split.unlabelled(data.train.images, "train"))
    fallen = wb.accuracy(smaller, data.validation).top1
    before = copy.deepcopy(network.model.state_dict())
    epochs = list(wb.finetune(smaller, unlabelled, epochs=2, teacher=network))
    assert epochs[1].loss < epochs[0].loss
    assert epochs[-1].validation.top1 > fallen + 10
    assert all(torch.equal(v, before[k]) for k, v in network.model.state_dict().items())


def test_the_labels_count_where_there_are_some(network, plan, data):
    results = []
    for weight in (0.0, 0.9):
        smaller = wb.decompose(network, plan)
        settings = {"teacher": network, "label_weight": weight, "seed": 3}
        results.append([e.loss for e in wb.finetune(smaller, few(data), epochs=1, **settings)])
    assert results[0] != results[1]


def test_a_validation_split_without_labels_is_compared_with_the_teacher(network, smaller, data):
    unlabelled = replace(few(data), validation=wb.Split.unlabelled(data.validation.images, "validation"))
    (epoch,) = wb.finetune(smaller, unlabelled, epochs=1, teacher=network)
    with torch.inference_mode():
        images = data.validation.images
        agree = smaller.model(images).argmax(1) == network.model(images).argmax(1)
    assert epoch.validation.top1 == pytest.approx(100 * float(agree.double().mean()))


def test_no_labels_and_no_teacher(smaller, data):
    with pytest.raises(ValueError, match="images without a label: give a teacher"):
        wb.finetune(smaller, replace(data, train=wb.Split.unlabelled(data.train.images)), epochs=1)
    with pytest.raises(ValueError, match="the validation split of digits has no labels: give a teacher"):
        wb.finetune(smaller, replace(data, validation=wb.Split.unlabelled(data.validation.images)), epochs=1)


def test_a_teacher_of_other_classes(smaller, data):
    other = wb.Network(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3)), (1, 8, 8), name="other")
    with pytest.raises(ValueError, match="the teacher other has 3 classes, digits_vgg has 10"):
        list(wb.finetune(smaller, few(data), epochs=1, teacher=other))


def test_frozen_statistics_stay_while_the_weights_learn(smaller, data):
    before = copy.deepcopy(smaller.model.state_dict())
    list(wb.finetune(smaller, few(data), epochs=1, batch_norm="frozen"))
    after = smaller.model.state_dict()
    assert all(torch.equal(after[k], before[k]) for k in after if "running" in k or "tracked" in k)
    assert not torch.equal(after["features.1.weight"], before["features.1.weight"])


def test_the_best_epoch_is_kept(smaller, data):
    # a rate that grows ruins what the first epochs have reached
    settings = {"epochs": 4, "learning_rate": 0.1, "warmup": 3.9, "keep_best": True}
    states, scores = [], []
    for epoch in wb.finetune(smaller, few(data), **settings):
        scores.append(epoch.validation.top1)
        states.append(copy.deepcopy(smaller.model.state_dict()))
    assert max(scores) > scores[-1] + 5
    assert wb.accuracy(smaller, data.validation).top1 == max(scores)


def test_a_cancelled_training_keeps_its_best_epoch_too(smaller, data):
    steps = []
    epochs = list(
        wb.finetune(
            smaller,
            few(data),
            epochs=4,
            learning_rate=0.1,
            warmup=3.9,
            keep_best=True,
            progress=steps.append,
            cancelled=lambda: len(steps) == 20,
        )
    )
    assert len(epochs) == 2
    assert wb.accuracy(smaller, data.validation).top1 == max(e.validation.top1 for e in epochs)


def test_dropout_follows_the_seed_and_nothing_else(data):
    results = []
    for noise in (1, 2):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(64, 10))
        torch.manual_seed(noise)
        expected = torch.random.get_rng_state()
        list(wb.finetune(wb.Network(model, (1, 8, 8)), few(data), epochs=1, learning_rate=0.1))
        assert torch.equal(torch.random.get_rng_state(), expected)
        results.append(model.state_dict())
    assert all(torch.equal(v, results[1][k]) for k, v in results[0].items())


def test_augmented_training_and_mixed_precision_on_a_cpu(network, plan, data):
    states = []
    for mixed in (False, True):
        smaller = wb.decompose(network, plan)
        list(wb.finetune(smaller, few(data), epochs=1, shift=1, flip=True, mixed_precision=mixed))
        states.append(smaller.model.state_dict())
    assert all(torch.equal(v, states[1][k]) for k, v in states[0].items())


def test_every_optimizer_and_schedule_recovers(network, plan, data):
    for settings in ({"optimizer": "adamw"}, {"optimizer": "nesterov", "schedule": "cosine", "warmup": 0.5}):
        smaller = wb.decompose(network, plan)
        fallen = wb.accuracy(smaller, data.validation).top1
        list(wb.finetune(smaller, few(data, 500), epochs=1, **settings))
        assert wb.accuracy(smaller, data.validation).top1 > fallen + 5


def test_a_clipped_gradient_moves_the_weights_no_further(smaller, data):
    before = copy.deepcopy(smaller.model)
    settings = {"momentum": 0.0, "weight_decay": 0.0, "learning_rate": 0.5, "clip_norm": 0.01, "batch_size": 200}
    list(wb.finetune(smaller, few(data), epochs=1, **settings))
    moved = [a.detach() - b.detach() for a, b in zip(smaller.model.parameters(), before.parameters(), strict=True)]
    length = float(torch.cat([m.flatten() for m in moved]).norm())
    assert length == pytest.approx(0.5 * 0.01, rel=1e-2)


def test_a_recipe_and_changes_to_it(smaller, data):
    recipe = Recipe(epochs=3, batch_size=50, learning_rate=2e-3)
    rates = [e.learning_rate for e in wb.finetune(smaller, few(data, 64), recipe=recipe, epochs=1)]
    assert rates == [2e-3]


def test_settings_that_there_are_not(smaller, data):
    with pytest.raises(TypeError, match="no setting epoch; it has epochs"):
        wb.finetune(smaller, data, epoch=2)
