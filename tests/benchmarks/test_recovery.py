import json
import sys

import torch

import workbench as wb
from benchmarks import _recovery_googlenet, recovery


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


def test_no_image_is_both_used_and_scored(monkeypatch, tmp_path):
    """The case on random weights and images: every function sees the images that it should."""
    pixels = torch.arange(500).reshape(500, 1, 1, 1).expand(500, 3, 8, 8)
    loaded = wb.Data(*[wb.Split(pixels, torch.arange(500), name) for name in ("train", "validation", "test")])
    seen = {"used": set(), "scored": set()}

    def use(network, *arguments, **options):
        for images in (a for a in arguments if isinstance(a, torch.Tensor)):
            seen["used"] |= set(images[:, 0, 0, 0].tolist())
        return network

    def score(network, split):
        seen["scored"] |= set(split.images[:, 0, 0, 0].tolist())
        return wb.Score(0.01, 0.02, len(split))

    class Planned:
        macs_ratio = weights_ratio = 2.0

    module = _recovery_googlenet
    monkeypatch.setattr(module.wb, "load_data", lambda *a, **k: loaded)
    for name in ("load_network", "analyze", "evbmf_plan", "budget_plan", "decompose"):
        monkeypatch.setattr(module.wb, name, lambda *a, **k: Planned())
    monkeypatch.setattr(module.wb, "score", score)
    for name in ("importance", "calibrate", "distill"):
        monkeypatch.setattr(module.wb, name, use)
    results = module.googlenet(tmp_path, 1.0)
    assert (len(seen["used"]), len(seen["scored"])) == (200, 300)
    assert not seen["used"] & seen["scored"]
    for name in ("evbmf", "budget"):
        assert results[name] == {"decomposed": 2.0, "calibrated": 2.0, "distilled": 2.0}
