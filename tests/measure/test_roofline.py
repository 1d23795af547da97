import json
import math

import pytest
import torch

import workbench as wb
from workbench.measure import roofline as machine
from workbench.measure.roofline import Roofline, torch_threads


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def measured(own_cache, monkeypatch):
    """How often it is measured, without taking the time."""
    calls = []
    monkeypatch.setattr(machine, "_peak", lambda: calls.append("peak") or 40e9)
    monkeypatch.setattr(machine, "_bandwidth", lambda: calls.append("bandwidth") or 20e9)
    return calls


def test_a_measurement_is_possible(own_cache, monkeypatch):
    monkeypatch.setattr(machine, "SECONDS", 0.02)
    monkeypatch.setattr(machine, "last_cache", lambda: 2**20)
    monkeypatch.setattr(machine, "SMALLEST_ARRAY", 2**24)
    found = wb.roofline(threads=1)
    assert 1e8 < found.peak < 1e14
    assert 1e8 < found.bandwidth < 1e13
    assert found.threads == 1
    assert machine.processor() in found.machine


def test_the_second_time_costs_nothing(measured):
    first = wb.roofline()
    assert wb.roofline() == first
    assert measured == ["peak", "bandwidth"]
    assert wb.roofline(refresh=True) == first
    assert len(measured) == 4


def test_other_threads_are_another_roofline(measured, own_cache):
    wb.roofline(threads=1)
    assert wb.roofline(threads=2).threads == 2
    assert len(measured) == 4
    assert len(list(own_cache.iterdir())) == 2


def changed(key, value):
    def change(path):
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))

    return change


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:30]),
        lambda path: path.write_bytes(b"\xff\xfe" + path.read_bytes()),
        lambda path: path.write_text("[1, 2]"),
        lambda path: path.write_text("{}"),
        changed("peak", math.nan),
        changed("peak", math.inf),
        changed("peak", "fast"),
        changed("bandwidth", 0),
        changed("bandwidth", None),
        changed("processor", "another one"),
        changed("version", 0),
    ],
)
def test_a_damaged_file_is_measured_anew(measured, own_cache, damage):
    first = wb.roofline()
    damage(next(own_cache.iterdir()))
    assert wb.roofline() == first
    assert len(measured) == 4
    assert wb.roofline() == first  # and is sound again
    assert len(measured) == 4


def test_a_folder_that_cannot_be_written_to(measured, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file" / "below"))
    assert wb.roofline().peak == 40e9
    assert "not kept" in caplog.text


def test_what_is_attainable():
    roof = Roofline(peak=40e9, bandwidth=20e9, threads=1, machine="it")
    assert roof.ridge == 2
    assert [roof.attainable(x) for x in (0.0, 0.5, 2.0, 100.0)] == [0.0, 10e9, 40e9, 40e9]
    assert str(roof) == "it: at most 40.0 G MAC/s and 20.0 GB/s, so 2 multiply-adds for each byte keep it busy"


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError), torch_threads(before + 1):
        _ = 1 / 0
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "1"])
def test_no_such_threads(measured, threads):
    with pytest.raises(ValueError, match="threads is a whole number of at least 1"):
        wb.roofline(threads=threads)
    assert not measured


@pytest.mark.parametrize(("text", "size"), [("32768K", 2**25), ("32M", 2**25), ("512", 512)])
def test_sizes_of_caches(text, size):
    assert machine._bytes(text) == size


def test_the_last_cache_is_found_or_guessed(monkeypatch):
    assert machine.last_cache() >= 2**15
    monkeypatch.setattr(machine.Path, "glob", lambda *_: iter(()))
    monkeypatch.setattr(machine, "_sysctl", lambda _: "")
    assert machine.last_cache() == 2**25


def test_a_processor_without_a_name(monkeypatch):
    def missing(*_, **__):
        raise OSError

    monkeypatch.setattr(machine.Path, "read_text", missing)
    monkeypatch.setattr(machine.platform, "processor", lambda: "")
    monkeypatch.setattr(machine.platform, "machine", lambda: "aarch64")
    assert machine.processor() == "aarch64"
