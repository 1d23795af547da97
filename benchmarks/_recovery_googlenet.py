"""Real BVLC GoogLeNet on 500 ImageNet images: 200 of them, without labels, to recover with; the other 300 to score.

The split is drawn once from a seed. Sensitivities (for the plan to a budget) are measured on the first 48 of the 200.
Settings of calibration and distillation are the library's own, chosen on the 200 alone: calibration's by the divergence
from the original on 60 of them after recovery on the other 140, distillation's by its loss in its first steps on those
140.
"""

import time
from pathlib import Path
from typing import Any

import torch

import workbench as wb
from workbench.plan.budget import budget_plan
from workbench.plan.importance import sensitivities
from workbench.recover.calibrate import calibrate
from workbench.recover.distill import distill

SEED = 20160226
RECOVERY, SENSITIVITIES = 200, 48
MACS_RATIO = 2.06


def part(split: wb.Split, index: torch.Tensor, name: str) -> wb.Split:
    """Some images of a split, under another name."""
    return wb.Split(split.images[index], split.labels[index], name)


def googlenet(shared: Path, minutes: float) -> dict[str, Any]:
    """Both plans, each right after decomposition, calibrated, and then distilled."""
    network = wb.load_network("googlenet_bvlc", weights=shared / "googlenet_bvlc.safetensors")
    loaded = wb.load_data("images", root=shared / "imagenet_sample", labels="labels.csv").test
    order = torch.randperm(len(loaded), generator=torch.Generator().manual_seed(SEED))
    unlabelled = part(loaded, order[:RECOVERY], "recovery")
    scored = part(loaded, order[RECOVERY:], "scored")
    spectra = wb.analyze(network)
    started = time.perf_counter()
    measured = sensitivities(network, part(unlabelled, torch.arange(SENSITIVITIES), "sensitivities"), spectra)
    seconds = {"sensitivities": time.perf_counter() - started}
    plans = {
        "budget": budget_plan(spectra, MACS_RATIO, images=measured),
        "evbmf": wb.evbmf_plan(spectra, layers="spatial"),
    }
    results: dict[str, Any] = {
        "images": {
            "recovery, labels never looked at": RECOVERY,
            "of which sensitivities": SENSITIVITIES,
            "scored, used for nothing else": len(scored),
        },
        "original": wb.accuracy(network, scored).top5,
        "macs_ratio": plans["budget"].macs_ratio,
        "ratios": {name: {"macs": plan.macs_ratio, "weights": plan.weights_ratio} for name, plan in plans.items()},
    }
    for name, plan in plans.items():
        smaller = wb.decompose(network, plan)
        results[name] = {"decomposed": wb.accuracy(smaller, scored).top5}
        print(name, results[name], flush=True)
        started = time.perf_counter()
        smaller = calibrate(smaller, network, unlabelled)
        seconds[f"{name} calibrated"] = time.perf_counter() - started
        results[name]["calibrated"] = wb.accuracy(smaller, scored).top5
        print(name, results[name], flush=True)
        if minutes > 0:
            started = time.perf_counter()
            smaller = distill(smaller, network, unlabelled, minutes=minutes)
            seconds[f"{name} distilled"] = time.perf_counter() - started
            results[name]["distilled"] = wb.accuracy(smaller, scored).top5
            print(name, results[name], flush=True)
    results["seconds"] = {key: round(value, 1) for key, value in seconds.items()}
    return results
