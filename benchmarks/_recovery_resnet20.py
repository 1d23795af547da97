"""A real ResNet-20 on CIFAR-10, at MACs x2 and x3: decomposed, calibrated, distilled, and trained from scratch.

2,000 training images and the 1,000 test images are lossless; the test images are only scored. 500 of the training
images are the validation part, by which settings and plans were chosen.

Distillation learns the original's softened answers on lossless images, and on random crops of 500 photographs of
ImageNet, whatever they show; the crops are auxiliary images. The case "without labels" has the other 1,500 lossless
images, and 10 minutes. The case "with labels" has 15 minutes for each ratio, and as many auxiliary images of the 50,000
training images, which exist as lossy JPEG only; the network classifies 86 % of them correctly. The JPEG twins of the
lossless images, found by correlation, are removed. Two plans are calibrated, by a budget and with equal shares of all
channels; the one with the better validation score is calibrated and distilled on all 2,000. The baseline is the same
architecture, trained as long with labels, on 1,500 lossless and all lossy images, from Gaussian initialisation, as in
the paper. A few timed steps tell how many fit.
"""

import io
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
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
from benchmarks._report import timed
from workbench.catalog.networks.torchvision import torchvision

SEED = 20160226
VALIDATION_IMAGES, IMPORTANCE_IMAGES = 500, 128
CLEAN_SHARE = 0.25
"""Share of lossless images in an epoch; each is seen several times, shifted and mirrored."""

LOSSY_IMAGES, CROPS_PER_PHOTOGRAPH = 4_500, 9
"""Auxiliary images of distillation: lossy ones (with labels only), and random crops of each photograph."""

MIN_CROP_AREA = 0.15
"""Smallest area of a crop, as a share of the photograph's."""

MIN_RANK = 6
"""Smallest rank of a plan. After calibration at x3 the divergence from the original on the validation images is 0.510
with 6, 0.514 with 1, and 0.578 with 8."""

RATIOS = {"x2": 2.0, "x3": 3.0}
UNLABELLED_MINUTES = 10.0  # of distillation, at most
SCRATCH = wb.Recipe(
    epochs=1,
    learning_rate=0.1,
    schedule="cosine",
    warmup=0.05,
    optimizer="nesterov",
    weight_decay=5e-4,
    batch_size=128,
    flip=True,
    shift=2,
)


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
    """Lossless training, validation and test images; lossy training images without twins of the lossless ones."""
    train, test = lossless_splits(shared)
    lossy, lossy_labels = decode(shared / "cifar10_jpegq_train.npz")
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(SEED))
    held_out, training = order[:VALIDATION_IMAGES], order[VALIDATION_IMAGES:]
    is_kept = torch.ones(len(lossy_labels), dtype=torch.bool)
    is_kept[twin_indices(train.images, lossy)] = False
    return (
        wb.Split(train.images[training], train.labels[training], "train"),
        wb.Split(train.images[held_out], train.labels[held_out], "validation"),
        test,
        wb.Split(lossy[is_kept], lossy_labels[is_kept], "lossy"),
    )


def photograph_crops(shared: Path, count: int) -> Tensor:
    """Random crops of 500 photographs, `count` of each: (500 * count, 3, 32, 32) uint8."""
    photographs = wb.load_data("images", root=shared / "imagenet_sample", labels="labels.csv").test.images
    crop = torchvision("transforms.v2").RandomResizedCrop(32, scale=(MIN_CROP_AREA, 1.0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return torch.stack([crop(image) for image in photographs for _ in range(count)])


def mix(clean: wb.Split, lossy: wb.Split, count: int) -> wb.Split:
    """Split of `count` images drawn by the seed, `CLEAN_SHARE` of them lossless."""
    generator = torch.Generator().manual_seed(SEED)
    clean_indices = torch.randperm(round(CLEAN_SHARE * count), generator=generator) % len(clean)
    lossy_indices = torch.randperm(len(lossy), generator=generator)[: count - len(clean_indices)]
    images = torch.cat([clean.images[clean_indices], lossy.images[lossy_indices]])
    return wb.Split(images, torch.cat([clean.labels[clean_indices], lossy.labels[lossy_indices]]), "train")


def train_for(network: wb.Network, parts: tuple[wb.Split, ...], minutes: float) -> tuple[wb.Network, float]:
    """Train with labels for `minutes`; return the trained network and the seconds of training.

    A short trial measures the time of a step; then the network is trained on as many images as fit, in whole epochs.
    """
    clean, validation, test, lossy = parts
    started = time.perf_counter()
    times: list[float] = []

    def data(count: int) -> wb.Data:
        return wb.Data(mix(clean, lossy, count), validation, test, name="CIFAR-10")

    def add_time(*_: object) -> None:
        times.append(time.perf_counter())

    trial = replace(SCRATCH, learning_rate=1e-6, warmup=0.0)
    wb.finetune(network, data(SCRATCH.batch_size * 16), recipe=trial, progress=add_time)
    step_s = median(b - a for a, b in pairwise(times[3:]))
    max_images = (60 * minutes - (time.perf_counter() - started)) / (1.1 * step_s) * SCRATCH.batch_size
    epoch_images = len(lossy) / (1 - CLEAN_SHARE)
    epochs = max(1, round(max_images / epoch_images))
    count = int(min(epoch_images, max_images / epochs))
    final = replace(SCRATCH, epochs=epochs)
    print(f"{count} images in each of {epochs} epochs", flush=True)
    network = wb.finetune(network, data(count), recipe=final, on_epoch=partial(print, flush=True))
    return network, time.perf_counter() - started


def top1(network: wb.Network, split: wb.Split) -> float:
    """Top-1 accuracy in percent."""
    return 100 * wb.score(network, split).top1


def recover(
    calibrated: wb.CompressedNetwork, images: Tensor, auxiliary: Tensor, test: wb.Split, minutes: float
) -> tuple[dict[str, Any], float]:
    """Distil a calibrated network; return its scores and the seconds of distillation."""
    original, counts = calibrated.original, {"images": len(images), "auxiliary": len(auxiliary)}
    result: dict[str, Any] = {"macs_ratio": calibrated.plan.macs_ratio, **counts}
    result["decomposed"] = top1(wb.decompose(original, calibrated.plan), test)
    result["calibrated"] = top1(calibrated, test)
    print(result, flush=True)
    settings = {"auxiliary": auxiliary, "minutes": minutes, "on_epoch": partial(print, flush=True)}
    seconds, distilled = timed(lambda: wb.distill(calibrated, images, **settings))
    score = wb.score(distilled, test)
    result["distilled"] = 100 * score.top1
    for name, before in (("distilled - calibrated", calibrated), ("distilled - original", original)):
        verdict = score.verdict(wb.score(before, test))
        assert verdict is not None
        result[name] = [round(-100 * x, 2) for x in (verdict.lost, verdict.high, verdict.low)]
    return result, seconds


def with_labels(
    network: wb.Network, plans: dict[str, wb.Plan], parts: tuple[wb.Split, ...], crops: Tensor, minutes: float
) -> dict[str, Any]:
    """Choose a plan by validation, recover it on all lossless images, and train its architecture from scratch."""
    clean, validation, test, lossy = parts
    started = time.perf_counter()
    scores = {key: top1(wb.calibrate(wb.decompose(network, p), clean.images), validation) for key, p in plans.items()}
    best = max(scores, key=lambda key: scores[key])
    images = torch.cat([clean.images, validation.images])
    calibrated = wb.calibrate(wb.decompose(network, plans[best]), images)
    seconds = {"calibrated": time.perf_counter() - started}
    order = torch.randperm(len(lossy), generator=torch.Generator().manual_seed(SEED))
    auxiliary = torch.cat([lossy.images[order[:LOSSY_IMAGES]], crops])
    result, seconds["distilled"] = recover(calibrated, images, auxiliary, test, minutes)
    print(result, flush=True)
    from_scratch: wb.Network = wb.from_scratch(calibrated, seed=SEED)
    from_scratch, seconds["from_scratch"] = train_for(from_scratch, parts, minutes)
    result["from_scratch"] = top1(from_scratch, test)
    return {"plan": best, **result, "seconds": {key: round(value, 1) for key, value in seconds.items()}}


def without_labels(
    network: wb.Network, plan: wb.Plan, images: Tensor, crops: Tensor, test: wb.Split, minutes: float
) -> dict[str, Any]:
    """Calibrate a plan on images, and distil it on them and on crops of photographs, which are auxiliary."""
    seconds = {}
    seconds["calibrated"], calibrated = timed(lambda: wb.calibrate(wb.decompose(network, plan), images))
    result, seconds["distilled"] = recover(calibrated, images, crops, test, minutes)
    return {**result, "seconds": {key: round(value, 1) for key, value in seconds.items()}}


def run(
    shared: Path, minutes: float = 15.0, *, ratios: Sequence[str] = (), labels: Sequence[str] = ()
) -> dict[str, Any]:
    """Top-1 in percent of the test images, for `ratios` and for `labels` ("with", "without"); all if they are empty."""
    network = wb.load_network("resnet20", weights=shared / "cifar10_resnet20.pth")
    network.model.to(memory_format=torch.channels_last)
    parts = splits(shared)
    clean, _, test, _ = parts
    spectra = wb.analyze(network)
    importance = wb.importance(network, spectra, clean.images[:IMPORTANCE_IMAGES])
    crops = photograph_crops(shared, CROPS_PER_PHOTOGRAPH)
    counts = {part.name: len(part) for part in parts}
    results: dict[str, Any] = {"images": counts, "original": top1(network, test)}
    for name in ratios or RATIOS:
        plans = {
            "budget": wb.budget_plan(spectra, macs_ratio=RATIOS[name], importance=importance, min_rank=MIN_RANK),
            "equal shares": equal_shares(spectra, RATIOS[name]),
        }
        if "without" in (labels or ("without",)):
            limit = min(minutes, UNLABELLED_MINUTES)
            unlabelled = without_labels(network, plans["budget"], clean.images, crops, test, limit)
            results.setdefault("without labels", {})[name] = unlabelled
            print(name, unlabelled, flush=True)
        if "with" in (labels or ("with",)):
            results[name] = with_labels(network, plans, parts, crops, minutes)
            print(name, results[name], flush=True)
    return results
