import pytest
import torch

import workbench as wb
from benchmarks import _recovery_digits, _recovery_googlenet


def indices_of(images):
    return set(images[:, 0, 0, 0].tolist())


@pytest.fixture
def seen(monkeypatch):
    """GoogLeNet's cases on random weights and images that hold their index: (step, indices) of every call."""
    calls = []
    pixels = torch.arange(500).reshape(500, 1, 1, 1).expand(500, 3, 8, 8)
    loaded = wb.Data(*[wb.Split(pixels, torch.arange(500), name) for name in ("train", "validation", "test")])

    class Planned:
        macs_ratio = weights_ratio = 2.0
        plan = property(lambda self: self)
        original = property(lambda self: self)

    def use(network, *arguments, **options):
        calls.extend(("used", indices_of(a)) for a in arguments if isinstance(a, torch.Tensor))
        return network

    def top5(network, split):
        calls.append(("scored", indices_of(split.images)))
        return torch.ones(len(split), dtype=torch.bool)

    monkeypatch.setattr(wb, "load_data", lambda *a, **k: loaded)
    for name in ("load_network", "analyze", "evbmf_plan", "budget_plan", "decompose"):
        monkeypatch.setattr(wb, name, lambda *a, **k: Planned())
    monkeypatch.setattr(_recovery_googlenet, "top5", top5)
    for name in ("importance", "calibrate", "distill"):
        monkeypatch.setattr(wb, name, use)
    return calls


def test_no_image_is_both_used_and_scored(seen, tmp_path):
    results = _recovery_googlenet.googlenet(tmp_path, 1.0)
    scored, learned = set(), []
    for step, indices in seen:  # the original is scored first, for each choice
        if step == "scored":
            scored = indices
        else:
            assert not indices & scored
            learned += [indices] if len(indices) == 200 and indices not in learned else []
    assert len(scored) == 300
    first, second, third = learned
    assert not first & second
    assert len(first | second | third) == 500
    for name in ("evbmf x2.06", "evbmf x2.33", "budget x2.06", "budget x2.33"):
        plan = results["plans"][name]
        assert (plan["decomposed"], plan["calibrated"], plan["distilled"]) == (100.0, 100.0, 100.0)
        assert plan["distilled - calibrated"][0] == 0.0


@pytest.mark.slow
def test_digits_with_eight_times_fewer_macs_are_within_a_point():
    result = _recovery_digits.run()
    assert result["macs_ratio"] >= 8
    assert result["decomposed"] < result["calibrated"]
    assert result["finetuned"] >= result["original"] - 1.0
