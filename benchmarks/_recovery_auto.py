"""`wb.compress` of real BVLC GoogLeNet in five minutes, with 200 ImageNet images without labels and nothing else.

At most 3 points of accuracy may be lost, by the original's own probabilities of the answers that change. The other 300
images score the result and are used for nothing else. The time that the progress estimates after 30 seconds is compared
with what it took. The minutes are the case's own: `--minutes` is of training.
"""

import time
from pathlib import Path
from typing import Any

import torch

import workbench as wb
from benchmarks._recovery_googlenet import RECOVERY_IMAGES, SEED, loaded_googlenet, part
from workbench.progress import remaining_seconds

MINUTES = 5.0
MAX_DROP_POINTS = 3.0
"""Points of accuracy that may be lost."""
ESTIMATE_AT_S = 30.0
"""Seconds after which the estimate is taken."""


class Estimate:
    """Takes the total seconds that follow from the first report of progress after `ESTIMATE_AT_S`."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.total: float | None = None

    def __call__(self, share: float, note: str) -> None:
        elapsed = time.perf_counter() - self.began
        if self.total is None and elapsed >= ESTIMATE_AT_S:
            left = remaining_seconds(share, elapsed)
            self.total = None if left is None else elapsed + left


def run(shared: Path, minutes: float = 0.0) -> dict[str, Any]:
    """Ratio of MACs, loss on the images that were used for nothing else, seconds, and the estimate."""
    network, loaded = loaded_googlenet(shared)
    order = torch.randperm(len(loaded), generator=torch.Generator().manual_seed(SEED))
    images = wb.Split.unlabelled(loaded.images[order[:RECOVERY_IMAGES]], "recovery")
    scored = part(loaded, order[RECOVERY_IMAGES:])
    wb.score(network, part(scored, torch.arange(8)))
    estimate = Estimate()
    found = wb.compress(network, images, max_drop=MAX_DROP_POINTS, minutes=MINUTES, progress=estimate)
    seconds = time.perf_counter() - estimate.began
    assert found.network is not None
    before, after = (wb.score(each, scored) for each in (network, found.network))
    agreed = found.score()
    return {
        "macs_ratio": found.plan.macs_ratio,
        "original_top5": 100 * before.top5,
        "top5_lost": 100 * (before.top5 - after.top5),
        "top1_lost": 100 * (before.top1 - after.top1),
        "agreement": None if agreed is None else 100 * agreed.top1,
        "seconds": seconds,
        "estimate_after_30_s": estimate.total,
        "tries": list(found.tries),
    }
