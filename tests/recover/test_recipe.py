import math

import pytest
import torch

from workbench.recover.recipe import Recipe


def test_without_changes_it_is_the_papers():
    recipe = Recipe(epochs=12)
    rates = [recipe.rate(step, 10) for step in range(120)]
    assert rates[:50] == [1e-3] * 50
    assert rates[50:100] == pytest.approx([1e-4] * 50)
    assert rates[100:] == pytest.approx([1e-5] * 20)
    optimizer = recipe.optimizer_for([torch.nn.Parameter(torch.zeros(1))])
    assert type(optimizer) is torch.optim.SGD
    assert (optimizer.defaults["momentum"], optimizer.defaults["nesterov"]) == (0.9, False)


def test_a_cosine_after_a_warm_up():
    recipe = Recipe(epochs=10, schedule="cosine", warmup=2, learning_rate=0.4)
    rates = [recipe.rate(step, 5) for step in range(50)]
    assert rates[:10] == pytest.approx([0.04 * (i + 1) for i in range(10)])
    for step in range(10, 50):
        assert rates[step] == pytest.approx(0.2 * (1 + math.cos(math.pi * (step - 10) / 40)))
    assert rates[30] == pytest.approx(0.2)
    assert 0 < rates[-1] < 0.01


def test_the_modern_one_can_be_changed_and_goes_through_json():
    recipe = Recipe.modern(40, learning_rate=0.1, flip=True)
    assert recipe.optimizer_for([torch.nn.Parameter(torch.zeros(1))]).defaults["nesterov"]
    assert (recipe.epochs, recipe.learning_rate, recipe.warmup, recipe.schedule) == (40, 0.1, 2, "cosine")
    assert Recipe.of(**recipe.to_dict()) == recipe


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "linear"}, "schedule is one of 'step', 'cosine', not 'linear'"),
        ({"optimizer": "lion"}, "optimizer is one of"),
        ({"batch_norm": "none"}, "batch_norm is one of"),
        ({"temperature": 0}, "temperature must be a number above 0"),
        ({"weight_decay": -1}, "weight_decay must be"),
        ({"momentum": 1}, "cannot have the momentum 1"),
        ({"optimizer": "nesterov", "momentum": 0}, "nesterov cannot have the momentum 0"),
        ({"label_weight": 1.5}, "label_weight is a share"),
        ({"warmup": 2}, "warmup must be shorter than the 2 epochs"),
        ({"clip_norm": -1}, "clip_norm must be a number of at least 0"),
        ({"shift": -1}, "shift must be a whole number of at least 0"),
        ({"drop_every": 0}, "drop_every must be"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        Recipe(epochs=2, **settings)


def test_settings_that_there_are_not():
    with pytest.raises(TypeError, match="no setting learningrate; it has epochs, learning_rate"):
        Recipe.of(epochs=1, learningrate=1)
    with pytest.raises(TypeError, match="say for how long"):
        Recipe.of(learning_rate=1)
