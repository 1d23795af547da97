"""One convolution and the three in its place: the numbers."""

import pytest
from torch import nn

import workbench as wb
from workbench.inspect.factors import Factors, evbmf_ranks
from workbench.kernels.complexity import break_even, factorised_cost


def layer_of(module, *size):
    return wb.analyze(wb.Network(module, input_shape=size), cached=False).layers[0]


@pytest.fixture
def strided():
    return layer_of(nn.Conv2d(8, 12, 3, stride=2, padding=1), 8, 16, 16)


def test_the_numbers_are_the_plans(spectra, plan):
    part = plan["features.3"]
    shown = Factors.of(spectra["features.3"])
    assert (shown.rank_in, shown.rank_out) == (part.rank_in, part.rank_out) == (14, 16)
    assert shown.cost == part.cost
    assert shown.error == part.error
    assert sum(shown.shares("macs")) == pytest.approx(1 / part.macs_ratio)
    assert shown.compared("weights") == "18.5 k → 3.55 k (x5.21 fewer)"
    assert shown.verdict == "It pays. With rank_in = 14, any rank_out pays."


def test_a_layer_without_weights(strided):
    shown = Factors.of(strided)
    assert (shown.rank_in, shown.rank_out) == (4, 6)
    assert shown.error is None
    full = Factors.of(strided, 8, 12)
    assert not full.pays
    limit = int(break_even(strided.shape, rank_in=8))
    assert full.verdict == f"It does not pay. With rank_in = 8, rank_out may be at most {limit}."
    assert full.compared("macs").endswith(" more)")
    pointwise = layer_of(nn.Conv2d(8, 8, 1), 8, 4, 4)
    assert Factors.of(pointwise, 8, 1).verdict == "It does not pay. With rank_in = 8, no rank_out pays."
    for rank_out in range(1, 13):
        assert Factors.of(strided, 8, rank_out).pays == (rank_out <= limit)


def test_points_on_a_line_cost_that_much_less(strided):
    for ratio in (1, 2, 4):
        for rank_in, rank_out in Factors.of(strided).line(ratio):
            cost = factorised_cost(strided.shape, rank_in=int(rank_in), rank_out=int(rank_out))
            assert cost.weights <= strided.cost.weights / ratio
            assert cost.macs <= strided.cost.macs / ratio


def test_blocks_are_as_long_as_there_are_channels_and_as_tall_as_the_map(strided):
    s, t, s_again, r3, r4, t_again = Factors.of(strided, 2, 6).blocks
    assert [block.name for block in (s, t, r3, r4)] == ["S = 8", "T = 12", "rank_in = 2", "rank_out = 6"]
    assert (s.width, s.height) == (s_again.width, s_again.height)
    assert r3.width / s.width == pytest.approx(2 / 8)
    assert r4.width / t.width == pytest.approx(6 / 12)
    assert s.height == r3.height == 2 * r4.height == 2 * t_again.height


def test_what_does_not_fit(spectra, strided):
    for ranks, sentence in (((0, 3), "rank_in=0 does not fit, it can be 1 to 8"), ((3, 13), "rank_out=13")):
        with pytest.raises(ValueError, match=sentence):
            Factors.of(strided, *ranks)
    with pytest.raises(ValueError, match=r"layer classifier.2 is a matrix"):
        Factors.of(spectra["classifier.2"])
    with pytest.raises(ValueError, match="the layer has groups"):
        Factors.of(layer_of(nn.Conv2d(8, 8, 3, groups=2), 8, 6, 6))
    with pytest.raises(TypeError, match="one layer, like"):
        Factors.of(spectra)


def test_evbmfs_ranks(spectra):
    assert evbmf_ranks(spectra["features.3"]) == (14, 16)
    assert evbmf_ranks(spectra["features.0"]) is None  # one-sided
    noise = wb.analyze(wb.Network(nn.Conv2d(32, 64, 3), input_shape=(32, 8, 8)), cached=False)[""]
    assert evbmf_ranks(noise) is None
