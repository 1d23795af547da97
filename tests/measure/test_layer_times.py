import json
from itertools import pairwise

import pytest
import torch

import workbench as wb
from tests.helpers.runners import FakeRunner, macs
from workbench.measure import exclusive, layer_timer
from workbench.measure.layer_times import fill_with_noise, measure_times, rank_grid
from workbench.plan.plan import LayerPlan
from workbench.recover.decompose import factors_for


@pytest.fixture
def counted(monkeypatch, own_cache):
    """A machine on which each convolution or linear layer takes a nanosecond for each MAC, and nothing else any."""
    calls = []

    def prepare(module, inputs, runtime, **settings):
        calls.append(module)
        return FakeRunner(1e-9 * macs(module, inputs))

    monkeypatch.setattr(layer_timer, "prepare", prepare)
    return calls


@pytest.mark.parametrize("channels", [1, 3, 16, 31, 32, 96, 512, 1000, 4096])
def test_grids_grow_to_all_channels(channels):
    found = rank_grid(channels)
    assert found[-1] == channels
    assert all(a < b for a, b in pairwise(found))
    assert all(r % 8 == 0 for r in found[:-1]) or channels < 32


def test_the_table_adds_up_to_the_macs(network, spectra, counted):
    times = measure_times(network, spectra)
    assert times.rest == pytest.approx(1e-9 * spectra.other.macs, abs=1e-12)
    assert times.dense == pytest.approx(1e-9 * spectra.total.macs)
    for ratio in (1.5, 2.5):
        plan = wb.budget_plan(spectra, ratio, min_rank=32)  # below the grid's first rank times do not fall
        assert times.of(plan) == pytest.approx(1e-9 * plan.macs, rel=1e-9)


def test_every_kind_of_layer(mixed, counted):
    spectra = wb.analyze(mixed, cached=False)
    times = measure_times(mixed, spectra)
    assert set(times.layers) == {s.layer.name for s in spectra}
    plan = wb.evbmf_plan(spectra, layers="all", strength=1e-3)
    assert times.of(plan) == pytest.approx(1e-9 * plan.macs, rel=1e-9)  # the layer called twice counts twice


def test_layers_of_one_geometry_share_their_measurements(counted):
    model = torch.nn.Sequential(*(torch.nn.Conv2d(16, 16, 3, padding=1) for _ in range(3)))
    network = wb.Network(model, (16, 5, 5), name="alike")
    times = measure_times(network, wb.analyze(network, cached=False))
    assert len(times.layers) == 3
    ranks = len(rank_grid(16))
    assert len(counted) == 2 + ranks * ranks + ranks  # whole, dense, Tucker-2's factors together, Tucker-1's


def test_from_the_cache_and_anew_where_it_is_damaged(network, spectra, counted, own_cache):
    first = measure_times(network, spectra)
    count = len(counted)
    assert measure_times(network, spectra).layers["features.3"].to_dict() == first.layers["features.3"].to_dict()
    assert len(counted) == count
    measure_times(network, spectra, batch=2)
    assert len(counted) > count
    for content in ("", "[]", "{}", json.dumps({"layers": {"a": {}}, "where": "", "rest": 0, "seconds": 0})):
        for file in own_cache.glob("times-*.json"):
            file.write_text(content)
        count = len(counted)
        assert measure_times(network, spectra).dense == pytest.approx(first.dense)
        assert len(counted) > count


def test_a_disturbed_table_says_so_and_is_not_kept(network, spectra, counted, own_cache, monkeypatch):
    monkeypatch.setattr(exclusive, "others_computing", lambda: True)
    times = measure_times(network, spectra)
    assert times.disturbed
    assert times.disturbed in str(times)
    assert not list(own_cache.glob("times-*.json"))
    monkeypatch.undo()


def test_on_the_clock(network, spectra, own_cache):
    told = []
    times = measure_times(network, spectra, progress=lambda share, name: told.append(share))
    assert times.dense > 0
    assert (times.layers["features.3"].two_sided > 0).all()
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert times.seconds < 120
    assert "PyTorch, batch 1, 1 thread" in times.where


def test_factors_are_filled_with_ordinary_numbers(network, spectra):
    plan = LayerPlan(spectra["features.3"].layer, "tucker2", 8, 8)
    factors = fill_with_noise(factors_for(network.model.get_submodule("features.3"), plan))
    for parameter in factors.parameters():
        assert torch.isfinite(parameter).all()
        assert 1e-3 < float(parameter.detach().std()) < 10
