"""Real BVLC GoogLeNet on 500 ImageNet images: 200 of them, without labels, to recover with; the other 300 to score.

The split is drawn once from a seed. The importance of layers, for the plan to a budget, is measured on the first 48.
Settings of calibration and distillation are the library's own, chosen on the 200 alone: calibration's by the divergence
from the original on 60 of them after recovery on the other 140, distillation's by its loss in its first steps on those
140.
"""

import time
from pathlib import Path
from typing import Any

import torch

import workbench as wb

SEED = 20160226
RECOVERY_IMAGES, IMPORTANCE_IMAGES = 200, 48
MACS_RATIO = 2.06


def part(split: wb.Split, index: torch.Tensor, name: str) -> wb.Split:
    """Some images of a split, under another name."""
    return wb.Split(split.images[index], split.labels[index], name)


def googlenet(shared: Path, minutes: float) -> dict[str, Any]:
    """Both plans, each right after decomposition, calibrated, and then distilled."""
    network = wb.load_network("googlenet_bvlc", weights=shared / "googlenet_bvlc.safetensors")
    loaded = wb.load_data("images", root=shared / "imagenet_sample", labels="labels.csv").test
    order = torch.randperm(len(loaded), generator=torch.Generator().manual_seed(SEED))
    unlabelled = part(loaded, order[:RECOVERY_IMAGES], "recovery")
    scored = part(loaded, order[RECOVERY_IMAGES:], "scored")

    def top5(network: wb.Network) -> float:
        return 100 * wb.score(network, scored).top5

    spectra = wb.analyze(network)
    started = time.perf_counter()
    measured = wb.importance(network, spectra, unlabelled.images[:IMPORTANCE_IMAGES])
    seconds = {"importance": time.perf_counter() - started}
    plans = {
        "budget": wb.budget_plan(spectra, macs_ratio=MACS_RATIO, importance=measured),
        "evbmf": wb.evbmf_plan(spectra, layers="spatial"),
    }
    results: dict[str, Any] = {
        "images": {
            "recovery, labels never looked at": RECOVERY_IMAGES,
            "of which importance": IMPORTANCE_IMAGES,
            "scored, used for nothing else": len(scored),
        },
        "original": top5(network),
        "macs_ratio": plans["budget"].macs_ratio,
        "ratios": {name: {"macs": plan.macs_ratio, "weights": plan.weights_ratio} for name, plan in plans.items()},
    }
    for name, plan in plans.items():
        smaller = wb.decompose(network, plan)
        results[name] = {"decomposed": top5(smaller)}
        print(name, results[name], flush=True)
        started = time.perf_counter()
        smaller = wb.calibrate(smaller, unlabelled.images)
        seconds[f"{name} calibrated"] = time.perf_counter() - started
        results[name]["calibrated"] = top5(smaller)
        print(name, results[name], flush=True)
        if minutes > 0:
            started = time.perf_counter()
            smaller = wb.distill(smaller, unlabelled.images, minutes=minutes)
            seconds[f"{name} distilled"] = time.perf_counter() - started
            results[name]["distilled"] = top5(smaller)
            print(name, results[name], flush=True)
    results["seconds"] = {key: round(value, 1) for key, value in seconds.items()}
    return results
