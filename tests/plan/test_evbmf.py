from itertools import pairwise

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.plan.evbmf import scaled_rank


def test_the_papers_plan(plan, spectra):
    decisions = {part.name: part.decision for part in plan}
    assert decisions["features.0"] == decisions["classifier.2"] == "tucker1"
    assert {decisions[n] for n in ("features.3", "features.10", "classifier.0")} == {"tucker2"}
    for part in plan:
        assert part.rank_out == spectra[part.name].out.rank
    assert plan.macs_ratio > 3


def low_rank_conv(in_channels, out_channels, rank_in, rank_out, size=3, stride=1):
    conv = nn.Conv2d(in_channels, out_channels, size, stride=stride, bias=False)
    core = torch.randn(rank_out, rank_in, size, size)
    out, in_ = torch.randn(out_channels, rank_out), torch.randn(in_channels, rank_in)
    kernel = torch.einsum("abij,ta,sb->tsij", core, out, in_)
    with torch.no_grad():
        conv.weight.copy_(kernel / kernel.std() + 0.01 * torch.randn(kernel.shape))
    return conv


def one_layer_plan(conv, **options):
    network = wb.Network(nn.Sequential(conv), (conv.in_channels, 12, 12), name="one")
    return wb.evbmf_plan(wb.analyze(network), **options)["0"]


def test_a_layer_that_would_not_get_smaller_is_kept():
    part = one_layer_plan(low_rank_conv(12, 14, 10, 11, stride=2))
    assert part.reason.startswith("kept: Tucker-2 at EVBMF ranks (10, 11) would cost 1.")
    assert (part.decision, part.cost) == ("keep", part.layer.cost)


def test_what_was_planted_in_a_layer_is_planned():
    part = one_layer_plan(low_rank_conv(24, 40, 5, 7))
    assert (part.decision, part.rank_in, part.rank_out) == ("tucker2", 5, 7)
    assert part.error < 0.02
    pointwise = low_rank_conv(64, 64, 5, 5, size=1)
    assert one_layer_plan(pointwise).reason == "kept: 1x1 convolutions are factors already"
    part = one_layer_plan(pointwise, layers="all")
    assert (part.decision, part.rank_out) == ("tucker1", 5)


def test_chosen_layers_only(spectra):
    plan = wb.evbmf_plan(spectra, layers="spatial")
    assert plan.policy == "EVBMF, spatial convolutions only"
    assert {p.name for p in plan if p.decision == "keep"} == {"classifier.0", "classifier.2"}
    plan = wb.evbmf_plan(spectra, layers=["features.7"])
    assert [part.name for part in plan if part.decision != "keep"] == ["features.7"]
    assert plan["features.3"].reason == "kept: not among the chosen layers"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": "some"}, "not 'some'"),
        ({"layers": ["features.3", "nothing"]}, "has no layer 'nothing'"),
        ({"strength": -1}, "the strength must be a number of at least 0"),
        ({"strength": float("nan")}, "the strength must be a number of at least 0"),
    ],
)
def test_settings_that_make_no_sense(spectra, settings, message):
    with pytest.raises(ValueError, match=message):
        wb.evbmf_plan(spectra, **settings)


def test_strength_scales_the_threshold(spectra):
    two_sided = [s for s in spectra if s.in_ is not None]

    def ranks(strength):
        found = wb.evbmf_plan(spectra, strength=strength)
        assert ("strength" in found.policy) == (strength != 1)
        modes = [(one, full) for s in two_sided for one, full in zip((s.in_, s.out), s.layer.max_ranks, strict=True)]
        return [scaled_rank(one, strength, full) for one, full in modes]

    tables = [ranks(strength) for strength in (0, 0.3, 0.8, 1, 1.001, 1.5, 4, 1e6)]
    assert all(a >= b for one, two in pairwise(tables) for a, b in zip(one, two, strict=True))
    assert tables[0] == [rank for s in two_sided for rank in s.layer.max_ranks]
    assert set(tables[-1]) == {0}
    assert wb.evbmf_plan(spectra, strength=0).macs_ratio == 1
    hard = wb.evbmf_plan(spectra, strength=1e6)
    assert {part.decision for part in hard} == {"keep"}
    assert hard["features.3"].reason.endswith("(rank 0) at strength 1e+06")
