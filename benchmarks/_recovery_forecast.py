"""Forecast agreement beside agreement after calibration: real GoogLeNet, real ResNet-20 and the bundled network.

Plans meet a budget of MACs by importance. Importance and forecasts come from unlabelled images that no network was
trained on; the agreement is measured on other images after calibration.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import Tensor

import workbench as wb
from benchmarks._recovery_googlenet import loaded_googlenet, other_indices, recovery_indices
from benchmarks._recovery_resnet20 import lossless_splits

RATIOS = (1.25, 1.5, 2.0, 3.0, 4.0)
FORECAST_IMAGES = {"googlenet": 100, "resnet20": 256, "digits": 256}
CALIBRATION_IMAGES = 500
"""For ResNet-20 and the bundled network; GoogLeNet has the 200 images of the first choice."""


def cases(shared: Path, names: Sequence[str]) -> Iterator[tuple[str, wb.Network, Tensor, Tensor, Tensor]]:
    """Yield name, network, and images for forecast, calibration and measurement."""
    if "googlenet" in names:
        network, loaded = loaded_googlenet(shared)
        indices = recovery_indices(len(loaded), 0)
        images, others = loaded.images[indices], loaded.images[other_indices(len(loaded), indices)]
        yield "googlenet", network, images[: FORECAST_IMAGES["googlenet"]], images, others
    if "resnet20" in names:
        network = wb.load_network("resnet20", weights=shared / "cifar10_resnet20.pth")
        clean, test = lossless_splits(shared)
        n = FORECAST_IMAGES["resnet20"]
        yield "resnet20", network, test.images[:n], clean.images[:CALIBRATION_IMAGES], test.images[n:]
    if "digits" in names:
        network, data = wb.load_network("digits_vgg"), wb.load_data("digits")
        n = FORECAST_IMAGES["digits"]
        yield "digits", network, data.validation.images[:n], data.train.images[:CALIBRATION_IMAGES], data.test.images


def run(shared: Path, minutes: float = 0.0, *, networks: Sequence[str] = ()) -> dict[str, Any]:
    """Forecast and measured agreement in percent, for each network and ratio; nothing is trained."""
    results: dict[str, Any] = {}
    for name, network, unlabelled, calibration, others in cases(shared, networks or list(FORECAST_IMAGES)):
        spectra = wb.analyze(network)
        importance = wb.importance(network, spectra, unlabelled)
        rows = {}
        for ratio in RATIOS:
            plan = wb.budget_plan(spectra, macs_ratio=ratio, importance=importance)
            forecast = plan.forecast(network, unlabelled, importance=importance)
            calibrated = wb.calibrate(wb.decompose(network, plan), calibration)
            agreement = wb.compare(calibrated, others).agreement
            shares = {"forecast": forecast.agreement, "low": forecast.low, "high": forecast.high, "measured": agreement}
            rows[f"x{ratio:g}"] = {key: round(100 * (value or 0.0), 2) for key, value in shares.items()}
            print(name, ratio, rows[f"x{ratio:g}"], flush=True)
        differences = [abs(row["forecast"] - row["measured"]) for row in rows.values()]
        ordered = sorted(rows.values(), key=lambda row: -row["measured"]) == list(rows.values())
        results[name] = {**rows, "mean_difference": round(fmean(differences), 2), "order_right": ordered}
    return results
