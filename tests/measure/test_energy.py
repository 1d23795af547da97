import json
import re

import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.progress import Told
from tests.helpers.zeus import install
from workbench.measure import energy as module
from workbench.measure.energy import Energy, estimate, find_meter

JOULES = re.compile(r"\d\s?[GMkmµnp]?J\b")


def test_what_a_window_adds_up(monkeypatch):
    install(monkeypatch, gpus=1, cpus=("package-0", "psys"))
    now = iter([0.0, 1.0, 2.0, 3.0, 3.0])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(now))
    found = find_meter({torch.device("cuda", 0)}).window(lambda: None, seconds=2.5)
    assert (found.seconds, found.runs) == (2.0, 2)
    assert found.joules == {"GPU 0": 200.0, "CPU 0": 40.0, "memory of CPU 0": 6.0}  # psys has the packages in it


def shown(energy):
    """Everything that shows joules, in words."""
    networks = energy.networks.values()
    forms = [form(energy) for form in (str, repr, format, Energy._repr_html_, Energy.to_csv)]
    rows = (", ".join(row) for row in energy.rows)
    return [*forms, energy.saving, *rows, *(each.text for each in networks), *map(repr, networks)]


def test_without_counters_every_joule_is_an_estimate(smaller, monkeypatch):
    install(monkeypatch)
    monkeypatch.setattr(module, "RAPL", "/nowhere")
    found = wb.energy(smaller)
    assert found.estimated
    everything = shown(found)
    with_joules = [text for text in everything if JOULES.search(text)]
    assert len(with_joules) > 10
    assert [text for text in with_joules if "estimate" not in text] == []
    assert [text for text in everything if "measured" in text and "not measured" not in text] == []
    assert all(words in str(found) for words in ("no energy counters", "Horowitz", "4.60 pJ"))
    assert json.loads(json.dumps(found.to_dict()))["measured"] is False


def test_with_counters_it_is_measured(smaller, monkeypatch):
    install(monkeypatch, cpus=("package-0",))
    told = Told()
    found = wb.energy(smaller, seconds=0.02, rounds=2, batch=2, progress=told)
    assert not found.estimated
    for each in found.networks.values():
        assert each.joules == pytest.approx(23.0 * each.seconds, rel=0.5)  # medians of two windows
        assert each.lowest <= each.joules <= each.highest
        assert set(each.parts) == {"CPU 0", "memory of CPU 0"}
    assert "measured with counters of CPU 0 (RAPL)" in found.source
    everything = shown(found)
    assert [text for text in everything if "estimate" in text and "estimated=False" not in text] == []
    assert [text for text in everything if JOULES.search(text) and "measured" not in text] == []
    assert [share for share, _ in told] == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_the_estimate_is_arithmetic():
    """One linear layer: 12 multiply-adds, and 12 + 3 + 4 + 3 numbers of 4 bytes."""
    network = wb.Network(nn.Linear(4, 3), (4,), name="linear")
    found = estimate(network)
    assert found.parts == pytest.approx({"multiply-adds": 12 * 4.6e-12, "memory": 88 * 243.75e-12})
    assert found.joules == pytest.approx(sum(found.parts.values()))
    assert (found.lowest, found.highest) == pytest.approx((12 * 4.6e-12 + 88 * 162.5e-12, 12 * 4.6e-12 + 88 * 325e-12))
    many = estimate(network, batch=10)
    assert many.parts == pytest.approx({"multiply-adds": 12 * 4.6e-12, "memory": (15 * 4 / 10 + 7 * 4) * 243.75e-12})


def test_numbers_that_make_no_sense(network):
    for name, value in (("seconds", 0), ("rounds", 0), ("batch", -1), ("seconds", float("nan"))):
        with pytest.raises(ValueError, match=f"{name} is"):
            wb.energy(network, **{name: value})
