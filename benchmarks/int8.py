"""Int8 files beside float ones, in ONNX Runtime and in ExecuTorch: time, size and answers.

GoogLeNet has its real weights and a plan of x2.06 fewer MACs. 200 of 500 images of ImageNet, without labels, calibrate
it and measure the ranges of its feature maps; on the other 300 its answers are compared with the original's. They are
the images of ``benchmarks.recovery --case googlenet``. VGG-16 has random weights (see ``benchmarks.speed``) and a plan
of x4 fewer MACs and x4 fewer weights: only its times and sizes have a meaning. Original, compressed and compressed int8
network are timed in turns, one image at a time.
"""

from pathlib import Path
from typing import Any

import workbench as wb
from benchmarks._recovery_googlenet import RATIOS, other_indices, part, recovery_indices
from benchmarks._report import parser, report
from benchmarks.speed import load
from workbench.exporters.int8 import calibration
from workbench.measure.latency import INT8, latency
from workbench.measure.runtimes import FILE_RUNTIMES, missing
from workbench.measure.speed import Speed
from workbench.network.inputs import inputs_of

NETWORKS = {"googlenet_bvlc": (RATIOS[0], None), "vgg16": (4.0, 4.0)}
"""Network -> ratio of MACs and ratio of weights of its plan."""


def images_of(shared: Path) -> tuple[wb.Split, wb.Split]:
    """Return images to calibrate with, and images to compare answers on."""
    loaded = wb.load_data("images", root=shared / "imagenet_sample", labels="labels.csv").test
    indices = recovery_indices(len(loaded), 0)
    return part(loaded, indices), part(loaded, other_indices(len(loaded), indices))


def compress(name: str, shared: Path, learned: wb.Split) -> wb.CompressedNetwork:
    """Return a compressed network, calibrated if its weights are real."""
    network = load(name, shared)
    macs_ratio, weights_ratio = NETWORKS[name]
    layers = "spatial" if weights_ratio is None else "all"
    plan = wb.budget_plan(wb.analyze(network), macs_ratio=macs_ratio, weights_ratio=weights_ratio, layers=layers)
    small = wb.decompose(network, plan)
    return small if network.random_weights else wb.calibrate(small, learned.images)


def measure(small: wb.CompressedNetwork, learned: wb.Split, scored: wb.Split, **options: Any) -> dict[str, Any]:
    """Measure original, compressed and compressed int8 network in every installed runtime that runs files."""
    assert small.original is not None
    networks = {"original": small.original, "compressed": small}
    int8, compared = calibration(small, learned), list(inputs_of(small, scored, batch_size=1))
    runs, result = {}, {"macs_ratio": small.plan.macs_ratio, "weights_ratio": small.plan.weights_ratio}
    for runtime in (name for name in FILE_RUNTIMES if not missing(name)):
        timing = runs[runtime] = latency(networks, runtime, int8=int8, compared=compared, **options)
        result[runtime] = {
            "original_ms": timing.ms("original"),
            "compressed_ms": timing.ms("compressed"),
            "int8_ms": timing.ms(INT8),
            "slower_than_float": timing.ms(INT8) > timing.ms("compressed"),
            "bytes": dict(timing.bytes),
            "bytes_ratio": timing.bytes[INT8] / timing.bytes["compressed"],
            "agreement": dict(timing.agreement),
            "points_lost": 100 * (timing.agreement["compressed"] - timing.agreement[INT8]),
            "disturbed": timing.disturbed,
        }
    print(small.name, Speed(small.plan.macs_ratio, runs, {}, len(scored)), sep="\n", flush=True)
    return result


def main() -> None:
    """Run the benchmark."""
    arguments = parser(__doc__, shared="real weights and images")
    arguments.add_argument("--network", nargs="*", choices=sorted(NETWORKS), default=list(NETWORKS))
    arguments.add_argument("--seconds", type=float, default=20.0, help="of timing, for each runtime")
    arguments.add_argument("--threads", type=int, default=1)
    options = arguments.parse_args()
    learned, scored = images_of(options.shared)
    settings = {"seconds": options.seconds, "threads": options.threads}
    results: dict[str, Any] = {
        name: measure(compress(name, options.shared, learned), learned, scored, **settings) for name in options.network
    }
    results["absent"] = {name: missing(name) for name in FILE_RUNTIMES if missing(name)}
    results["threads"] = options.threads
    report(results, options.json)


if __name__ == "__main__":
    main()
