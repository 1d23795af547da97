"""Recovery by the number of images, without labels: GoogLeNet and ResNet-20, calibrated, and then distilled.

GoogLeNet is scored by top-5 on the 300 images outside the first choice of `--case googlenet`, ResNet-20 by top-1 on the
1,000 lossless test images. With more than 200 images for GoogLeNet, fewer are scored: 400 to learn from, the maximum,
leave 100 to score. Smaller sets are subsets of larger ones. The plans use no images: EVBMF of the spatial
convolutions (MACs x2.33), and equal shares of the channels (x2). Intervals are paired, of 95 %.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import workbench as wb
from benchmarks import _recovery_googlenet as googlenet_case
from benchmarks import _recovery_resnet20 as resnet20_case
from benchmarks._recovery_googlenet import percent
from benchmarks._report import timed
from workbench.network.verdict import judge_pairs

COUNTS = (16, 50, 100, 200, 500)
MAX_GOOGLENET_IMAGES = 400
RESNET20_MACS_RATIO = 2.0

Case = tuple[wb.CompressedNetwork, wb.Split, Callable[[wb.Network, wb.Split], Tensor]]
"""A compressed network, its images in order of use, and a function for the hits (n,) of a network on a split."""


def googlenet(shared: Path) -> Case:
    """GoogLeNet's compressed network, images and hits."""
    network, loaded = googlenet_case.loaded_googlenet(shared)
    order = torch.randperm(len(loaded), generator=torch.Generator().manual_seed(googlenet_case.SEED))
    plan = wb.evbmf_plan(wb.analyze(network), layers="spatial")
    return wb.decompose(network, plan), googlenet_case.part(loaded, order), googlenet_case.top5


def resnet20(shared: Path) -> Case:
    """ResNet-20's compressed network, images (500 to learn from, then the test images) and hits."""
    network = wb.load_network("resnet20", weights=shared / "cifar10_resnet20.pth")
    train, test = resnet20_case.lossless_splits(shared)
    images = torch.cat([train.images[: max(COUNTS)], test.images])
    labels = torch.cat([train.labels[: max(COUNTS)], test.labels])
    plan = resnet20_case.equal_shares(wb.analyze(network), RESNET20_MACS_RATIO)
    return wb.decompose(network, plan), wb.Split(images, labels, "images"), top1


def top1(network: wb.Network, split: wb.Split) -> Tensor:
    """Whether the label of each image is the first answer, (n,)."""
    return torch.from_numpy(wb.score(network, split).hits)


NETWORKS = {"googlenet": (googlenet, 200, MAX_GOOGLENET_IMAGES), "resnet20": (resnet20, max(COUNTS), max(COUNTS))}
"""Name -> function that loads the case, index of the first scored image, largest number of images to learn from."""


def run(shared: Path, minutes: float, *, networks: Sequence[str] = (), counts: Sequence[int] = ()) -> dict[str, Any]:
    """Points lost by number of images, calibrated and distilled for `minutes`; all networks and counts, or some."""
    results: dict[str, Any] = {"minutes of distillation": minutes}
    for name in networks or NETWORKS:
        load_case, first_scored, max_images = NETWORKS[name]
        compressed, split, hits_of = load_case(shared)
        original = hits_of(compressed.original, split)
        points: list[dict[str, Any]] = []
        for count in counts or COUNTS:
            n_images = min(count, max_images)
            images, scored = split.images[torch.arange(n_images)], torch.arange(max(first_scored, n_images), len(split))
            scored_split, original_hits = googlenet_case.part(split, scored), original[scored]
            point: dict[str, Any] = {"images": n_images, "scored": len(scored), "original": percent(original_hits)}
            seconds, recovered = timed(partial(wb.calibrate, compressed, images))
            point["calibrated"] = comparison(original_hits, hits_of(recovered, scored_split), seconds)
            if minutes > 0:
                seconds, recovered = timed(partial(wb.distill, recovered, images, minutes=minutes))
                point["distilled"] = comparison(original_hits, hits_of(recovered, scored_split), seconds)
            print(name, point, flush=True)
            points.append(point)
        results[name] = {"macs_ratio": compressed.plan.macs_ratio, "score": hits_of.__name__, "points": points}
    return results


def comparison(original: Tensor, hits: Tensor, seconds: float) -> dict[str, float]:
    """Score in percent, points lost against the original with their interval, and seconds."""
    loss = judge_pairs(original.numpy(), hits.numpy())
    points = {"lost": 100 * loss.lost, "low": 100 * loss.low, "high": 100 * loss.high}
    return {"score": percent(hits), **{key: round(value, 2) for key, value in points.items()}, "seconds": seconds}
