import pytest
import torch

import workbench as wb
from workbench.plan.plan import PlanError


def test_agreement_rises_with_the_rank(network, spectra, data):
    curve = wb.rank_curve(network, data.validation, "features.10", spectra, shares=(0.02, 0.2, 1.0))
    assert [(p.rank_in, p.rank_out) for p in curve] == [(1, 3), (13, 26), (64, 128)]
    low, middle, full = (p.agreement.top1 for p in curve)
    assert low < middle <= full == 1
    assert curve[0].macs_ratio > curve[1].macs_ratio > 1 > curve[2].macs_ratio
    spread = torch.arange(256) * 297 // 256
    images, labels = data.validation.images[spread], data.validation.labels[spread]
    assert curve[2].accuracy == wb.score(network, wb.Split(images, labels))
    assert curve[2].agreement.kind == "agreement"


def test_a_matrix_has_one_rank_and_labels_are_not_needed(network, spectra, data):
    images = wb.Split.unlabelled(data.validation.images)
    (point,) = wb.rank_curve(network, images, "classifier.2", spectra, shares=(0.5,), sample=20)
    assert (point.rank_in, point.rank_out, point.accuracy) == (None, 5, None)
    assert point.agreement.n == 20


def test_cancelled_it_returns_the_points_so_far(network, spectra, data):
    shares = []

    def report(share, note):
        shares.append(share)
        if len(shares) > 2:
            raise wb.Cancelled

    curve = wb.rank_curve(network, data.validation, "features.3", spectra, sample=10, progress=report)
    assert len(curve) == 2
    assert shares == pytest.approx([0, 1 / 7, 2 / 7])


def test_what_cannot_be_asked(network, spectra, data, mixed):
    with pytest.raises(KeyError, match="'nothing' is no layer of digits_vgg"):
        wb.rank_curve(network, data.validation, "nothing", spectra)
    with pytest.raises(ValueError, match=r"at most 1, not 1\.5"):
        wb.rank_curve(network, data.validation, "features.3", spectra, shares=(0.5, 1.5))
    with pytest.raises(PlanError, match="depthwise cannot be factorised: a depthwise"):
        wb.rank_curve(mixed, data.validation, "depthwise", wb.analyze(mixed, cached=False))
