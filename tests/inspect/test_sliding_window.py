"""A filter at one place of a picture: against PyTorch's convolution."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import pad

from workbench.inspect.sliding_window import SlidingWindow


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_size": 5, "padding": 2},
        {"kernel_size": (2, 3), "stride": (3, 2), "bias": False},
        {"kernel_size": 3, "padding": "same", "padding_mode": "circular"},
    ],
)
def test_each_place(settings, generator):
    torch.manual_seed(0)
    layer = nn.Conv2d(1, 4, **settings)
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    picture = torch.rand(1, 8, 11, generator=generator)
    wanted = layer(picture[None])[0, 2].detach()
    for position in range(wanted.numel()):
        shown = SlidingWindow.of(layer, picture, position, 2)
        made = (shown.window * shown.weights).sum() + shown.bias
        assert made == pytest.approx(float(wanted[shown.row, shown.column]), abs=1e-6)
        seen = shown.feature_map.flatten()
        assert np.allclose(seen[: position + 1], wanted.flatten()[: position + 1], atol=1e-6)
        assert np.isnan(seen[position + 1 :]).all()
        assert shown.max_output == pytest.approx(float(wanted.abs().max()), abs=1e-6)
    assert layer.weight.dtype == torch.float32
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())


def test_the_picture_has_its_padding(data):
    shown = SlidingWindow.of(nn.Conv2d(1, 2, 5, padding=2), data.test.images[0], 0, 0)
    assert np.allclose(shown.picture, pad(data.test.images[0], (2, 2, 2, 2))[0])
    assert (shown.top, shown.left) == (0, 0)


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 4, 3), nn.Conv2d(1, 4, 3, dilation=2)])
def test_what_cannot_be_shown(layer, data):
    with pytest.raises(ValueError, match="one input channel"):
        SlidingWindow.of(layer, data.test.images[0], 0, 0)


@pytest.mark.parametrize(
    ("position", "out_channel", "message"),
    [(36, 0, "places 0 to 35, not 36"), (0, 4, "filters 0 to 3, not 4"), (0, -1, "filters 0 to 3, not -1")],
)
def test_a_place_or_filter_outside(data, position, out_channel, message):
    with pytest.raises(ValueError, match=message):
        SlidingWindow.of(nn.Conv2d(1, 4, 3), data.test.images[0], position, out_channel)


def test_several_pictures(data):
    with pytest.raises(ValueError, match=r"\(1, height, width\), not \(2, 1, 8, 8\)"):
        SlidingWindow.of(nn.Conv2d(1, 4, 3), data.test.images[:2], 0, 0)
