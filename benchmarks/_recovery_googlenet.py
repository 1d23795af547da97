"""Real BVLC GoogLeNet on 500 ImageNet images: 200 of them, without labels, to recover with; the other 300 to score.

Everything is done for three choices of the 200 images, and figures are means over them. The images are shuffled once
by a seed: the first choice has the images 0 to 199 of that order, the second 200 to 399, the third 400 to 499 and 0 to
99. The first two are disjoint; 500 images have no room for a third choice that shares none with them. The importance of
layers, for the plan to a budget, is measured on the first 48 of a choice.

Intervals are paired, of 95 %, and of the 500 images: every image counts once, by the first choice that scores it.
Settings of calibration and distillation are the library's own (what was tried: `docs/tried.md`).
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

import workbench as wb
from workbench.network.outputs import hits
from workbench.network.verdict import paired_interval

SEED = 20160226
RECOVERY_IMAGES, IMPORTANCE_IMAGES = 200, 48
CHOICES = 3
BATCH = 50


def evbmf(network: wb.Network, spectra: wb.Spectra, images: Tensor, macs_ratio: float) -> wb.Plan:
    """EVBMF of the spatial convolutions, at the smallest strength that saves so many MACs."""
    low, high = 0.0, 4.0
    for _ in range(20):
        middle = (low + high) / 2
        enough = wb.evbmf_plan(spectra, layers="spatial", strength=middle).macs_ratio >= macs_ratio
        low, high = (low, middle) if enough else (middle, high)
    return wb.evbmf_plan(spectra, layers="spatial", strength=high)


def budget(network: wb.Network, spectra: wb.Spectra, images: Tensor, macs_ratio: float) -> wb.Plan:
    """All layers, by errors in the outputs."""
    measured = wb.importance(network, spectra, images[:IMPORTANCE_IMAGES])
    return wb.budget_plan(spectra, macs_ratio=macs_ratio, importance=measured)


def weights(network: wb.Network, spectra: wb.Spectra, images: Tensor, macs_ratio: float) -> wb.Plan:
    """All layers, by errors in the weights."""
    return wb.budget_plan(spectra, macs_ratio=macs_ratio)


Planner = Callable[[wb.Network, wb.Spectra, Tensor, float], wb.Plan]
PLANNERS: dict[str, Planner] = {"evbmf": evbmf, "weights": weights, "budget": budget}
"""Name -> function of (network, spectra, images of a choice, MACs ratio) that returns a plan."""
RATIOS = (2.06, 2.33)
"""The paper's, and that of EVBMF itself (strength 1)."""


def recovery_indices(count: int, choice: int) -> Tensor:
    """Indices of the images of a choice, among so many."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(SEED))
    return order.roll(-choice * RECOVERY_IMAGES)[:RECOVERY_IMAGES]


def other_indices(count: int, indices: Tensor) -> Tensor:
    """Indices of all others, among so many."""
    others = torch.ones(count, dtype=torch.bool)
    others[indices] = False
    return others.nonzero().flatten()


def loaded_googlenet(shared: Path) -> tuple[wb.Network, wb.Split]:
    """The network with its real weights, and the images."""
    network = wb.load_network("googlenet_bvlc", weights=shared / "googlenet_bvlc.safetensors")
    return network, wb.load_data("images", root=shared / "imagenet_sample", labels="labels.csv").test


def part(split: wb.Split, indices: Tensor) -> wb.Split:
    """Some images of a split."""
    return wb.Split(split.images[indices], split.labels[indices], split.name)


def top5(network: wb.Network, split: wb.Split) -> Tensor:
    """Whether the label of each image is among the first five answers, (n,)."""
    with torch.inference_mode():
        batches = split.batches(BATCH)
        return torch.cat([hits(network.run(network.inputs(images)), labels)[:, 1] for images, labels in batches])


def gain(before: Sequence[Tensor], after: Sequence[Tensor], scored: Sequence[Tensor]) -> list[float]:
    """Points gained from one stage to another, and the ends of the paired interval.

    Hits (n,) and indices (n,) of the images for each choice; an image counts by the first choice that scores it.
    """
    seen: set[int] = set()
    lost = gained = 0
    for old, new, indices in zip(before, after, scored, strict=True):
        for one, other, index in zip(old.tolist(), new.tolist(), indices.tolist(), strict=True):
            if index not in seen:
                seen.add(index)
                lost, gained = lost + (one and not other), gained + (other and not one)
    low, high = paired_interval(gained, lost, len(seen))  # of the second less the first
    return [round(100 * share, 2) for share in ((gained - lost) / len(seen), low, high)]


def googlenet(
    shared: Path,
    minutes: float,
    *,
    plans: Sequence[str] = (),
    choices: Sequence[int] = (),
    distilled: Sequence[str] = (),
) -> dict[str, Any]:
    """All plans ("budget x2.06"), each right after decomposition, calibrated, and then distilled; or parts of that.

    `plans` and `choices` name the parts to run, `distilled` the plans to distil; all if they are empty.
    """
    network, loaded = loaded_googlenet(shared)
    names = {f"{planner} x{ratio:.2f}": (PLANNERS[planner], ratio) for planner in PLANNERS for ratio in RATIOS}
    names = {name: names[name] for name in plans or names}
    steps = ("decomposed", "calibrated", *(["distilled"] if minutes > 0 else []))
    found: dict[str, dict[str, list[Any]]] = {name: {"macs_ratio": [], "weights_ratio": []} for name in names}
    times: dict[str, list[float]] = {}
    original, scored = [], []
    spectra = wb.analyze(network)
    for choice in choices or range(CHOICES):
        learned = recovery_indices(len(loaded), choice)
        scored.append(other_indices(len(loaded), learned))
        judged = part(loaded, scored[-1])
        images = loaded.images[learned]
        original.append(top5(network, judged))
        for name, (planner, ratio) in names.items():
            started = time.perf_counter()
            plan = planner(network, spectra, images, ratio)
            times.setdefault(f"{name} planned", []).append(time.perf_counter() - started)
            found[name]["macs_ratio"].append(plan.macs_ratio)
            found[name]["weights_ratio"].append(plan.weights_ratio)
            smaller = wb.decompose(network, plan)
            for step in steps:
                started = time.perf_counter()
                if step == "calibrated":
                    smaller = wb.calibrate(smaller, images)
                elif step == "distilled":
                    if distilled and name not in distilled:
                        continue
                    smaller = wb.distill(smaller, images, minutes=minutes)
                times.setdefault(f"{name} {step}", []).append(time.perf_counter() - started)
                found[name].setdefault(step, []).append(top5(smaller, judged))
                print(choice, name, step, f"{percent(found[name][step][-1]):.2f}", flush=True)
    results: dict[str, Any] = {
        "images": {
            "recovery, labels never looked at": RECOVERY_IMAGES,
            "of which importance": IMPORTANCE_IMAGES,
            "scored, used for nothing else": len(scored[0]),
        },
        "choices": len(scored),
        "original": fmean(map(percent, original)),
        "plans": {name: summary(original, found[name], scored) for name in names},
        "seconds": {key: round(fmean(values), 1) for key, values in times.items()},
    }
    if "budget x2.06" in names:
        results["macs_ratio"] = results["plans"]["budget x2.06"]["macs_ratio"]
    return results


def percent(right: Tensor) -> float:
    """Share of images in percent."""
    return 100 * right.double().mean().item()


def summary(original: Sequence[Tensor], found: dict[str, list[Any]], scored: Sequence[Tensor]) -> dict[str, Any]:
    """Means over the choices of one plan; intervals of what is left below the original, and of each step's gain."""
    made: dict[str, Any] = {key: round(fmean(found[key]), 4) for key in ("macs_ratio", "weights_ratio")}
    steps = [step for step in ("decomposed", "calibrated", "distilled") if step in found]
    for step in steps:
        made[step] = fmean(map(percent, found[step]))
        made[f"{step} of each choice"] = [round(percent(right), 2) for right in found[step]]
        made[f"{step} - original"] = gain(original, found[step], scored)
    if "distilled" in steps:
        made["distilled - calibrated"] = gain(found["calibrated"], found["distilled"], scored)
    return made
