from dataclasses import asdict

import numpy as np
import pytest
import torch

import workbench as wb


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
    np.testing.assert_equal(*([asdict(spectrum) for spectrum in spectra] for spectra in (one, two)))


def test_the_second_time_costs_nothing(network, own_cache, monkeypatch):
    wb.analyze(network, cached=False)
    assert not own_cache.exists()
    calls = count_work(monkeypatch)
    first, second = wb.analyze(network), wb.analyze(network)
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
        lambda path: path.write_bytes(flipped(path.read_bytes())),
        lambda path: np.savez(path, about=np.array("{}")),
        lambda path: np.savez(path, other=np.zeros(3)),
    ],
)
def test_a_damaged_file_is_made_anew(network, own_cache, monkeypatch, damage):
    first = wb.analyze(network)
    path = next(own_cache.iterdir())
    damage(path)
    calls = count_work(monkeypatch)
    for _ in range(2):  # the second time it is sound again
        same(first, wb.analyze(network))
        assert len(calls) == 8


def test_nothing_is_unpickled(network, own_cache, tmp_path):
    class Bomb:
        def __reduce__(self):
            return open, (str(tmp_path / "exploded"), "w")

    wb.analyze(network)
    np.savez(next(own_cache.iterdir()), about=np.array([Bomb()], dtype=object), allow_pickle=True)
    wb.analyze(network)
    assert not (tmp_path / "exploded").exists()
