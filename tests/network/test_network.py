import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import Caches, few
from tests.helpers.sessions import state_of


@pytest.mark.parametrize("shape", [(), (3, 0, 4), (3, 2.5, 4)])
def test_what_is_no_network(shape):
    with pytest.raises(ValueError, match="input_shape is the shape of one input"):
        wb.Network(nn.Flatten(), shape)
    with pytest.raises(TypeError, match=r"wraps a torch.nn.Module, not a str"):
        wb.Network("model", (3, 8, 8))


def test_nothing_that_is_done_reaches_the_model_that_was_given(data):
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    model[1].eval()  # the rest is left in train mode
    before = state_of(model)
    network = wb.Network(model, (1, 8, 8))
    spectra = wb.analyze(network, cached=False)
    small = wb.decompose(network, wb.evbmf_plan(spectra).with_ranks("0", rank_out=4))
    images = data.train.images[:32]
    wb.importance(network, spectra, images)
    small = wb.distill(wb.calibrate(small, images), images, epochs=1)
    wb.score(wb.finetune(small, few(data, 32), epochs=1, teacher=network), data.test)
    assert state_of(model) == before


def test_no_fake_tensor_stays_in_a_model_that_keeps_one(data):
    model = Caches().eval()
    network = wb.Network(model, (1, 8, 8), name="cached")
    spectra = wb.analyze(network, cached=False)
    x = data.train.images[:16]
    small = wb.calibrate(wb.decompose(network, wb.budget_plan(spectra, 1.0)), x)
    for one in (model, network.model, small.model):
        assert float(one(x).detach().sum()) == pytest.approx(float(model(x).detach().sum()), rel=1e-3)
    assert all(type(each.cache["scale"]) is torch.Tensor for each in (model, small.model))
