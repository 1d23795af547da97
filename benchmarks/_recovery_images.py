"""Recovery by the number of images, without labels: GoogLeNet and ResNet-20, calibrated, and then distilled.

GoogLeNet is scored by top-5 on the 300 images that the first choice of `--case googlenet` leaves, ResNet-20 by top-1 on
the 1,000 lossless test images. More than 200 images of GoogLeNet are taken from those 300: 400 images to learn from,
the most, leave 100 to score. Fewer images are a part of more. The plans use no images: EVBMF of the spatial
convolutions (MACs x2.33), and equal shares of the channels (x2). Intervals are paired, of 95 %.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import workbench as wb
from benchmarks import _recovery_googlenet as of_googlenet
from benchmarks import _recovery_resnet20 as of_resnet20
from benchmarks._recovery_googlenet import percent
from benchmarks._report import timed
from workbench.network.verdict import judge_pairs

COUNTS = (16, 50, 100, 200, 500)
MOST_OF_GOOGLENET = 400
MACS_RATIO_OF_RESNET20 = 2.0

Case = tuple[wb.CompressedNetwork, wb.Split, Callable[[wb.Network, wb.Split], Tensor]]
"""A compressed network, its images in the order in which they are used, and the hits (n,) of a network on a split."""


def googlenet(shared: Path) -> Case:
    """GoogLeNet's plan, images and hits."""
    network, loaded = of_googlenet.loaded_googlenet(shared)
    order = torch.randperm(len(loaded), generator=torch.Generator().manual_seed(of_googlenet.SEED))
    plan = wb.evbmf_plan(wb.analyze(network), layers="spatial")
    return wb.decompose(network, plan), of_googlenet.part(loaded, order), of_googlenet.top5


def resnet20(shared: Path) -> Case:
    """ResNet-20's plan, images (500 to learn from, then those of the test) and hits."""
    network = wb.load_network("resnet20", weights=shared / "cifar10_resnet20.pth")
    train, test = of_resnet20.lossless(shared)
    images = torch.cat([train.images[: max(COUNTS)], test.images])
    labels = torch.cat([train.labels[: max(COUNTS)], test.labels])
    plan = of_resnet20.equal_shares(wb.analyze(network), MACS_RATIO_OF_RESNET20)
    return wb.decompose(network, plan), wb.Split(images, labels, "images"), top1


def top1(network: wb.Network, split: wb.Split) -> Tensor:
    """Whether the label of each image is the first answer, (n,)."""
    return torch.from_numpy(wb.score(network, split).hits)


NETWORKS = {"googlenet": (googlenet, 200, MOST_OF_GOOGLENET), "resnet20": (resnet20, max(COUNTS), max(COUNTS))}
"""Name -> its case, the number of images before those that are scored, and the most to learn from."""


def run(shared: Path, minutes: float, *, networks: Sequence[str] = (), counts: Sequence[int] = ()) -> dict[str, Any]:
    """Points lost against the original by number of images; each is distilled for `minutes`. Parts by name, or all."""
    results: dict[str, Any] = {"minutes of distillation": minutes}
    for name in networks or NETWORKS:
        case, before, most = NETWORKS[name]
        compressed, split, right = case(shared)
        original = right(compressed.original, split)
        points: list[dict[str, Any]] = []
        for count in counts or COUNTS:
            learned = min(count, most)
            images, scored = split.images[torch.arange(learned)], torch.arange(max(before, learned), len(split))
            judged, hit = of_googlenet.part(split, scored), original[scored]
            point: dict[str, Any] = {"images": learned, "scored": len(scored), "original": percent(hit)}
            seconds, smaller = timed(partial(wb.calibrate, compressed, images))
            point["calibrated"] = found(hit, right(smaller, judged), seconds)
            if minutes > 0:
                seconds, smaller = timed(partial(wb.distill, smaller, images, minutes=minutes))
                point["distilled"] = found(hit, right(smaller, judged), seconds)
            print(name, point, flush=True)
            points.append(point)
        results[name] = {"macs_ratio": compressed.plan.macs_ratio, "score": right.__name__, "points": points}
    return results


def found(original: Tensor, right: Tensor, seconds: float) -> dict[str, float]:
    """Score in percent, points lost against the original with their interval, and the seconds that it took."""
    lost = judge_pairs(original.numpy(), right.numpy())
    points = {"lost": 100 * lost.lost, "low": 100 * lost.low, "high": 100 * lost.high}
    return {"score": percent(right), **{key: round(value, 2) for key, value in points.items()}, "seconds": seconds}
