"""A real ResNet-20 on CIFAR-10, at MACs x2 and x3: decomposed, calibrated, fine-tuned, and trained from scratch.

Lossless are 2,000 training images and the 1,000 test images that are scored, and used for nothing else. 1,500 of the
former calibrate, without their labels, and are trained on; 500 are the validation part, by which the settings here were
chosen. The 50,000 training images are at hand as lossy JPEG only, on which the network itself is right in 86 % of its
own training images. So the original's softened answers on the same images are learned, not labels, and a share of what
is seen is lossless. The JPEG twins of the validation part (found by correlation) are taken out.

Two plans are calibrated for each ratio, by the budget and with equal shares of all channels; the one that is better on
the validation part is fine-tuned. Fine-tuning may take `minutes` for each ratio, and so may the baseline: the same
architecture from Gaussian initialisation on the same images, with their labels, as the paper has it. A few steps are
timed first, to know how many fit.

Without labels, the 2,000 lossless training images calibrate the budget, and then distil it for 10 minutes: 500 of them,
left out of both, had shown that it is the better plan.
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
"""Of the images of an epoch; each lossless one is seen several times, moved and mirrored."""

MIN_RANK = 8
"""At x3 the budget gives a layer the rank 1. Batch normalisation then has hardly any variance to divide by: in training
mode the loss is a hundred times that in evaluation (627, not 6), and the first steps lose the network."""

RATIOS = {"x2": 2.0, "x3": 3.0}
UNLABELLED_MINUTES = 10.0
"""Minutes of distillation, at most."""
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
    """Every spatial convolution at the same share of its channels, the largest that saves so many MACs."""

    def at(share: float) -> wb.Plan:
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
        low, high = (middle, high) if at(middle).macs_ratio >= macs_ratio else (low, middle)
    return at(low)


def decoded(path: Path) -> tuple[Tensor, Tensor]:
    """Images (n, 3, 32, 32) uint8 and labels (n,) of concatenated JPEG files."""
    with np.load(path) as file:
        content, offsets, labels = file["jpeg"], file["offsets"], file["labels"]
    pieces = [content[a:b].tobytes() for a, b in pairwise(offsets)]
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(piece)).convert("RGB")) for piece in pieces])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels.astype(np.int64))


def twins(images: Tensor, among: Tensor) -> Tensor:
    """For each image the index of the one among the others that it correlates with most."""
    flat = [normalize((v := some.float().flatten(1)) - v.mean(1, keepdim=True)) for some in (images, among)]
    return torch.cat([(piece @ flat[1].T).argmax(1) for piece in flat[0].split(100)])


def lossless(shared: Path) -> tuple[wb.Split, wb.Split]:
    """The 2,000 training images and the 1,000 test images."""
    with np.load(shared / "cifar10_clean_subset.npz") as file:
        images = {p: torch.from_numpy(file[f"{p}_images"]).permute(0, 3, 1, 2).contiguous() for p in ("train", "test")}
        labels = {part: torch.from_numpy(file[f"{part}_labels"].astype(np.int64)) for part in ("train", "test")}
    return wb.Split(images["train"], labels["train"], "train"), wb.Split(images["test"], labels["test"], "test")


def splits(shared: Path) -> tuple[wb.Split, wb.Split, wb.Split, wb.Split]:
    """Lossless training images, validation, test; and lossy training images without the twins of validation."""
    train, test = lossless(shared)
    lossy, classes = decoded(shared / "cifar10_jpegq_train.npz")
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(SEED))
    held, rest = order[:VALIDATION_IMAGES], order[VALIDATION_IMAGES:]
    left = torch.ones(len(classes), dtype=torch.bool)
    left[twins(train.images[held], lossy)] = False
    return (
        wb.Split(train.images[rest], train.labels[rest], "train"),
        wb.Split(train.images[held], train.labels[held], "validation"),
        test,
        wb.Split(lossy[left], classes[left], "lossy"),
    )


def mixed(clean: wb.Split, lossy: wb.Split, count: int) -> wb.Split:
    """`count` images, a share of them lossless, drawn by the seed."""
    chance = torch.Generator().manual_seed(SEED)
    ours = torch.randperm(round(CLEAN_SHARE * count), generator=chance) % len(clean)
    theirs = torch.randperm(len(lossy), generator=chance)[: count - len(ours)]
    images = torch.cat([clean.images[ours], lossy.images[theirs]])
    return wb.Split(images, torch.cat([clean.labels[ours], lossy.labels[theirs]]), "train")


def trained(
    network: wb.Network, recipe: wb.Recipe, teacher: wb.Network | None, parts: tuple[wb.Split, ...], minutes: float
) -> tuple[wb.Network, float]:
    """Train for so many minutes; return the trained network and the seconds that it took.

    A short training says how long a step takes; then as many images are shown as fit, in whole epochs.
    """
    clean, validation, test, lossy = parts
    started = time.perf_counter()
    times: list[float] = []

    def data(count: int) -> wb.Data:
        return wb.Data(mixed(clean, lossy, count), validation, test, name="CIFAR-10")

    def note_time(*_: object) -> None:
        times.append(time.perf_counter())

    trial = replace(recipe, learning_rate=1e-6, warmup=0.0)
    wb.finetune(network, data(recipe.batch_size * 16), recipe=trial, teacher=teacher, progress=note_time)
    step = median(b - a for a, b in pairwise(times[3:]))
    most = (60 * minutes - (time.perf_counter() - started)) / (1.1 * step) * recipe.batch_size
    whole = len(lossy) / (1 - CLEAN_SHARE)
    epochs = max(1, round(most / whole))
    count = int(min(whole, most / epochs))
    full = replace(recipe, epochs=epochs)
    print(f"{count} images in each of {epochs} epochs", flush=True)
    network = wb.finetune(network, data(count), recipe=full, teacher=teacher, on_epoch=lambda e: print(e, flush=True))
    return network, time.perf_counter() - started


def top1(network: wb.Network, split: wb.Split) -> float:
    """Share of right answers in percent."""
    return 100 * wb.score(network, split).top1


def with_labels(
    network: wb.Network, plans: dict[str, wb.Plan], parts: tuple[wb.Split, ...], minutes: float
) -> dict[str, Any]:
    """Calibrate both plans, fine-tune the better one by validation, and train its architecture from scratch."""
    clean, validation, test, _ = parts
    started = time.perf_counter()
    tried = {key: wb.calibrate(wb.decompose(network, p), clean.images) for key, p in plans.items()}
    best = max(tried, key=lambda key: top1(tried[key], validation))
    smaller, plan = tried[best], plans[best]
    seconds = {"calibrated": time.perf_counter() - started}
    found: dict[str, Any] = {"plan": best, "macs_ratio": plan.macs_ratio}
    found["decomposed"] = top1(wb.decompose(network, plan), test)
    found["calibrated"] = top1(smaller, test)
    print(found, flush=True)
    fresh: wb.Network = wb.from_scratch(smaller, seed=SEED)
    finetuned, seconds["finetuned"] = trained(smaller, RECIPE, network, parts, minutes)
    found["finetuned"] = top1(finetuned, test)
    print(found, flush=True)
    fresh, seconds["from_scratch"] = trained(fresh, SCRATCH, None, parts, minutes)
    found["from_scratch"] = top1(fresh, test)
    return {**found, "seconds": {key: round(value, 1) for key, value in seconds.items()}}


def without_labels(
    network: wb.Network, plan: wb.Plan, images: Tensor, test: wb.Split, minutes: float
) -> dict[str, Any]:
    """Calibrate a plan, and distil it."""
    started = time.perf_counter()
    calibrated = wb.calibrate(wb.decompose(network, plan), images)
    seconds = {"calibrated": time.perf_counter() - started}
    found: dict[str, Any] = {"macs_ratio": plan.macs_ratio, "images": len(images), "calibrated": top1(calibrated, test)}
    started = time.perf_counter()
    distilled = wb.distill(calibrated, images, minutes=minutes)
    seconds["distilled"] = time.perf_counter() - started
    found["distilled"] = top1(distilled, test)
    verdict = wb.score(distilled, test).verdict(wb.score(calibrated, test))
    assert verdict is not None
    found["distilled - calibrated"] = [round(-100 * x, 2) for x in (verdict.lost, verdict.high, verdict.low)]
    return {**found, "seconds": {key: round(value, 1) for key, value in seconds.items()}}


def run(
    shared: Path, minutes: float = 15.0, *, ratios: Sequence[str] = (), labels: Sequence[str] = ()
) -> dict[str, Any]:
    """Both ratios, "with" and "without" labels, or parts of that; top-1 in percent of the 1,000 test images."""
    network = wb.load_network("resnet20", weights=shared / "cifar10_resnet20.pth")
    network.model.to(memory_format=torch.channels_last)
    train, test = lossless(shared)
    parts = splits(shared) if "with" in (labels or ("with",)) else None
    clean = parts[0] if parts else train
    spectra = wb.analyze(network)
    measured = wb.importance(network, spectra, clean.images[:IMPORTANCE_IMAGES])
    counts = {part.name: len(part) for part in parts or (train, test)}
    results: dict[str, Any] = {"images": counts, "original": top1(network, test)}
    for name in ratios or RATIOS:
        plans = {
            "budget": wb.budget_plan(spectra, macs_ratio=RATIOS[name], importance=measured, min_rank=MIN_RANK),
            "equal shares": equal_shares(spectra, RATIOS[name]),
        }
        if "without" in (labels or ("without",)):
            made = without_labels(network, plans["budget"], train.images, test, min(minutes, UNLABELLED_MINUTES))
            results.setdefault("without labels", {})[name] = made
            print(name, made, flush=True)
        if parts:
            results[name] = with_labels(network, plans, parts, minutes)
            print(name, results[name], flush=True)
    return results
