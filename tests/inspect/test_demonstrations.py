"""A sliding filter against PyTorch's convolution; what a rank keeps against numpy, and at the ends."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, pad

from workbench.inspect.demonstrations import LowRankFilters, NoisyDigits, SlidingWindow


def test_filters_and_maps_at_a_rank(network, data):
    layer, picture = network.model.get_submodule("features.0"), data.test.images[0]
    kernel = layer.weight.detach()
    left, values, right = np.linalg.svd(kernel.reshape(32, 25).double().numpy(), full_matrices=False)
    shown = LowRankFilters.of(layer, picture, 3)
    low = (left[:, :3] * values[:3]) @ right[:3]
    assert shown.explained == pytest.approx(np.sum(values[:3] ** 2) / np.sum(values**2), rel=1e-5)
    assert (shown.weights, shown.dense_weights, shown.max_rank) == (3 * 25 + 32 * 3, 800, 25)
    filters = shown.strips["filters, rank 3"]
    assert np.allclose(filters[:, 6:11], low[1].reshape(5, 5), atol=6e-4)  # the second one; three digits are kept
    assert np.isnan(filters[:, 5]).all()
    maps = conv2d(picture[None], kernel, padding=2)[0]
    assert np.allclose(shown.strips["maps, original"][:, :8], maps[0], atol=6e-4)
    full = LowRankFilters.of(layer, picture, 25)
    assert full.maps_error < 1e-5
    assert full.explained == pytest.approx(1)


@pytest.mark.parametrize("options", [{"padding_mode": "reflect"}, {"padding_mode": "circular"}, {"stride": 2}])
def test_the_original_s_maps_are_the_layer_s(data, options):
    layer, picture = nn.Conv2d(1, 3, 3, padding=1, bias=False, **options), data.test.images[0]
    shown = LowRankFilters.of(layer, picture, 3).strips["maps, original"]
    assert np.allclose(shown[:, : shown.shape[0]], layer(picture[None])[0, 0].detach(), atol=6e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_and_a_picture_of_zeros(data, dtype):
    layer = nn.Conv2d(1, 8, 3, dtype=dtype)
    assert 0 < LowRankFilters.of(layer, data.test.images[0], 2).maps_error < 1
    assert LowRankFilters.of(layer, torch.zeros(1, 8, 8), 2).maps_error == 0


def test_several_input_channels_and_too_few_pictures(data):
    for n in (3, 64):
        with pytest.raises(ValueError, match=rf"^pictures of 64 pixels .* these are {n}$"):
            NoisyDigits.of(data.train.images[:n], 0.1)
    with pytest.raises(ValueError, match="the layer has 3"):
        LowRankFilters.of(nn.Conv2d(3, 4, 3), data.test.images[0], 1)


def test_noise_lifts_the_threshold_and_the_minimum_together(data):
    ranks, thresholds = [], []
    for noise in (0.1, 0.3, 1.2):
        shown = NoisyDigits.of(data.train.images[:540], noise)
        heights, energies = shown.free_energy_curve()
        assert heights[energies.argmin()] == pytest.approx(shown.evbmf.threshold, rel=0.01)
        assert energies.min() >= 0
        assert shown.errors[0] == pytest.approx(noise, rel=0.01)
        assert shown.errors[1] < shown.errors[0]
        ranks.append(shown.evbmf.rank)
        thresholds.append(shown.evbmf.threshold)
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[-1] == 0
    assert thresholds == sorted(thresholds)
    assert shown.pictures.shape == (4 * 9 - 1, 3 * 9 - 1)
    mean = data.train.images[:540].mean(0)[0]
    assert np.allclose(shown.pictures[:8, 18:], mean, atol=0.25)  # nothing but the mean picture, which has noise too


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
