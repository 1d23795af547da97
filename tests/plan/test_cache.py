import numpy as np
import pytest
import torch

import workbench as wb
from workbench.plan import cache


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def count_work(monkeypatch):
    """How many layers are really analysed from now on."""
    calls = []
    real = wb.analyze.__globals__["spectrum"]
    monkeypatch.setitem(wb.analyze.__globals__, "spectrum", lambda *a: calls.append(a) or real(*a))
    return calls


def flipped(content):
    half = len(content) // 2
    return content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]


def same(one, two):
    for a, b in zip(one, two, strict=True):
        assert (a.layer, a.out.rank, a.out.noise_variance, a.out.threshold) == (
            b.layer,
            b.out.rank,
            b.out.noise_variance,
            b.out.threshold,
        )
        assert np.array_equal(a.singular_out, b.singular_out)
        assert np.array_equal(a.captured, b.captured)
        assert np.array_equal(a.out.shrunk, b.out.shrunk)
        assert (a.in_ is None) == (b.in_ is None)
        if a.in_ is not None:
            assert (a.in_.rank, a.in_.dead_rows) == (b.in_.rank, b.in_.dead_rows)
            assert np.array_equal(a.singular_in, b.singular_in)


def test_the_second_time_costs_nothing(network, own_cache, monkeypatch):
    calls = count_work(monkeypatch)
    first = wb.analyze(network)
    assert len(calls) == 8
    second = wb.analyze(network)
    assert len(calls) == 8
    same(first, second)
    assert wb.evbmf_plan(first) == wb.evbmf_plan(second)
    assert len(list(own_cache.iterdir())) == 1


def test_other_weights_are_another_network(own_cache, monkeypatch):
    network = wb.load_network("digits_vgg")
    wb.analyze(network)
    calls = count_work(monkeypatch)
    with torch.no_grad():
        network.model.get_parameter("features.7.weight")[0, 0, 0, 0] += 1e-6
    wb.analyze(network)
    assert len(calls) == 8


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:2000]),
        lambda path: path.write_bytes(b"PK" + path.read_bytes()[2:300]),
        lambda path: path.write_bytes(flipped(path.read_bytes())),
        lambda path: np.savez(path, about=np.array('{"version": 99, "layers": {}}')),
        lambda path: np.savez(path, about=np.array("nothing")),
        lambda path: np.savez(path, other=np.zeros(3)),
    ],
)
def test_a_damaged_file_is_made_anew(network, own_cache, monkeypatch, damage):
    first = wb.analyze(network)
    path = next(own_cache.iterdir())
    damage(path)
    calls = count_work(monkeypatch)
    same(first, wb.analyze(network))
    assert len(calls) == 8
    same(first, wb.analyze(network))  # and is sound again
    assert len(calls) == 8


def test_nothing_is_unpickled(network, own_cache, tmp_path):
    class Bomb:
        def __reduce__(self):
            return open, (str(tmp_path / "exploded"), "w")

    wb.analyze(network)
    path = next(own_cache.iterdir())
    np.savez(path, about=np.array([Bomb()], dtype=object), allow_pickle=True)
    wb.analyze(network)
    assert not (tmp_path / "exploded").exists()


def test_a_folder_that_cannot_be_written_to(network, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file" / "below"))
    assert len(wb.analyze(network)) == 8
    assert "not cached" in caplog.text


def test_without_the_cache(network, own_cache):
    wb.analyze(network, cached=False)
    assert not own_cache.exists()


def test_where_it_is(monkeypatch, tmp_path):
    monkeypatch.delenv("WORKBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "workbench"
