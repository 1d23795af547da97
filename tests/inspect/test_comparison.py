"""Comparisons of a compressed network with its original, against closed forms."""

import math

import pytest
import torch
from scipy.stats import binomtest
from torch import nn

import workbench as wb
from tests.helpers.networks import Computes, compressed_of, listed, numbered
from workbench.network.verdict import judge_agreement


@pytest.fixture
def compared(plan):
    """Compare networks that give these outputs."""

    def compare(wanted, made):
        return wb.compare(compressed_of(plan, listed(*wanted), listed(*made)), numbered(len(wanted[0])))

    return compare


def test_answers_and_probabilities_by_their_definitions(compared, generator):
    wanted, made = torch.randn(2, 40, 10, dtype=torch.float64, generator=generator)
    found = compared([wanted], [made])
    same = wanted.argmax(1) == made.argmax(1)
    among = (made.topk(5).indices == wanted.argmax(1)[:, None]).any(1)
    assert found.n == 40
    for share, interval, wins in (
        (found.agreement, found.interval, int(same.sum())),
        (found.agreement_top5, found.top5_interval, int(among.sum())),
    ):
        assert share == pytest.approx(wins / 40)
        assert interval == pytest.approx(tuple(binomtest(wins, 40).proportion_ci(0.95, "wilson")), abs=1e-12)
    p, q = wanted.softmax(1), made.softmax(1)
    assert found.divergence == pytest.approx(float((p * (p / q).log()).sum(1).mean()))
    power, error = wanted.square().sum(), (made - wanted).square().sum()
    assert found.snr_db == pytest.approx(10 * math.log10(power / error))
    assert found.verdict(max_drop=2) == judge_agreement(found.agreement, 40, max_drop=2)
    assert math.isnan(found.mean_iou)
    assert ["verdict", str(found.verdict())] in found.rows


def test_the_mean_intersection_over_union_of_dense_classes(compared, generator):
    wanted, made = torch.randn(2, 300, 4, 3, 5, generator=generator)  # two batches
    made[:, 3] = wanted[:, 3] = -9.0  # a class that no network gives does not count
    found = compared([wanted], [made])
    first, second = wanted.argmax(1), made.argmax(1)
    ious = [float(((first == c) & (second == c)).sum() / ((first == c) | (second == c)).sum()) for c in range(3)]
    assert found.mean_iou == pytest.approx(sum(ious) / 3)
    assert found.agreement == pytest.approx(float((first == second).double().mean()))
    assert compared([wanted], [wanted]).mean_iou == 1


def test_outputs_are_compared_worst_first(compared):
    one, two = torch.ones(5, 3, 2), torch.full((5, 3), 2.0)
    found = compared([one, two], [1.01 * one, 1.1 * two])
    assert [(part.name, round(part.snr_db, 2)) for part in found.outputs] == [("1", 20.0), ("0", 40.0)]
    snr = 10 * math.log10(2 / (0.01**2 + 0.1**2))  # relative to each one's power
    assert found.snr_db == pytest.approx(snr, abs=1e-3)
    assert math.isnan(found.agreement)
    assert (found.interval, found.verdict()) == ((0, 1), None)
    assert [row[0] for row in found.rows] == ["signal-to-noise ratio of the outputs", "output 1", "output 0"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_outputs_that_are_no_numbers_are_as_bad_as_can_be(compared, value):
    found = compared([torch.ones(5, 3)], [torch.full((5, 3), value)])
    assert math.isnan(found.divergence)
    assert found.snr_db == found.outputs[0].snr_db == -200


def in_place(net, x):
    """Works in place on its input."""
    x -= 0.5
    return net.conv(x).mean((2, 3))


@pytest.mark.parametrize("structured", [False, True])
def test_a_network_that_works_in_place_changes_nothing_that_was_given(structured, generator):
    x = torch.rand(4, 1, 6, 6, generator=generator)
    given, before = {"x": x} if structured else x, x.clone()
    network = wb.Network(Computes(in_place, conv=nn.Conv2d(1, 4, 3)), example=given)
    spectra = wb.analyze(network, cached=False)
    wb.importance(network, spectra, given)
    kept = wb.decompose(network, wb.evbmf_plan(spectra, layers=[]))
    assert wb.compare(kept, given).snr_db == 200
    assert wb.compare(wb.calibrate(kept, given), given).snr_db > 80
    assert torch.equal(x, before)


def test_a_network_without_an_original_cannot_be_compared(network, data):
    with pytest.raises(ValueError, match="digits_vgg was not compressed"):
        wb.compare(network, data.test)
