"""The bundled network on scikit-learn's digits, at MACs x8 and beyond, fine-tuned with the original as its teacher.

The settings and the ratio were chosen by the validation split; the 500 test scans are scored once.
"""

from pathlib import Path
from typing import Any

import workbench as wb

MACS_RATIO = 8.0
RECIPE = wb.Recipe(
    epochs=12,
    learning_rate=1e-2,
    schedule="cosine",
    warmup=0.5,
    optimizer="nesterov",
    clip_norm=1.0,
    label_weight=0.1,
    temperature=4.0,
    shift=1,
)


def run(shared: Path | None = None, minutes: float = 15.0) -> dict[str, Any]:
    """Top-1 in percent of the test split at each stage; needs no shared data, and takes seconds."""
    network, data = wb.load_network("digits_vgg"), wb.load_data("digits")

    def top1(network: wb.Network) -> float:
        return 100 * wb.score(network, data).top1

    spectra = wb.analyze(network)
    importance = wb.importance(network, spectra, data.train.images)
    plan = wb.budget_plan(spectra, macs_ratio=MACS_RATIO, importance=importance)
    decomposed = wb.decompose(network, plan)
    calibrated = wb.calibrate(decomposed, data.train.images)
    finetuned = wb.finetune(calibrated, data, recipe=RECIPE, teacher=network, on_epoch=lambda e: print(e, flush=True))
    return {
        "macs_ratio": plan.macs_ratio,
        "weights_ratio": plan.weights_ratio,
        "original": top1(network),
        "decomposed": top1(decomposed),
        "calibrated": top1(calibrated),
        "finetuned": top1(finetuned),
    }
