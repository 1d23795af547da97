"""`wb.compress` of real BVLC GoogLeNet in five minutes, with 200 ImageNet images without labels and nothing else.

At most 3 points of accuracy may be lost, estimated by the original's probabilities of the changed answers. The other
300 images only score the result. The progress's estimate of the total time after 30 seconds is compared with the actual
time. `MINUTES` is the time limit; `--minutes` is ignored.
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
ESTIMATE_AT_S = 30.0


class Estimate:
    """Estimates the total seconds from the first report of progress after `ESTIMATE_AT_S`."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.total: float | None = None

    def __call__(self, share: float, note: str) -> None:
        elapsed = time.perf_counter() - self.started
        if self.total is None and elapsed >= ESTIMATE_AT_S:
            remaining_s = remaining_seconds(share, elapsed)
            self.total = None if remaining_s is None else elapsed + remaining_s


def run(shared: Path, minutes: float = 0.0) -> dict[str, Any]:
    """Ratio of MACs, loss on the scored images, seconds, and their estimate."""
    network, loaded = loaded_googlenet(shared)
    order = torch.randperm(len(loaded), generator=torch.Generator().manual_seed(SEED))
    images = wb.Split.unlabelled(loaded.images[order[:RECOVERY_IMAGES]], "recovery")
    scored = part(loaded, order[RECOVERY_IMAGES:])
    wb.score(network, part(scored, torch.arange(8)))
    estimate = Estimate()
    result = wb.compress(network, images, max_drop=MAX_DROP_POINTS, minutes=MINUTES, progress=estimate)
    seconds = time.perf_counter() - estimate.started
    assert result.network is not None
    before, after = (wb.score(scored_network, scored) for scored_network in (network, result.network))
    agreement = result.score()
    return {
        "macs_ratio": result.plan.macs_ratio,
        "original_top5": 100 * before.top5,
        "top5_lost": 100 * (before.top5 - after.top5),
        "top1_lost": 100 * (before.top1 - after.top1),
        "agreement": None if agreement is None else 100 * agreement.top1,
        "seconds": seconds,
        "estimate_after_30_s": estimate.total,
        "tries": list(result.tries),
    }
