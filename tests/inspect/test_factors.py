"""One convolution and the three in its place: the numbers."""

import pytest
from torch import nn

import workbench as wb
from workbench.inspect.factors import Factors
from workbench.kernels.complexity import break_even


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


def test_what_does_not_fit(spectra, strided):
    grouped = layer_of(nn.Conv2d(8, 8, 3, groups=2), 8, 6, 6)
    for subject, ranks, sentence in (
        (strided, (0, 3), "rank_in=0 does not fit, it can be 1 to 8"),
        (strided, (3, 13), "rank_out=13"),
        (spectra["classifier.2"], (), "layer classifier.2 is a matrix"),
        (grouped, (), "the layer has groups"),
    ):
        with pytest.raises(ValueError, match=sentence):
            Factors.of(subject, *ranks)
    with pytest.raises(TypeError, match="one layer, like"):
        Factors.of(spectra)
