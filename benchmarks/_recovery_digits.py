"""The bundled network on scikit-learn's digits, at MACs x8 and beyond, fine-tuned with the original as its teacher.

Settings, the ratio among them, were chosen by the validation split; the 500 test scans are scored once.
"""

from pathlib import Path
from typing import Any

import workbench as wb
from workbench.plan.budget import budget_plan
from workbench.recover.balance import balance
from workbench.recover.calibrate import calibrate
from workbench.recover.recipe import Recipe

MACS_RATIO = 8.0
RECIPE = Recipe(
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
    plan = budget_plan(wb.analyze(network), MACS_RATIO, images=data.train, network=network)
    smaller = wb.decompose(network, plan)
    results = {
        "macs_ratio": plan.macs_ratio,
        "weights_ratio": plan.weights_ratio,
        "original": wb.accuracy(network, data.test).top1,
        "decomposed": wb.accuracy(smaller, data.test).top1,
    }
    smaller = balance(calibrate(smaller, network, data.train))
    results["calibrated"] = wb.accuracy(smaller, data.test).top1
    for epoch in wb.finetune(smaller, data, recipe=RECIPE, teacher=network):
        print(epoch, flush=True)
    results["finetuned"] = wb.accuracy(smaller, data.test).top1
    return results


if __name__ == "__main__":
    import json

    print(json.dumps(run(), indent=2))
