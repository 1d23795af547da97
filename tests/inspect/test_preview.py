"""Two networks on one picture, against their own outputs."""

import numpy as np
import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import decomposed
from tests.helpers.sessions import batch_normed, state_of, tiny_data
from workbench.inspect import comparison
from workbench.inspect.preview import preview


@pytest.fixture(scope="module")
def small():
    network = wb.Network(batch_normed(), (1, 8, 8), "tiny", classes=("a", "b", "c"))
    return decomposed(network, {"3": (2, 3)})


@pytest.fixture
def picture():
    split = tiny_data().test
    return wb.Split(split.images[4:5], split.labels[4:5], "one")


def test_answers_noise_and_maps_are_those_of_the_networks(small, picture):
    before = state_of(small.model), state_of(small.original.model)
    shown = preview(small, picture, layer="3")
    assert before == (state_of(small.model), state_of(small.original.model))
    with torch.inference_mode():
        for network, answers in ((small.original, shown.original), (small, shown.compressed)):
            shares = network.model(picture.images)[0].double().softmax(0)
            order = shares.argsort(descending=True)[:2].tolist()
            found = [(answer.label, answer.name, answer.right) for answer in answers]
            assert found == [(label, "abc"[label], label == 1) for label in order]
            assert [answer.probability for answer in answers] == pytest.approx(shares[order].tolist())
        maps = [network.model[:4](picture.images)[0].double() for network in (small.original, small)]
    assert (shown.name, shown.changed) == ("b", shown.original[0].label != shown.compressed[0].label)
    noise = next(part.snr_db for part in shown.comparison.layers if part.name == "3")
    power, missed = maps[0].square().sum(), (maps[0] - maps[1]).square().sum()
    assert noise == pytest.approx(float(10 * torch.log10(power / missed)), abs=1e-4)
    strongest = maps[0].square().sum((1, 2)).argsort(descending=True)[:8].sort().values
    scale = torch.stack(maps)[:, strongest].abs().amax((0, 2, 3))[:, None, None]
    for pictures, values in zip(shown.maps, maps, strict=True):
        expected = (255 * (values[strongest] / (2 * scale) + 0.5)).numpy()
        assert np.abs(pictures[..., 0] - expected).max() <= 0.5 + 1e-6


def compressed(model, shape, layer="0") -> wb.CompressedNetwork:
    return decomposed(wb.Network(model, shape, "net"), {layer: (None, 2)})


def one(shape) -> wb.Split:
    generator = torch.Generator().manual_seed(0)
    return wb.Split(torch.rand(1, *shape, generator=generator), torch.tensor([1]), "one")


def classifier(conv, *, features, classes=3) -> nn.Module:
    """A network whose outputs are probabilities."""
    return nn.Sequential(conv, nn.Flatten(), nn.Linear(features, classes), nn.Softmax(1))


def test_a_layer_without_maps_and_several_pictures(small, picture):
    assert preview(small, picture, layer="8").maps is None
    with pytest.raises(ValueError, match="one picture"):
        preview(small, tiny_data().test)


@pytest.mark.parametrize(
    ("model", "layer"), [(nn.Conv2d(1, 4, 3), ""), (classifier(nn.Conv2d(1, 4, 3), features=144, classes=1), "0")]
)
def test_outputs_that_are_no_classes_have_noise_but_no_answers(model, layer):
    small = compressed(model, (1, 8, 8), layer)
    shown = preview(small, one((1, 8, 8)))
    assert (shown.original, shown.compressed, shown.changed) == ((), (), False)
    assert shown.image.shape == (8, 8, 3)
    assert shown.comparison.snr_db == wb.compare(small, one((1, 8, 8))).snr_db


@pytest.mark.parametrize(
    ("conv", "shape", "features"), [(nn.Conv1d(2, 8, 3), (2, 8), 48), (nn.Conv3d(1, 8, 3), (1, 4, 4, 4), 64)]
)
def test_inputs_that_are_no_pictures_have_answers_and_noise(conv, shape, features):
    small, inputs = compressed(classifier(conv, features=features), shape), one(shape)
    shown = preview(small, inputs, layer="0")
    assert (shown.image, shown.maps) == (None, None)
    with torch.inference_mode():
        wanted = small.model(inputs.images)[0]
    assert shown.compressed[0].probability == pytest.approx(float(wanted.max()))
    assert ("0", shown.snr_db) in [(part.name, part.snr_db) for part in wb.compare(small, inputs).layers]


def test_each_network_is_copied_and_run_once(small, picture, monkeypatch):
    ran, copied = [], []
    run, copy_model = wb.Network.run, comparison.copy_model
    monkeypatch.setattr(wb.Network, "run", lambda self, inputs: ran.append(self.name) or run(self, inputs))
    monkeypatch.setattr(comparison, "copy_model", lambda model: copied.append(model) or copy_model(model))
    preview(small, picture, layer="3")
    assert (len(ran), copied) == (2, [small.original.model, small.model])
