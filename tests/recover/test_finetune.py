import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import workbench as wb
from tests.helpers.networks import Computes, decomposed, few, same
from tests.helpers.progress import Told
from workbench.network.data import UNLABELLED
from workbench.recover.finetune import augment, distillation_losses, losses
from workbench.recover.recipe import Recipe

RISING = {"epochs": 4, "learning_rate": 0.1, "warmup": 3.9, "batch_norm": "train"}
"""A rate that grows and ruins what the first epochs have reached."""


def test_accuracy_comes_back_in_a_new_network(network, small, data):
    before = [copy.deepcopy(n.model.state_dict()) for n in (network, small)]
    start, seen = wb.score(small, data.validation), []
    tuned = wb.finetune(small, data, epochs=2, on_epoch=seen.append)
    assert tuned is not small
    assert (type(tuned), tuned.plan, tuned.original) == (wb.CompressedNetwork, small.plan, network)
    assert [e.epoch for e in tuned.history] == [1, 2] == [e.epoch for e in seen]
    assert tuned.history[1].loss < tuned.history[0].loss
    assert tuned.history[-1].validation == wb.score(tuned, data.validation)
    assert tuned.history[-1].validation.top1 > start.top1 + 0.1
    assert all(same(n.model.state_dict(), state) for n, state in zip((network, small), before, strict=True))
    assert not any(m.training for m in tuned.model.modules())


def test_it_is_reproducible_and_never_touches_the_test_split(small, data):
    class Forbidden:
        def __getattr__(self, name):
            raise AssertionError(f"fine-tuning asked for test.{name}")

    data = few(data)
    object.__setattr__(data, "test", Forbidden())
    one, two = (wb.finetune(small, data, epochs=2, seed=3) for _ in range(2))
    assert [e.loss for e in one.history] == [e.loss for e in two.history]
    assert same(one.model.state_dict(), two.model.state_dict())


@pytest.mark.parametrize("steps", [0, 3, 20, 28])
def test_the_best_epoch_is_returned_also_if_it_is_cancelled(small, data, steps):
    told = Told(steps=steps)
    tuned = wb.finetune(small, few(data), progress=told, **RISING)
    assert len(told) == steps + 1
    assert len(tuned.history) == steps // 7
    scores = [wb.score(small, data.validation).top1, *(e.validation.top1 for e in tuned.history)]
    assert wb.score(tuned, data.validation).top1 == max(scores)
    assert steps < 28 or max(scores) > scores[-1] + 0.05


def test_the_papers_schedule_and_changes_to_a_recipe(small, data):
    tuned = wb.finetune(small, few(data, 64), epochs=5, drop_every=2)
    assert [e.learning_rate for e in tuned.history] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5])
    recipe = Recipe(epochs=3, batch_size=50, learning_rate=2e-3)
    assert [e.learning_rate for e in wb.finetune(small, few(data, 64), recipe=recipe, epochs=1).history] == [2e-3]


def test_batch_norms_of_a_calibrated_network_keep_their_statistics(data):
    def forward(net, x):
        x = torch.relu(net.one(net.stem(x)))
        x = torch.relu(x + net.two(net.body(x)))  # a shortcut
        return net.head(nn.functional.avg_pool2d(x, 2).flatten(1))

    stem, body = (nn.Conv2d(n, 16, 3, padding=1, bias=False) for n in (1, 16))
    norms = {"one": nn.BatchNorm2d(16), "two": nn.BatchNorm2d(16)}
    model = Computes(forward, stem=stem, body=body, head=nn.Linear(256, 10), **norms)
    network = wb.finetune(wb.Network(model, (1, 8, 8)), data, epochs=3, learning_rate=0.05)
    small = decomposed(network, {"body": (6, 6)})
    fitted = wb.calibrate(small, data.train.images[:64])
    for start, stay in ((small, False), (fitted, True)):
        tuned = wb.finetune(start, few(data, 320), epochs=1, learning_rate=1e-3)
        before, after = (n.model.state_dict() for n in (start, tuned))
        assert torch.equal(after["two.running_var"], before["two.running_var"]) == stay
        assert not torch.equal(after["two.weight"], before["two.weight"])
    assert tuned.history[0].validation.top1 >= wb.score(fitted, data.validation).top1 - 0.03


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be a whole number of at least 1, not 0"),
        ({"shift": -1}, ValueError, "shift must be a whole number of at least 0"),
        ({"schedule": "linear"}, ValueError, "schedule is one of 'step', 'cosine', not 'linear'"),
        ({"temperature": 0}, ValueError, "temperature must be a number above 0"),
        ({"clip_norm": -1}, ValueError, "clip_norm must be a number of at least 0"),
        ({"optimizer": "nesterov", "momentum": 0}, ValueError, "nesterov cannot have the momentum 0"),
        ({"label_weight": 1.5}, ValueError, "label_weight is a share"),
        ({"warmup": 2}, ValueError, "warmup must be shorter than the 2 epochs"),
        ({"epoch": 2}, TypeError, "no setting epoch; it has epochs"),
        ({"epochs": 1, "flip": "False"}, ValueError, "flip is one of False, True, not 'False'"),
        ({"recipe": wb.Recipe(epochs=2), "epoch": 2}, TypeError, "no setting epoch; it has epochs"),
        ({"epochs": 1, "learning_rate": 1e30}, ValueError, "training diverged in epoch 1"),
    ],
)
def test_settings_that_make_no_sense(small, data, settings, error, message):
    with pytest.raises(error, match=message):
        wb.finetune(small, few(data), **{"epochs": 2, **settings})


def test_a_teacher_without_any_labels(network, small, data):
    unlabelled = replace(data, train=wb.Split.unlabelled(data.train.images[:400], "train"))
    start = wb.score(small, data.validation)
    tuned = wb.finetune(small, unlabelled, epochs=2)  # the original is the teacher
    assert tuned.history[-1].validation.top1 > start.top1 + 0.1
    other = wb.finetune(small, unlabelled, epochs=2, teacher=network)
    assert same(tuned.model.state_dict(), other.model.state_dict())


def test_other_validation_images(small, data):
    unlabelled = wb.Split.unlabelled(data.validation.images, "validation")
    tuned = wb.finetune(small, replace(few(data), validation=unlabelled), epochs=1)  # compared with the teacher
    assert tuned.history[0].validation.top1 == wb.compare(tuned, data.validation).agreement
    empty = wb.Split(data.test.images[:0], data.test.labels[:0], "validation")
    tuned = wb.finetune(small, replace(few(data), validation=empty), epochs=1)
    assert tuned.history[0].validation.n == 10  # a tenth, without the half that judges
    images, labels = few(data, 100).train.images, few(data, 100).train.labels
    tuned = wb.finetune(small, (images, labels), epochs=1)
    assert tuned.history[0].validation.n == 10  # a tenth of all


def test_data_and_networks_that_do_not_fit(network, small, data):
    images, some = data.train.images, few(data)
    other = wb.Network(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), (1, 8, 8), name="other")
    conv, head = nn.Conv2d(1, 8, 3), nn.Linear(8, 10)
    model = Computes(lambda net, x: {"logits": net.head(net.conv(x).mean((2, 3)))}, conv=conv, head=head)
    named = wb.Network(model, (1, 8, 8))
    wrong = wb.Split(images[:40], torch.full((40,), 10), "train")
    for subject, given, teacher, message in (
        (small, replace(data, train=wrong), None, "class 10, but the network has outputs 0 to 9"),
        (network, replace(data, train=wb.Split.unlabelled(images)), None, "images without a label: give a teacher"),
        (small, replace(data, train=wb.Split.unlabelled(images[:0])), None, "has no training images"),
        (small, some, other, "the teacher other has 3 classes, digits_vgg has 10"),
        (small, some, named, "this network returned a dict"),
        (decomposed(named, {}), images[:32], None, "this network returned a dict"),
        (wb.Network(model, example={"x": images[:2]}), some, None, "distill it instead"),
    ):
        with pytest.raises(ValueError, match=message):
            wb.finetune(subject, given, epochs=1, teacher=teacher)


def test_a_last_batch_of_one_image_has_no_statistics_of_its_own(data):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 10))
    assert wb.finetune(wb.Network(model, (1, 8, 8)), few(data, 33), epochs=1, batch_size=16).history


def test_batches_of_one_image_have_statistics_if_all_are(data):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))
    tuned = wb.finetune(wb.Network(model, (1, 8, 8)), few(data, 8), epochs=1, batch_size=1)
    assert tuned.model[1].num_batches_tracked or not tuned.history


LOGITS = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(0))
MINE, THEIRS = LOGITS[0], LOGITS[1]
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])


def test_divergence_by_its_definition():
    p, q = ((z.double() / 3).softmax(1) for z in (THEIRS, MINE))
    expected = 9 * (p * (p / q).log()).sum(1)
    assert torch.allclose(distillation_losses(MINE, THEIRS, 3.0).double(), expected, rtol=1e-5)


def test_its_gradient_does_not_shrink_with_the_temperature():
    # in the limit it is the squared distance of the centred logits (Hinton et al., 2015, eq. 4)
    centred = (MINE - MINE.mean(1, keepdim=True)) - (THEIRS - THEIRS.mean(1, keepdim=True))
    for temperature in (50.0, 100.0):
        logits = MINE.double().requires_grad_(True)
        distillation_losses(logits, THEIRS.double(), temperature).sum().backward()
        assert torch.allclose(logits.grad.float(), centred / 4, atol=0.03)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_a_mixture_with_a_teacher_and_images_without_a_label(weight):
    labels = torch.where(torch.arange(6) < 3, LABELS, UNLABELLED)
    recipe = wb.Recipe(epochs=1, temperature=2, label_weight=weight)
    found = losses(MINE, labels, THEIRS, recipe)
    answers, apart = cross_entropy(MINE, LABELS, reduction="none"), distillation_losses(MINE, THEIRS, 2)
    assert torch.allclose(found[:3], weight * answers[:3] + (1 - weight) * apart[:3])
    assert torch.allclose(found[3:], apart[3:])
    assert torch.allclose(losses(MINE, LABELS, None, recipe), answers)


def test_a_network_that_ends_in_softmax_has_the_losses_of_its_logits():
    recipe = wb.Recipe(epochs=1)
    shares = MINE.softmax(1), THEIRS.softmax(1)
    assert torch.allclose(losses(shares[0], LABELS, None, recipe), losses(MINE, LABELS, None, recipe), rtol=1e-5)
    found, expected = (distillation_losses(*pair, 3.0) for pair in (shares, (MINE, THEIRS)))
    assert torch.allclose(found, expected.to(found.dtype), rtol=1e-4)


def moved(image, flip, up, left):
    """The oracle: one image mirrored, then shifted by slices."""
    image = image.flip(-1) if flip else image
    out = torch.zeros_like(image)
    ys, xs = (slice(max(0, -d), n - max(0, d)) for d, n in zip((up, left), image.shape[-2:], strict=True))
    yd, xd = (slice(max(0, d), n - max(0, -d)) for d, n in zip((up, left), image.shape[-2:], strict=True))
    out[..., yd, xd] = image[..., ys, xs]
    return out


def test_every_augmented_image_is_a_shift_of_it_or_its_mirror_and_all_of_them_occur(generator):
    image = torch.randint(1, 255, (2, 5, 6), generator=generator, dtype=torch.uint8)
    many = augment(image.expand(400, -1, -1, -1), flip=True, shift=1)
    assert many.dtype == torch.uint8
    choices = [moved(image, f, u, v) for f in (False, True) for u in (-1, 0, 1) for v in (-1, 0, 1)]
    found = [next(i for i, choice in enumerate(choices) if torch.equal(choice, one)) for one in many]
    assert set(found) == set(range(18))


def test_a_cosine_after_a_warm_up():
    recipe = Recipe(epochs=10, schedule="cosine", warmup=2, learning_rate=0.4)
    rates = [recipe.rate(step, 5) for step in range(50)]
    assert rates[:10] == pytest.approx([0.04 * (i + 1) for i in range(10)])
    for step in range(10, 50):
        assert rates[step] == pytest.approx(0.2 * (1 + math.cos(math.pi * (step - 10) / 40)))
    assert rates[30] == pytest.approx(0.2)
    assert 0 < rates[-1] < 0.01


def test_from_scratch_has_the_same_architecture_and_nothing_of_what_was_learned(small):
    before = copy.deepcopy(small.model.state_dict())
    fresh, again, other = (wb.from_scratch(small, seed=seed) for seed in (1, 1, 2))
    assert fresh.plan is small.plan
    assert fresh.random_weights
    assert same(small.model.state_dict(), before)
    assert same(fresh.model.state_dict(), again.model.state_dict())
    for key, value in fresh.model.state_dict().items():
        if value.ndim > 1:
            assert not torch.equal(value, before[key])
            assert not torch.equal(value, other.model.state_dict()[key])
        elif value.ndim and "running_var" not in key:
            assert torch.equal(value, torch.full_like(value, float(key.endswith("weight"))))


def test_gaussian_of_the_variance_that_keeps_the_signal(small, generator):
    fresh = wb.from_scratch(small)
    for name, weight in fresh.model.named_parameters():
        if weight.numel() >= 4000:
            std = math.sqrt((1 if name.split(".")[-2] in ("factor_in", "core") else 2) / math.prod(weight.shape[1:]))
            assert float(weight.detach().std()) == pytest.approx(std, rel=0.05)
    out = fresh.model(torch.randn(64, 1, 8, 8, generator=generator))
    assert 0.1 < float(out.detach().std()) < 10


def test_a_module_without_an_initialisation_is_named():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.PReLU())
    with pytest.raises(ValueError, match="1 is a PReLU, which has no Gaussian initialisation"):
        wb.from_scratch(wb.Network(model, input_shape=(1, 8, 8)))
