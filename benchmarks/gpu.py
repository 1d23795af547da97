"""The same work on a GPU and on the CPU: analysis, calibration, distillation, fine-tuning, and one pass of a network.

Both start from the same network (ResNet-18 of random weights whose singular values fall as trained ones do) and the
same images, noise from a seed. The ranks must be equal, and the outputs of the resulting networks similar: see
`MIN_SNR_DB`. Fine-tuning uses mixed precision, which a CPU ignores. A pass is timed with CUDA events on the GPU.
Without a GPU nothing is measured, and a sentence says so.
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, TypeVar
from unittest.mock import patch

import torch

import workbench as wb
from benchmarks._report import parser, report
from benchmarks.speed import load
from workbench.measure.runtimes import synchronize
from workbench.network.network import copy_model
from workbench.network.outputs import powers_of, snr_db
from workbench.network.scores import answers

IMAGES = 64
BATCH = 16  # images of the timed pass
MACS_RATIO = 2.0
WARM_UP_RUNS, RUNS = 5, 30
MIN_SNR_DB = {"calibrated": 40.0, "distilled": 25.0, "fine-tuned": 10.0}
"""Stage -> smallest signal-to-noise ratio of the GPU's outputs to the CPU's: they differ by rounding, by rounding in
many steps, and by bfloat16 in many steps."""

T = TypeVar("T")


def to_device(network: wb.Network, device: torch.device) -> wb.Network:
    """Return a network whose model is on a device."""
    return network.with_model(copy_model(network.model).to(device))


def timed(function: Callable[[], T], device: torch.device) -> tuple[float, T]:
    """Return the seconds and the result of a call that computes on a device."""
    synchronize(device)
    started = time.perf_counter()
    result = function()
    synchronize(device)
    return time.perf_counter() - started, result


def pass_ms(network: wb.Network, images: torch.Tensor) -> float:
    """Return the median milliseconds of one pass: by CUDA events on a GPU, else by the clock."""
    device, inputs, times = network.device, network.inputs(images), []
    with torch.inference_mode():
        for run in range(WARM_UP_RUNS + RUNS):
            if device.type == "cuda":
                start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                start.record()
                network.model(inputs)
                end.record()
                end.synchronize()
                ms = start.elapsed_time(end)
            else:
                started = time.perf_counter()
                network.model(inputs)
                ms = 1e3 * (time.perf_counter() - started)
            if run >= WARM_UP_RUNS:
                times.append(ms)
    return median(times)


def run_steps(network: wb.Network, images: torch.Tensor, labels: torch.Tensor, device: torch.device) -> dict[str, Any]:
    """Run all steps on a device; return seconds, plans, outputs, and times of a pass."""
    original, seconds, outputs = to_device(network, device), {}, {}
    with patch("torch.cuda.is_available", return_value=device.type == "cuda"):  # else the analysis uses the GPU
        seconds["analysis"], spectra = timed(lambda: wb.analyze(original, cached=False), device)
    plan = wb.budget_plan(spectra, macs_ratio=MACS_RATIO)
    small = wb.decompose(original, plan)
    data = wb.Data(*[wb.Split(images, labels, name) for name in ("train", "validation", "test")])
    steps: dict[str, Callable[[], wb.CompressedNetwork]] = {
        "calibrated": lambda: wb.calibrate(small, images),
        "distilled": lambda: wb.distill(small, images, epochs=1),
        "fine-tuned": lambda: wb.finetune(small, data, epochs=1, mixed_precision=True),
    }
    passes = {"original": pass_ms(original, images[:BATCH])}
    for name, step in steps.items():
        seconds[name], small = timed(step, device)
        with torch.no_grad():
            outputs[name] = torch.cat([small.run(small.inputs(batch)).cpu() for batch in images.split(BATCH)])
        print(f"{device}: {name} after {seconds[name]:.1f} s", flush=True)
    passes["compressed"] = pass_ms(small, images[:BATCH])
    return {"seconds": seconds, "plans": (plan, wb.evbmf_plan(spectra)), "outputs": outputs, "pass_ms": passes}


def compare_devices(
    network: wb.Network, images: torch.Tensor, device: torch.device, *, against: torch.device | None = None
) -> dict[str, Any]:
    """Run all steps on a device and on another (the CPU), and compare the results."""
    labels = answers(network, images)
    reference = run_steps(network, images, labels, against or torch.device("cpu"))
    result = run_steps(network, images, labels, device)
    snr = {name: snr_db(powers_of(outputs, result["outputs"][name])) for name, outputs in reference["outputs"].items()}
    return {
        "seconds": {"cpu": reference["seconds"], "gpu": result["seconds"]},
        "pass_ms": {"cpu": reference["pass_ms"], "gpu": result["pass_ms"]},
        "images_a_pass": min(BATCH, len(images)),
        "same_ranks": all(a.same_decisions(b) for a, b in zip(reference["plans"], result["plans"], strict=True)),
        "snr_db": snr,
        "outputs_agree": {name: value >= MIN_SNR_DB[name] for name, value in snr.items()},
    }


def main() -> None:
    """Run the benchmark."""
    options = parser(__doc__).parse_args()
    if not torch.cuda.is_available():
        report({"absent": "There is no CUDA GPU here, or PyTorch was installed without CUDA."}, options.json)
        return
    network = load("resnet18", Path())
    noise = torch.rand(IMAGES, *network.input_shape, generator=torch.Generator().manual_seed(0))
    images = (255 * noise).to(torch.uint8)
    results = compare_devices(network, images, torch.device("cuda"))
    report({"gpu": torch.cuda.get_device_name(), "images": IMAGES, **results}, options.json)


if __name__ == "__main__":
    main()
