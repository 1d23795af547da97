"""Two networks on one picture, against their own outputs."""

import numpy as np
import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import decomposed
from tests.helpers.sessions import batch_normed, state_of, tiny_data
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
            assert [answer.label for answer in answers] == order
            assert [answer.name for answer in answers] == ["abc"[label] for label in order]
            assert [answer.probability for answer in answers] == pytest.approx(
                [float(shares[label]) for label in order]
            )
            assert [answer.right for answer in answers] == [label == 1 for label in order]
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


def test_layers_without_maps(small, picture):
    assert preview(small, picture, layer="8").maps is None
    assert preview(small, picture).layer == ""


def test_what_has_no_answers(small, picture):
    with pytest.raises(ValueError, match="one picture"):
        preview(small, tiny_data().test)
    dense = wb.Network(nn.Conv2d(1, 4, 3), (1, 8, 8), "dense")
    same = wb.decompose(dense, wb.evbmf_plan(wb.analyze(dense, cached=False)))
    with pytest.raises(ValueError, match="for each class"):
        preview(same, picture)
