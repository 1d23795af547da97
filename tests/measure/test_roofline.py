import pytest

import workbench as wb
from workbench.measure import exclusive
from workbench.measure import roofline as module
from workbench.measure.roofline import Roofline


@pytest.fixture
def measured(own_cache, monkeypatch):
    """Which limits were measured, without taking the time."""
    calls = []
    monkeypatch.setattr(module, "_peak", lambda: calls.append("peak") or 40e9)
    monkeypatch.setattr(module, "_bandwidth", lambda: calls.append("bandwidth") or 20e9)
    return calls


def test_a_measurement_is_possible(own_cache, monkeypatch):
    monkeypatch.setattr(module, "TIMING_S", 0.02)
    monkeypatch.setattr(module, "last_cache_bytes", lambda: 2**20)
    monkeypatch.setattr(module, "MIN_ARRAY_BYTES", 2**24)
    found = wb.roofline(threads=1)
    assert 1e8 < found.peak < 1e14
    assert 1e8 < found.bandwidth < 1e13
    assert module.processor() in found.machine


def test_it_is_measured_once_for_each_number_of_threads(measured, own_cache, monkeypatch):
    first = wb.roofline()
    assert wb.roofline() == first
    assert measured == ["peak", "bandwidth"]
    assert wb.roofline(threads=2).threads == 2
    assert len(measured) == 4
    assert len(list(own_cache.glob("roofline-*.json"))) == 2
    with pytest.raises(ValueError, match="threads is a whole number of at least 1"):
        wb.roofline(threads=0)
    monkeypatch.setattr(exclusive, "others_computing", lambda: True)
    wb.roofline(threads=3)  # disturbed, so it is not kept
    assert len(list(own_cache.glob("roofline-*.json"))) == 2


@pytest.mark.parametrize("content", [b"", b"\xff\xfe{}", b"[1, 2]", b"{}", b'{"peak": "fast", "bandwidth": null}'])
def test_a_damaged_file_is_measured_anew(measured, own_cache, content):
    first = wb.roofline()
    next(own_cache.glob("roofline-*.json")).write_bytes(content)
    for _ in range(2):  # then it is sound again
        assert wb.roofline() == first
        assert len(measured) == 4


def test_what_is_attainable():
    roof = Roofline(peak=40e9, bandwidth=20e9, threads=1, machine="it")
    assert roof.ridge == 2
    assert [roof.attainable(x) for x in (0.0, 0.5, 2.0, 100.0)] == [0.0, 10e9, 40e9, 40e9]
    assert roof.line([0.25, 100]) == [(0.125, 2.5), (2, 40), (200, 40)]
    assert all(words in str(roof) for words in ("it", "40.0 G MAC/s", "20.0 GB/s", "below 2 MACs a byte"))
