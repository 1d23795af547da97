"""A real ResNet-20 on CIFAR-10, at MACs x2 and x3: decomposed, calibrated, fine-tuned, and trained from scratch.

2,000 training images and the 1,000 test images are lossless; the test images are only scored. 1,500 of the training
images calibrate, without labels, and train; 500 are the validation part, by which the settings here were chosen. All
50,000 training images exist as lossy JPEG only, of which the network classifies 86 % correctly. Therefore it learns the
original's softened answers on the same images, not labels, and a share of the images is lossless. The JPEG twins of the
validation images, found by correlation, are removed.

Two plans are calibrated for each ratio, by a budget and with equal shares of all channels; the one with the better
validation score is fine-tuned. Fine-tuning may take `minutes` for each ratio, and so may the baseline: the same
architecture trained with labels from Gaussian initialisation, as in the paper. A few timed steps tell how many fit.

Without labels, the 2,000 lossless training images calibrate the budget plan and distil it for 10 minutes. It had been
the better plan on 500 of them that were left out of both.
"""

import io
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

import workbench as wb

SEED = 20160226
VALIDATION_IMAGES, IMPORTANCE_IMAGES = 500, 128
CLEAN_SHARE = 0.25
"""Share of lossless images in an epoch; each is seen several times, shifted and mirrored."""

MIN_RANK = 8
"""At x3 the budget gives a layer rank 1. Its outputs hardly vary, so that batch normalisation divides by almost zero:
the loss is 627 in training mode, 6 in evaluation mode, and the first steps destroy the network."""

RATIOS = {"x2": 2.0, "x3": 3.0}
UNLABELLED_MINUTES = 10.0  # of distillation, at most
RECIPE = wb.Recipe(
    epochs=1,
    learning_rate=6e-2,
    schedule="cosine",
    warmup=0.05,
    optimizer="nesterov",
    batch_size=128,
    clip_norm=1.0,
    label_weight=0.0,
    temperature=4.0,
    flip=True,
    shift=2,
)
SCRATCH = replace(RECIPE, learning_rate=0.1, weight_decay=5e-4, clip_norm=0.0)


def equal_shares(spectra: wb.Spectra, macs_ratio: float) -> wb.Plan:
    """Plan with one share of the channels of every spatial convolution, the largest that reaches the ratio of MACs."""

    def plan_at(share: float) -> wb.Plan:
        parts = []
        for layer in spectra.layers:
            part = wb.LayerPlan(layer, "keep", reason="kept: no spatial convolution")
            if layer.method == "tucker2" and layer.kind == "conv" and not layer.pointwise:
                rank_in, rank_out = (max(1, round(share * channels)) for channels in layer.max_ranks)
                smaller = wb.LayerPlan(layer, "tucker2", rank_in, rank_out, f"{share:.0%} of its channels")
                part = smaller if smaller.cost.macs < layer.cost.macs else part
            parts.append(part)
        return wb.Plan(spectra.network, spectra.input_shape, tuple(parts), spectra.other, "equal shares", spectra)

    low, high = 0.02, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if plan_at(middle).macs_ratio >= macs_ratio else (low, middle)
    return plan_at(low)


def decode(path: Path) -> tuple[Tensor, Tensor]:
    """Images (n, 3, 32, 32) uint8 and labels (n,) of concatenated JPEG files."""
    with np.load(path) as file:
        content, offsets, labels = file["jpeg"], file["offsets"], file["labels"]
    files = [content[a:b].tobytes() for a, b in pairwise(offsets)]
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")) for jpeg in files])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels.astype(np.int64))


def twin_indices(images: Tensor, others: Tensor) -> Tensor:
    """For each image, the index of the image among `others` with the highest correlation."""
    normalized = [normalize((v := pixels.float().flatten(1)) - v.mean(1, keepdim=True)) for pixels in (images, others)]
    return torch.cat([(batch @ normalized[1].T).argmax(1) for batch in normalized[0].split(100)])


def lossless_splits(shared: Path) -> tuple[wb.Split, wb.Split]:
    """The 2,000 training images and the 1,000 test images."""
    with np.load(shared / "cifar10_clean_subset.npz") as file:
        images = {p: torch.from_numpy(file[f"{p}_images"]).permute(0, 3, 1, 2).contiguous() for p in ("train", "test")}
        labels = {part: torch.from_numpy(file[f"{part}_labels"].astype(np.int64)) for part in ("train", "test")}
    return wb.Split(images["train"], labels["train"], "train"), wb.Split(images["test"], labels["test"], "test")


def splits(shared: Path) -> tuple[wb.Split, wb.Split, wb.Split, wb.Split]:
    """Lossless training, validation and test images; lossy training images without twins of the validation images."""
    train, test = lossless_splits(shared)
    lossy, lossy_labels = decode(shared / "cifar10_jpegq_train.npz")
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(SEED))
    held_out, training = order[:VALIDATION_IMAGES], order[VALIDATION_IMAGES:]
    is_kept = torch.ones(len(lossy_labels), dtype=torch.bool)
    is_kept[twin_indices(train.images[held_out], lossy)] = False
    return (
        wb.Split(train.images[training], train.labels[training], "train"),
        wb.Split(train.images[held_out], train.labels[held_out], "validation"),
        test,
        wb.Split(lossy[is_kept], lossy_labels[is_kept], "lossy"),
    )


def mix(clean: wb.Split, lossy: wb.Split, count: int) -> wb.Split:
    """Split of `count` images drawn by the seed, `CLEAN_SHARE` of them lossless."""
    generator = torch.Generator().manual_seed(SEED)
    clean_indices = torch.randperm(round(CLEAN_SHARE * count), generator=generator) % len(clean)
    lossy_indices = torch.randperm(len(lossy), generator=generator)[: count - len(clean_indices)]
    images = torch.cat([clean.images[clean_indices], lossy.images[lossy_indices]])
    return wb.Split(images, torch.cat([clean.labels[clean_indices], lossy.labels[lossy_indices]]), "train")


def train_for(
    network: wb.Network, recipe: wb.Recipe, teacher: wb.Network | None, parts: tuple[wb.Split, ...], minutes: float
) -> tuple[wb.Network, float]:
    """Train for `minutes`; return the trained network and the seconds of training.

    A short trial measures the time of a step; then the network is trained on as many images as fit, in whole epochs.
    """
    clean, validation, test, lossy = parts
    started = time.perf_counter()
    times: list[float] = []

    def data(count: int) -> wb.Data:
        return wb.Data(mix(clean, lossy, count), validation, test, name="CIFAR-10")

    def add_time(*_: object) -> None:
        times.append(time.perf_counter())

    trial = replace(recipe, learning_rate=1e-6, warmup=0.0)
    wb.finetune(network, data(recipe.batch_size * 16), recipe=trial, teacher=teacher, progress=add_time)
    step_s = median(b - a for a, b in pairwise(times[3:]))
    max_images = (60 * minutes - (time.perf_counter() - started)) / (1.1 * step_s) * recipe.batch_size
    epoch_images = len(lossy) / (1 - CLEAN_SHARE)
    epochs = max(1, round(max_images / epoch_images))
    count = int(min(epoch_images, max_images / epochs))
    final = replace(recipe, epochs=epochs)
    print(f"{count} images in each of {epochs} epochs", flush=True)
    network = wb.finetune(network, data(count), recipe=final, teacher=teacher, on_epoch=lambda e: print(e, flush=True))
    return network, time.perf_counter() - started


def top1(network: wb.Network, split: wb.Split) -> float:
    """Top-1 accuracy in percent."""
    return 100 * wb.score(network, split).top1


def with_labels(
    network: wb.Network, plans: dict[str, wb.Plan], parts: tuple[wb.Split, ...], minutes: float
) -> dict[str, Any]:
    """Calibrate both plans, fine-tune the better one by validation, and train its architecture from scratch."""
    clean, validation, test, _ = parts
    started = time.perf_counter()
    candidates = {key: wb.calibrate(wb.decompose(network, p), clean.images) for key, p in plans.items()}
    best = max(candidates, key=lambda key: top1(candidates[key], validation))
    calibrated, plan = candidates[best], plans[best]
    seconds = {"calibrated": time.perf_counter() - started}
    results: dict[str, Any] = {"plan": best, "macs_ratio": plan.macs_ratio}
    results["decomposed"] = top1(wb.decompose(network, plan), test)
    results["calibrated"] = top1(calibrated, test)
    print(results, flush=True)
    from_scratch: wb.Network = wb.from_scratch(calibrated, seed=SEED)
    finetuned, seconds["finetuned"] = train_for(calibrated, RECIPE, network, parts, minutes)
    results["finetuned"] = top1(finetuned, test)
    print(results, flush=True)
    from_scratch, seconds["from_scratch"] = train_for(from_scratch, SCRATCH, None, parts, minutes)
    results["from_scratch"] = top1(from_scratch, test)
    return {**results, "seconds": {key: round(value, 1) for key, value in seconds.items()}}


def without_labels(
    network: wb.Network, plan: wb.Plan, images: Tensor, test: wb.Split, minutes: float
) -> dict[str, Any]:
    """Calibrate a plan, and distil it."""
    started = time.perf_counter()
    calibrated = wb.calibrate(wb.decompose(network, plan), images)
    seconds = {"calibrated": time.perf_counter() - started}
    result: dict[str, Any] = {"macs_ratio": plan.macs_ratio, "images": len(images)}
    result["calibrated"] = top1(calibrated, test)
    started = time.perf_counter()
    distilled = wb.distill(calibrated, images, minutes=minutes)
    seconds["distilled"] = time.perf_counter() - started
    result["distilled"] = top1(distilled, test)
    verdict = wb.score(distilled, test).verdict(wb.score(calibrated, test))
    assert verdict is not None
    result["distilled - calibrated"] = [round(-100 * x, 2) for x in (verdict.lost, verdict.high, verdict.low)]
    return {**result, "seconds": {key: round(value, 1) for key, value in seconds.items()}}


def run(
    shared: Path, minutes: float = 15.0, *, ratios: Sequence[str] = (), labels: Sequence[str] = ()
) -> dict[str, Any]:
    """Top-1 in percent of the test images, for `ratios` and for `labels` ("with", "without"); all if they are empty."""
    network = wb.load_network("resnet20", weights=shared / "cifar10_resnet20.pth")
    network.model.to(memory_format=torch.channels_last)
    train, test = lossless_splits(shared)
    parts = splits(shared) if "with" in (labels or ("with",)) else None
    clean = parts[0] if parts else train
    spectra = wb.analyze(network)
    importance = wb.importance(network, spectra, clean.images[:IMPORTANCE_IMAGES])
    counts = {part.name: len(part) for part in parts or (train, test)}
    results: dict[str, Any] = {"images": counts, "original": top1(network, test)}
    for name in ratios or RATIOS:
        plans = {
            "budget": wb.budget_plan(spectra, macs_ratio=RATIOS[name], importance=importance, min_rank=MIN_RANK),
            "equal shares": equal_shares(spectra, RATIOS[name]),
        }
        if "without" in (labels or ("without",)):
            unlabelled = without_labels(network, plans["budget"], train.images, test, min(minutes, UNLABELLED_MINUTES))
            results.setdefault("without labels", {})[name] = unlabelled
            print(name, unlabelled, flush=True)
        if parts:
            results[name] = with_labels(network, plans, parts, minutes)
            print(name, results[name], flush=True)
    return results
