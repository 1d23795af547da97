"""Computed weights become plain ones in the copy, and the model of the user stays as it was."""

import copy

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.network.folding import unwrap


class Standardised(nn.Conv2d):
    """A convolution whose weight is standardised in each run, as in timm."""

    def forward(self, x):
        flat = self.weight.flatten(1)
        weight = ((flat - flat.mean(1, keepdim=True)) / flat.std(1, keepdim=True)).reshape_as(self.weight)
        return nn.functional.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


def standardised(conv):
    made = Standardised(conv.in_channels, conv.out_channels, conv.kernel_size, padding=conv.padding)
    made.load_state_dict(conv.state_dict())
    return made


WRAPS = {
    "weight_norm": nn.utils.parametrizations.weight_norm,
    "old weight_norm": nn.utils.weight_norm,
    "spectral_norm": nn.utils.parametrizations.spectral_norm,
    "old spectral_norm": nn.utils.spectral_norm,
    "pruned": lambda conv: nn.utils.prune.l1_unstructured(conv, "weight", 0.3),
    "standardised": standardised,
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
@pytest.mark.parametrize("after_backward", [False, True])
def test_weights_are_folded_in_the_copy(wrap, after_backward):
    model = nn.Sequential(wrap(nn.Conv2d(3, 16, 3, padding=1)), nn.ReLU(), wrap(nn.Conv2d(16, 16, 3, padding=1)))
    if after_backward:
        model(torch.rand(1, 3, 8, 8)).sum().backward()
    model.eval()
    x = torch.rand(2, 3, 8, 8)
    wanted, state = model(x).detach(), copy.deepcopy(dict(model.state_dict()))
    network = wb.Network(model, input_shape=(3, 8, 8))
    torch.testing.assert_close(network.model(x), wanted, rtol=1e-5, atol=1e-5)
    small = wb.decompose(network, wb.budget_plan(wb.analyze(network, cached=False), macs_ratio=1.3))
    assert small.plan.macs_ratio >= 1.3
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    torch.testing.assert_close(model(x).detach(), wanted, rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.compile's own import
def test_wrappers_are_taken_off():
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    assert unwrap(torch.compile(nn.DataParallel(model))) is model


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda m: torch.jit.script(m), TypeError, "TorchScript"),
        (lambda m: m.to("meta"), ValueError, "its layer 0 is on the meta device"),
        (lambda m: nn.Sequential(nn.LazyConv2d(8, 3)), ValueError, "lazy layers"),
        (lambda m: torch.ao.quantization.quantize_dynamic(m, {nn.Linear}), ValueError, "quantised already"),
    ],
)
def test_what_cannot_be_worked_on_is_said(make, kind, message):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2))
    with pytest.raises(kind, match=message):
        wb.Network(make(model), input_shape=(3, 8, 8))
