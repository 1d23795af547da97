import json
import sys

import pytest
import torch

import workbench as wb
from benchmarks import _recovery_googlenet, _recovery_images, recovery
from workbench.network.verdict import paired_interval


def test_a_case_is_run_and_written(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setitem(
        recovery.CASES, "googlenet", lambda shared, minutes: asked.append((shared, minutes)) or {"original": 1}
    )
    path = tmp_path / "recovery.json"
    command = ["recovery", "--case", "googlenet", "--shared", str(tmp_path), "--minutes", "2", "--threads", "1"]
    monkeypatch.setattr(sys, "argv", [*command, "--json", str(path)])
    recovery.main()
    assert asked == [(tmp_path, 2.0)]
    assert json.loads(path.read_text()) == {"original": 1, "threads": 1}


def test_parts_of_a_case(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setitem(recovery.CASES, "images", lambda shared, minutes, **parts: asked.append(parts) or {})
    command = ["recovery", "--case", "images", "--counts", "16", "50", "--networks", "resnet20", "--threads", "1"]
    monkeypatch.setattr(sys, "argv", command)
    recovery.main()
    assert asked == [{"counts": [16, 50], "networks": ["resnet20"]}]


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


def test_the_gain_counts_every_image_once():
    before = [torch.tensor([1, 0, 1, 1], dtype=torch.bool), torch.tensor([0, 0, 0, 0], dtype=torch.bool)]
    after = [torch.tensor([1, 1, 0, 1], dtype=torch.bool), torch.tensor([1, 1, 1, 0], dtype=torch.bool)]
    found = _recovery_googlenet.gain(before, after, [torch.arange(4), torch.arange(2, 6)])
    # images 0 to 3 gain one and lose one, 4 and 5 of the second choice gain one
    low, high = paired_interval(2, 1, 6)
    assert found == pytest.approx([100 / 6, 100 * low, 100 * high], abs=0.01)


def test_the_number_of_images(seen, tmp_path):
    results = _recovery_images.run(tmp_path, 1.0, networks=["googlenet"], counts=[16, 500])
    assert [(p["images"], p["scored"]) for p in results["googlenet"]["points"]] == [(16, 300), (400, 100)]
    calls = seen[1:]  # without the original's score on all images
    assert [step for step, _ in calls] == ["used", "scored"] * 4
    assert not any(used & scored for (_, used), (_, scored) in zip(calls[::2], calls[1::2], strict=True))
