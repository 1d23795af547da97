import json

import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import small
from tests.helpers.progress import Told
from tests.helpers.runners import FakeRunner, macs
from workbench.measure import exclusive
from workbench.measure import layer_times as module
from workbench.measure.layer_times import measure_times, program_seconds, rank_grid
from workbench.network.network import copy_model


@pytest.fixture
def counted(monkeypatch, own_cache):
    """A machine that takes a nanosecond for each MAC."""
    calls = []

    def prepare(module, inputs, runtime, **settings):
        calls.append(module)
        return FakeRunner(1e-9 * macs(module, inputs))

    monkeypatch.setattr(module, "prepare", prepare)
    return calls


def test_disturbed_runs_do_not_count(monkeypatch):
    values = iter([5.0, *[0.02, 0.01, 0.01, 0.01, 9.0] * 30])
    monkeypatch.setattr(module, "prepare", lambda *_, **__: FakeRunner(values))
    assert program_seconds(nn.Linear(2, 2), torch.zeros(1, 2)) <= 0.02


def test_the_table_adds_up_to_the_macs(network, spectra, mixed, counted):
    times = measure_times(network, spectra)
    assert times.other == pytest.approx(1e-9 * spectra.other.macs, abs=1e-12)
    assert times.dense == pytest.approx(1e-9 * spectra.total.macs)
    for ratio in (1.5, 2.5):
        plan = wb.budget_plan(spectra, ratio, min_rank=32)  # below the grid's first rank times do not fall
        assert times.of(plan) == pytest.approx(1e-9 * plan.macs, rel=1e-9)
    spectra = wb.analyze(mixed, cached=False)
    times = measure_times(mixed, spectra)
    assert set(times.layers) == {s.layer.name for s in spectra}
    plan = wb.evbmf_plan(spectra, layers="all", strength=1e-3)
    assert times.of(plan) == pytest.approx(1e-9 * plan.macs, rel=1e-9)  # the layer called twice counts twice


def test_layers_of_one_geometry_share_their_measurements(counted):
    model = nn.Sequential(*(nn.Conv2d(16, 16, 3, padding=1) for _ in range(3)))
    network = wb.Network(model, (16, 5, 5), name="alike")
    times = measure_times(network, wb.analyze(network, cached=False))
    assert len(times.layers) == 3
    ranks = len(rank_grid(16))
    assert len(counted) == 2 + ranks * ranks + ranks  # whole, dense, Tucker-2's factors together, Tucker-1's


def test_from_the_cache_and_anew_where_it_is_damaged(counted, own_cache):
    network, told = small(), Told()
    spectra = wb.analyze(network)
    first = measure_times(network, spectra, progress=told)
    assert told[-1][0] == 1.0
    assert "PyTorch, batch 1, 1 thread" in first.where
    count = len(counted)
    assert measure_times(network, spectra).layers["2"].to_dict() == first.layers["2"].to_dict()
    assert len(counted) == count
    for content in ("[]", json.dumps({"layers": {"a": {}}, "where": "", "other": 0, "seconds": 0})):
        for file in own_cache.glob("times-*.json"):
            file.write_text(content)
        assert measure_times(network, spectra).dense == pytest.approx(first.dense)
        assert len(counted) > count
        count = len(counted)
    measure_times(network, spectra, batch=2)
    assert len(counted) > count
    count = len(counted)
    measure_times(network.with_model(copy_model(network.model).double()), spectra)
    assert len(counted) > count


def test_a_disturbed_table_says_so_and_is_not_kept(network, spectra, counted, own_cache, monkeypatch):
    monkeypatch.setattr(exclusive, "others_computing", lambda: True)
    times = measure_times(network, spectra)
    assert times.disturbed
    assert times.disturbed in str(times)
    assert not list(own_cache.glob("times-*.json"))
