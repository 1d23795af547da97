import pytest
import torch

import workbench as wb
from workbench.inspect.rank_curve import sensitivity
from workbench.plan.plan import PlanError


def test_agreement_rises_with_the_rank(network, spectra, data):
    curve = sensitivity(network, data.validation, "features.10", spectra, shares=(0.02, 0.2, 1.0))
    assert [(p.rank_in, p.rank_out) for p in curve] == [(1, 3), (13, 26), (64, 128)]
    assert curve[0].agreement < curve[1].agreement <= curve[2].agreement == 100
    assert curve[0].macs_ratio > curve[1].macs_ratio > 1 > curve[2].macs_ratio
    spread = torch.arange(256) * 297 // 256
    whole = wb.accuracy(network, wb.Split(data.validation.images[spread], data.validation.labels[spread]))
    assert (curve[2].top1, curve[2].n) == (pytest.approx(whole.top1), 256)
    assert curve[2].interval == pytest.approx(whole.interval)


def test_a_matrix_has_one_rank(network, spectra, data):
    (point,) = sensitivity(network, data.validation, "classifier.2", spectra, shares=(0.5,), sample=20)
    assert (point.rank_in, point.rank_out) == (None, 5)


def test_cancel_and_progress(network, spectra, data):
    shares = []
    curve = sensitivity(
        network,
        data.validation,
        "features.3",
        spectra,
        sample=10,
        progress=lambda share, name: shares.append(share),
        cancelled=lambda: len(shares) > 2,
    )
    assert len(curve) == 2
    assert shares[-1] == 1


def test_what_cannot_be_asked(network, spectra, data, mixed):
    with pytest.raises(KeyError, match="'nothing' is no layer of digits_vgg"):
        sensitivity(network, data.validation, "nothing", spectra)
    with pytest.raises(ValueError, match=r"at most 1, not 1\.5"):
        sensitivity(network, data.validation, "features.3", spectra, shares=(0.5, 1.5))
    with pytest.raises(PlanError, match="depthwise cannot be factorised: a depthwise"):
        sensitivity(mixed, data.validation, "depthwise", wb.analyze(mixed, cached=False))
