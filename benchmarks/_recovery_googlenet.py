"""Real BVLC GoogLeNet on 500 ImageNet images: 200 of them, without labels, to recover with; the other 300 to score.

All figures are means over three choices of the 200 images. The images are shuffled once by a seed: the first choice has
the images 0 to 199 of that order, the second 200 to 399, the third 400 to 499 and 0 to 99. The first two are disjoint;
500 images leave no room for a third disjoint choice. The importance for the budget plan is measured on the first 48
images of a choice.

Intervals are paired, of 95 %, over the 500 images: every image counts once, by the first choice that scores it.
Calibration and distillation have the library's default settings (`docs/tried.md` says what else was tried).
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
    """EVBMF plan of the spatial convolutions, at the smallest strength that reaches the ratio of MACs."""
    low, high = 0.0, 4.0
    for _ in range(20):
        middle = (low + high) / 2
        is_reached = wb.evbmf_plan(spectra, layers="spatial", strength=middle).macs_ratio >= macs_ratio
        low, high = (low, middle) if is_reached else (middle, high)
    return wb.evbmf_plan(spectra, layers="spatial", strength=high)


def budget(network: wb.Network, spectra: wb.Spectra, images: Tensor, macs_ratio: float) -> wb.Plan:
    """Budget plan of all layers, by errors in the outputs."""
    importance = wb.importance(network, spectra, images[:IMPORTANCE_IMAGES])
    return wb.budget_plan(spectra, macs_ratio=macs_ratio, importance=importance)


def weights(network: wb.Network, spectra: wb.Spectra, images: Tensor, macs_ratio: float) -> wb.Plan:
    """Budget plan of all layers, by errors in the weights."""
    return wb.budget_plan(spectra, macs_ratio=macs_ratio)


Planner = Callable[[wb.Network, wb.Spectra, Tensor, float], wb.Plan]
PLANNERS: dict[str, Planner] = {"evbmf": evbmf, "weights": weights, "budget": budget}
"""Name -> function of (network, spectra, images of a choice, MACs ratio) that returns a plan."""
RATIOS = (2.06, 2.33)
"""Ratios of MACs: the paper's, and EVBMF's at strength 1."""


def recovery_indices(count: int, choice: int) -> Tensor:
    """Indices of a choice of recovery images among `count` images."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(SEED))
    return order.roll(-choice * RECOVERY_IMAGES)[:RECOVERY_IMAGES]


def other_indices(count: int, indices: Tensor) -> Tensor:
    """Indices of all other images among `count` images."""
    is_other = torch.ones(count, dtype=torch.bool)
    is_other[indices] = False
    return is_other.nonzero().flatten()


def loaded_googlenet(shared: Path) -> tuple[wb.Network, wb.Split]:
    """The network with its real weights, and the images."""
    network = wb.load_network("googlenet_bvlc", weights=shared / "googlenet_bvlc.safetensors")
    return network, wb.load_data("images", root=shared / "imagenet_sample", labels="labels.csv").test


def part(split: wb.Split, indices: Tensor) -> wb.Split:
    """Split of the images at some indices."""
    return wb.Split(split.images[indices], split.labels[indices], split.name)


def top5(network: wb.Network, split: wb.Split) -> Tensor:
    """Whether the label of each image is among the first five answers, (n,)."""
    with torch.inference_mode():
        batches = split.batches(BATCH)
        return torch.cat([hits(network.run(network.inputs(images)), labels)[:, 1] for images, labels in batches])


def gain(before: Sequence[Tensor], after: Sequence[Tensor], scored: Sequence[Tensor]) -> list[float]:
    """Points gained from one stage to another, and the ends of the paired interval.

    For each choice: hits (n,) and indices (n,) of the images; an image counts by the first choice that scores it.
    """
    seen: set[int] = set()
    lost = gained = 0
    for hits_before, hits_after, indices in zip(before, after, scored, strict=True):
        for was_right, is_right, index in zip(hits_before.tolist(), hits_after.tolist(), indices.tolist(), strict=True):
            if index not in seen:
                seen.add(index)
                lost, gained = lost + (was_right and not is_right), gained + (is_right and not was_right)
    low, high = paired_interval(gained, lost, len(seen))  # after minus before
    return [round(100 * share, 2) for share in ((gained - lost) / len(seen), low, high)]


def googlenet(
    shared: Path,
    minutes: float,
    *,
    plans: Sequence[str] = (),
    choices: Sequence[int] = (),
    distilled: Sequence[str] = (),
) -> dict[str, Any]:
    """Score all plans, such as "budget x2.06", after decomposition, after calibration and after distillation.

    `plans` and `choices` name the parts to run, `distilled` the plans to distil; all if they are empty.
    """
    network, loaded = loaded_googlenet(shared)
    names = {f"{planner} x{ratio:.2f}": (PLANNERS[planner], ratio) for planner in PLANNERS for ratio in RATIOS}
    names = {name: names[name] for name in plans or names}
    steps = ("decomposed", "calibrated", *(["distilled"] if minutes > 0 else []))
    records: dict[str, dict[str, list[Any]]] = {name: {"macs_ratio": [], "weights_ratio": []} for name in names}
    times: dict[str, list[float]] = {}
    original, scored = [], []
    spectra = wb.analyze(network)
    for choice in choices or range(CHOICES):
        indices = recovery_indices(len(loaded), choice)
        scored.append(other_indices(len(loaded), indices))
        scored_split = part(loaded, scored[-1])
        images = loaded.images[indices]
        original.append(top5(network, scored_split))
        for name, (planner, ratio) in names.items():
            started = time.perf_counter()
            plan = planner(network, spectra, images, ratio)
            times.setdefault(f"{name} planned", []).append(time.perf_counter() - started)
            records[name]["macs_ratio"].append(plan.macs_ratio)
            records[name]["weights_ratio"].append(plan.weights_ratio)
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
                records[name].setdefault(step, []).append(top5(smaller, scored_split))
                print(choice, name, step, f"{percent(records[name][step][-1]):.2f}", flush=True)
    results: dict[str, Any] = {
        "images": {
            "recovery, labels never looked at": RECOVERY_IMAGES,
            "of which importance": IMPORTANCE_IMAGES,
            "scored, used for nothing else": len(scored[0]),
        },
        "choices": len(scored),
        "original": fmean(map(percent, original)),
        "plans": {name: summary(original, records[name], scored) for name in names},
        "seconds": {key: round(fmean(values), 1) for key, values in times.items()},
    }
    if "budget x2.06" in names:
        results["macs_ratio"] = results["plans"]["budget x2.06"]["macs_ratio"]
    return results


def percent(hit: Tensor) -> float:
    """Share of images in percent."""
    return 100 * hit.double().mean().item()


def summary(original: Sequence[Tensor], record: dict[str, list[Any]], scored: Sequence[Tensor]) -> dict[str, Any]:
    """Means of one plan over the choices; gains over the original and of distillation, with intervals."""
    result: dict[str, Any] = {key: round(fmean(record[key]), 4) for key in ("macs_ratio", "weights_ratio")}
    steps = [step for step in ("decomposed", "calibrated", "distilled") if step in record]
    for step in steps:
        result[step] = fmean(map(percent, record[step]))
        result[f"{step} of each choice"] = [round(percent(hit), 2) for hit in record[step]]
        result[f"{step} - original"] = gain(original, record[step], scored)
    if "distilled" in steps:
        result["distilled - calibrated"] = gain(record["calibrated"], record["distilled"], scored)
    return result
