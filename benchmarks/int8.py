"""Int8 files beside float ones, in ONNX Runtime and in ExecuTorch: time, size and answers.

GoogLeNet has its real weights and a plan of x2.06 fewer MACs, and is calibrated. 200 of 500 images of ImageNet, without
labels, calibrate it and measure the ranges of its maps; on the other 300 answers are compared with the original's. The
images are those of ``benchmarks.recovery --case googlenet``. VGG-16 has random weights (see ``benchmarks.speed``) and a
plan of x4 fewer MACs and x4 fewer weights: its times and sizes mean something, its answers do not. Original, compressed
and compressed int8 network are timed in turns, one image at a time.
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
    learned = recovery_indices(len(loaded), 0)
    return part(loaded, learned), part(loaded, other_indices(len(loaded), learned))


def compressed(name: str, shared: Path, used: wb.Split) -> wb.CompressedNetwork:
    """Return a network by its plan, calibrated if its weights are real."""
    network = load(name, shared)
    macs_ratio, weights_ratio = NETWORKS[name]
    layers = "spatial" if weights_ratio is None else "all"
    plan = wb.budget_plan(wb.analyze(network), macs_ratio=macs_ratio, weights_ratio=weights_ratio, layers=layers)
    small = wb.decompose(network, plan)
    return small if network.random_weights else wb.calibrate(small, used.images)


def measured(small: wb.CompressedNetwork, used: wb.Split, scored: wb.Split, **how: Any) -> dict[str, Any]:
    """Measure original, compressed and compressed int8 network in every runtime that runs files and is here."""
    assert small.original is not None
    networks = {"original": small.original, "compressed": small}
    int8, compared = calibration(small, used), list(inputs_of(small, scored, batch_size=1))
    runs, found = {}, {"macs_ratio": small.plan.macs_ratio, "weights_ratio": small.plan.weights_ratio}
    for runtime in (name for name in FILE_RUNTIMES if not missing(name)):
        run = runs[runtime] = latency(networks, runtime, int8=int8, compared=compared, **how)
        found[runtime] = {
            "original_ms": run.ms("original"),
            "compressed_ms": run.ms("compressed"),
            "int8_ms": run.ms(INT8),
            "slower_than_float": run.ms(INT8) > run.ms("compressed"),
            "bytes": dict(run.bytes),
            "bytes_ratio": run.bytes[INT8] / run.bytes["compressed"],
            "agreement": dict(run.agreement),
            "points_lost": 100 * (run.agreement["compressed"] - run.agreement[INT8]),
            "disturbed": run.disturbed,
        }
    print(small.name, Speed(small.plan.macs_ratio, runs, {}, len(scored)), sep="\n", flush=True)
    return found


def main() -> None:
    """Run the benchmark."""
    arguments = parser(__doc__, shared="real weights and images")
    arguments.add_argument("--network", nargs="*", choices=sorted(NETWORKS), default=list(NETWORKS))
    arguments.add_argument("--seconds", type=float, default=20.0, help="of timing, for each runtime")
    arguments.add_argument("--threads", type=int, default=1)
    options = arguments.parse_args()
    used, scored = images_of(options.shared)
    how = {"seconds": options.seconds, "threads": options.threads}
    results: dict[str, Any] = {
        name: measured(compressed(name, options.shared, used), used, scored, **how) for name in options.network
    }
    results["absent"] = {name: missing(name) for name in FILE_RUNTIMES if missing(name)}
    results["threads"] = options.threads
    report(results, options.json)


if __name__ == "__main__":
    main()
