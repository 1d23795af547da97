import json
import re
from dataclasses import replace

import pytest
from torch import nn

import workbench as wb
from tests.helpers.zeus import install
from workbench.measure import counters
from workbench.measure.energy import JOULES_PER_BYTE, JOULES_PER_MAC, Energy, estimate

JOULES = re.compile(r"\d\s?[GMkmµnp]?J\b")


@pytest.fixture
def no_counters(monkeypatch):
    install(monkeypatch)
    monkeypatch.setattr(counters, "RAPL", "/nowhere")


@pytest.fixture
def some_counters(monkeypatch):
    return install(monkeypatch, cpus=("package-0",))


def shown(energy):
    """Everything that shows joules, in words."""
    networks = energy.networks.values()
    forms = [form(energy) for form in (str, repr, format, Energy._repr_html_, Energy.to_csv)]
    return [
        *forms,
        energy.saving,
        *(", ".join(row) for row in energy.rows),
        *(e.text for e in networks),
        *map(repr, networks),
    ]


def test_without_counters_every_joule_is_an_estimate(smaller, no_counters):
    latency = wb.speed(smaller, ("eager",), seconds=0.01).latencies["eager"]
    found = wb.energy(smaller, latency=latency)
    assert found.estimated
    everything = shown(found)
    with_joules = [text for text in everything if JOULES.search(text)]
    assert len(with_joules) > 10
    assert [text for text in with_joules if "estimate" not in text] == []
    assert [text for text in everything if "measured" in text and "not measured" not in text] == []
    assert found.compressed.seconds == pytest.approx(1e-3 * latency.ms("compressed"))
    assert found.compressed.watts == found.compressed.joules / found.compressed.seconds
    assert "no energy counters" in str(found)
    for words in ("Horowitz", "ISSCC 2014", "45 nm", "4.60 pJ", "without idle power and caches"):
        assert words in found.source
    assert found.to_dict()["measured"] is False
    assert json.dumps(found.to_dict())


def test_with_counters_it_is_measured(smaller, some_counters):
    seen = []
    found = wb.energy(smaller, seconds=0.02, rounds=2, batch=2, progress=lambda share, note: seen.append(share))
    assert not found.estimated
    for each in found.networks.values():
        assert each.watts == pytest.approx(23.0)
        assert each.joules == pytest.approx(23.0 * each.seconds, rel=0.5)  # medians of two windows
        assert each.least <= each.joules <= each.most
        assert set(each.parts) == {"CPU 0", "memory of CPU 0"}
        assert each.trace.watts == pytest.approx([23.0] * len(each.trace.watts))
    assert "measured with counters of CPU 0 (RAPL)" in found.source
    everything = shown(found)
    assert [text for text in everything if "estimate" in text and "estimated=False" not in text] == []
    assert [text for text in everything if JOULES.search(text) and "measured" not in text] == []
    assert seen == [0.0, 0.25, 0.5, 0.75, 1.0]
    first, second = (each.trace.starts for each in found.networks.values())
    assert first[0] < second[0] < first[-1]  # in turns


def test_counters_that_stand_still(network, some_counters, monkeypatch):
    real = some_counters.end_window

    def still(self, key):
        found = real(self, key)
        found.cpu_energy, found.dram_energy = {0: 0.0}, None
        return found

    monkeypatch.setattr(some_counters, "end_window", still)
    found = wb.energy(network, seconds=0.01, rounds=1)
    assert found.estimated
    assert "stood still" in found.why_estimated


def test_it_can_be_cancelled(network, some_counters):
    def cancel(*_):
        raise wb.Cancelled

    with pytest.raises(wb.Cancelled):
        wb.energy(network, progress=cancel)


def test_the_estimate_is_arithmetic():
    """One linear layer: 12 multiply-adds, and 12 + 3 + 4 + 3 numbers of 4 bytes."""
    network = wb.Network(nn.Linear(4, 3), (4,), name="linear")
    found = estimate(network, seconds=2.0)
    low, high = JOULES_PER_BYTE
    assert found.parts == pytest.approx({"multiply-adds": 12 * 4.6e-12, "memory": 88 * 243.75e-12})
    assert found.joules == pytest.approx(12 * JOULES_PER_MAC + 88 * (low + high) / 2)
    assert (found.least, found.most) == pytest.approx((12 * 4.6e-12 + 88 * 162.5e-12, 12 * 4.6e-12 + 88 * 325e-12))
    assert found.watts == found.joules / 2
    many = estimate(network, batch=10)
    assert many.parts["memory"] == pytest.approx((15 * 4 / 10 + 7 * 4) * 243.75e-12)
    assert many.parts["multiply-adds"] == pytest.approx(12 * 4.6e-12)


def test_less_and_more(network, smaller):
    before, after = estimate(network), estimate(smaller)
    ratio = before.joules / after.joules
    assert Energy(before, after, "").saving.startswith(f"x{ratio:.2f} less energy an image (estimate): ")
    assert Energy(after, before, "").saving.startswith(f"x{ratio:.2f} more energy an image (estimate): ")
    assert Energy(before, None, "").saving == ""
    with pytest.raises(ValueError, match="cannot be compared"):
        Energy(before, replace(after, estimated=False), "")


@pytest.mark.parametrize("options", [{"seconds": 0}, {"rounds": 0}, {"batch": -1}, {"seconds": float("nan")}])
def test_numbers_that_make_no_sense(network, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} is"):
        wb.energy(network, **options)
    with pytest.raises(TypeError, match="this takes a Network"):
        wb.energy("digits_vgg")
