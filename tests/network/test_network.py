import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import few, same


@pytest.mark.parametrize("shape", [(), (3, 0, 4), (3, 2.5, 4)])
def test_what_is_no_network(shape):
    with pytest.raises(ValueError, match="input_shape is the shape of one input"):
        wb.Network(nn.Flatten(), shape)
    with pytest.raises(TypeError, match=r"wraps a torch.nn.Module, not a str"):
        wb.Network("model", (3, 8, 8))


class Cached(nn.Module):
    """Keeps a tensor that its forward pass computes, as position grids and attention biases do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.weight = nn.Parameter(torch.randn(4, 8))
        self.index, self.kept = torch.arange(8), None

    def forward(self, x):
        if not self.training and self.kept is None:
            self.kept = self.weight[:, self.index]
        return self.conv(x).mean((2, 3)) @ self.kept.T


def everything_about(model):
    """Parameters, buffers, modes, hooks and attributes of a model."""
    modules = list(model.modules())
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in modules]
    about = [[m.training for m in modules], hooks, [sorted(vars(m)) for m in modules]]
    return {key: value.clone() for key, value in model.state_dict().items()}, about


def test_nothing_that_is_done_reaches_the_model_that_was_given(data):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    model[1].eval()  # the rest is left in train mode
    before = everything_about(model)
    network = wb.Network(model, (1, 8, 8))
    spectra = wb.analyze(network, cached=False)
    small = wb.decompose(network, wb.evbmf_plan(spectra).with_ranks("0", rank_out=4))
    images = data.train.images[:32]
    wb.importance(network, spectra, images)
    small = wb.distill(wb.calibrate(small, images), images, epochs=1)
    wb.score(wb.finetune(small, few(data, 32), epochs=1, teacher=network), data.test)
    state, about = everything_about(model)
    assert same(state, before[0])
    assert about == before[1]


def test_no_fake_tensor_stays_in_a_model_that_keeps_one(data):
    model = Cached().eval()
    network = wb.Network(model, (3, 8, 8), name="cached")
    spectra = wb.analyze(network, cached=False)
    x = torch.rand(16, 3, 8, 8)
    small = wb.calibrate(wb.decompose(network, wb.budget_plan(spectra, 1.0)), x)
    for one in (model, network.model, small.model):
        assert float(one(x).detach().sum()) == pytest.approx(float(model(x).detach().sum()), rel=1e-3)
    assert type(model.kept) is torch.Tensor
