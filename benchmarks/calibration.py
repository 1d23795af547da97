"""Time calibration and importance relative to their necessary computations, on ResNet-18, GoogLeNet and VGG-16 shapes.

Weights and images are random, from a seed. With ``--shared FOLDER`` GoogLeNet has BVLC's weights and real images: the
outputs of a deep random network hardly depend on the image, so that errors relative to their variance say little.
Seconds are processor time, so that other programs do not count.
The floor of calibration is one pass of both networks over the images, the moments of every layer, and one factorisation
and solve of each layer's problem: `wb.calibrate` without ReLU rounds, at a fixed ridge, with one sweep over Tucker-2's
factors. `importance_passes` is the time of `wb.importance` in forward passes over the same images.

`loss_ratio` is the error of the outputs on held-out images, divided by the error with the best of six ridges by
two-fold cross-validation.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch

import workbench as wb
from benchmarks._report import parser, report
from workbench.kernels.regression import Normal, scale
from workbench.recover import refit

NETWORKS = {"resnet18": 64, "googlenet": 64, "vgg16": 32}
"""Name in the catalog -> number of images."""
IMPORTANCE_IMAGES, HELD_OUT_IMAGES = 48, 64
RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def cross_validated_ridge(halves: Sequence[Normal], prior: torch.Tensor, *, start: float = 0.0) -> float:
    """Half of the best of `RIDGES` by two-fold cross-validation, which takes twelve factorisations."""
    losses = dict.fromkeys(reversed(RIDGES), 0.0)
    for fit, check in (halves, halves[::-1]):
        residual, check_residual = (moments.cross - prior @ moments.inputs for moments in (fit, check))
        for ridge in losses:
            ridged = fit.inputs + ridge * scale(fit.inputs) * torch.eye(len(fit.inputs), dtype=fit.inputs.dtype)
            change = torch.linalg.solve(ridged, residual.mT, left=True).mT
            losses[ridge] += float(((change @ check.inputs - 2 * check_residual) * change).sum())
    return min(losses, key=losses.__getitem__) / 2


@contextmanager
def patched(**values: Any) -> Iterator[None]:
    """Replace names of the module that fits a layer."""
    with mock.patch.multiple(refit, **values):
        yield


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds and result of a call."""
    started = time.process_time()
    result = function()
    return time.process_time() - started, result


def load_case(name: str, images: int, shared: Path | None) -> tuple[wb.Network, torch.Tensor]:
    """A network, and images of its input shape."""
    torch.manual_seed(0)
    if name == "googlenet" and shared is not None:
        network = wb.load_network("googlenet_bvlc", weights=shared / "googlenet_bvlc.safetensors")
        data = wb.load_data("images", root=shared / "imagenet_sample", labels="labels.csv")
        return network, data.test.images[:images]
    network = wb.load_network(name, weights=None)
    return network, torch.rand(images, *network.input_shape)


def measure(name: str, images: int, shared: Path | None) -> dict[str, Any]:
    """Measure one network."""
    network, all_images = load_case(name, images + HELD_OUT_IMAGES, shared)
    spectra = wb.analyze(network)
    small = wb.decompose(network, wb.budget_plan(spectra, 2.0))
    calibration_images = all_images[:images]
    with patched(choose_ridge=lambda *_, **__: 1e-2, MAX_SWEEPS=1):
        floor_s, _ = timed(lambda: wb.calibrate(small, calibration_images, rounds=0))
    calibration_s, calibrated = timed(lambda: wb.calibrate(small, calibration_images))
    importance_images = all_images[:IMPORTANCE_IMAGES]
    pass_s = min(timed(lambda: forward(network, importance_images))[0] for _ in range(3))
    importance_s, _ = timed(lambda: wb.importance(network, spectra, importance_images))
    with patched(choose_ridge=cross_validated_ridge):
        reference_s, reference = timed(lambda: wb.calibrate(small, calibration_images))
    errors = [output_error(candidate, all_images[images:]) for candidate in (calibrated, reference)]
    return {
        "weights": network.source,
        "images": images,
        "seconds": calibration_s,
        "floor_seconds": floor_s,
        "ratio_to_floor": calibration_s / floor_s,
        "importance_passes": importance_s / pass_s,
        "seconds_before": reference_s,
        "loss_ratio": errors[0] / errors[1],
    }


def forward(network: wb.Network, images: torch.Tensor) -> None:
    """One pass over the images, in the batches that the importance uses."""
    with torch.no_grad():
        for batch in images.split(8):
            network.run(network.inputs(batch))


def output_error(small: Any, images: torch.Tensor) -> float:
    """Squared error of the outputs as a share of their variance."""
    with torch.no_grad():
        target, outputs = (network.run(network.inputs(images)).double() for network in (small.original, small))
    return float((outputs - target).square().sum() / (target - target.mean(0)).square().sum())


def main() -> None:
    """Read the options, measure, report."""
    arguments = parser(__doc__)
    arguments.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    arguments.add_argument("--shared", type=Path, help="folder with GoogLeNet's weights and real images")
    arguments.add_argument("--threads", type=int, default=2)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    results: dict[str, Any] = {"threads": options.threads}
    for name in options.networks:
        results[name] = measure(name, NETWORKS[name], options.shared)
        print(name, results[name], flush=True)
    report(results, options.json)


if __name__ == "__main__":
    main()
