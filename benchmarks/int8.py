"""Int8 files beside float ones, in ONNX Runtime and in ExecuTorch: time, size and answers.

GoogLeNet has its real weights and a plan of x2.06 fewer MACs. 200 of 500 images of ImageNet, without labels, calibrate
it and measure the ranges of its feature maps; on the other 300 its answers are compared with the original's. They are
the images of ``benchmarks.recovery --case googlenet``.

VGG-16 has a plan of x4 fewer MACs and x4 fewer weights. Its real weights are not at hand, and any rounding changes the
answers of random ones. Therefore its weights are random ones of exactly the planned ranks, its layers' outputs are
normalised, and its last layer is fitted to the labels of all 500 images. So the compressed network answers as the
original does, and int8 is compared on images that the network was fitted to, with larger margins than on new ones.

Original, compressed and compressed int8 network are timed in turns, one image at a time.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

import workbench as wb
from benchmarks._recovery_googlenet import RATIOS, other_indices, part, recovery_indices
from benchmarks._report import parser, report
from benchmarks.speed import load
from workbench.exporters.int8 import calibration
from workbench.inspect.gallery import reconstruct
from workbench.measure.latency import INT8, latency
from workbench.measure.runtimes import FILE_RUNTIMES, missing
from workbench.measure.speed import Speed
from workbench.network.inputs import inputs_of
from workbench.network.network import copy_model

NETWORKS = {"googlenet_bvlc": (RATIOS[0], None), "vgg16": (4.0, 4.0)}
"""Network -> ratio of MACs and ratio of weights of its plan."""

NORMALIZED_IMAGES = 25
"""Images over which outputs are normalised."""
RIDGE = 0.1
"""Ridge of the fit of the last layer, in units of the mean power of its inputs."""


def images_of(shared: Path) -> tuple[wb.Split, wb.Split]:
    """Return images to calibrate with, and images to compare answers on."""
    loaded = wb.load_data("images", root=shared / "imagenet_sample", labels="labels.csv").test
    indices = recovery_indices(len(loaded), 0)
    return part(loaded, indices), part(loaded, other_indices(len(loaded), indices))


def with_answers(small: wb.CompressedNetwork, images: wb.Split) -> wb.CompressedNetwork:
    """Return the same plan of a network that has exactly its ranks and answers the images with their labels.

    The outputs of each layer but the last have mean 0 and variance 1 over some of the images, as after batch norm.
    Without it the inputs of the last layer are nearly the same for all images.
    """
    model = copy_model(small.original.model)
    layers = {layer_plan.name: model.get_submodule(layer_plan.name) for layer_plan in small.plan}
    *inner, last = layers.values()
    features: list[Tensor] = []

    def normalize(module: Any, _: Any, output: Tensor) -> Tensor:
        sizes = (-1, *[1] * (output.ndim - 2))
        std, mean = torch.std_mean(output, [i for i in range(output.ndim) if i != 1])
        module.weight.div_(std.reshape(-1, *[1] * (module.weight.ndim - 1)))
        module.bias.sub_(mean).div_(std)
        return (output - mean.reshape(sizes)) / std.reshape(sizes)

    def collect(_: Any, inputs: tuple[Tensor, ...]) -> None:
        features.append(inputs[0].double())

    with torch.no_grad():
        for layer_plan in small.plan:
            kernel = reconstruct(small.model.get_submodule(layer_plan.name), layer_plan.layer)
            weight = layers[layer_plan.name].weight
            weight.copy_(kernel.reshape(weight.shape))
        original = small.original.with_model(model)
        handles = [module.register_forward_hook(normalize) for module in inner]
        original.run(original.inputs(images.images[:NORMALIZED_IMAGES]))
        for handle in handles:
            handle.remove()
        handle = last.register_forward_pre_hook(collect)
        for batch in images.images.split(NORMALIZED_IMAGES):
            original.run(original.inputs(batch))
        handle.remove()
        x = torch.cat(features)
        y = one_hot(images.labels, len(last.weight)).double()
        products = (centred := x - x.mean(0)) @ centred.mT
        ridge = RIDGE * products.diagonal().mean() * torch.eye(len(x), dtype=torch.double)
        weight = (y - y.mean(0)).mT @ torch.linalg.solve(products + ridge, centred)
        u, _, _ = torch.linalg.svd(weight, full_matrices=False)
        basis = u[:, : small.plan.layers[-1].rank_out]
        weight = basis @ (basis.mT @ weight)
        last.weight.copy_(weight)
        last.bias.copy_(-weight @ x.mean(0))
    return wb.decompose(original, small.plan)


def compress(name: str, shared: Path, learned: wb.Split, scored: wb.Split) -> wb.CompressedNetwork:
    """Return a compressed network: calibrated if its weights are real, else fitted to the images' labels."""
    network = load(name, shared)
    macs_ratio, weights_ratio = NETWORKS[name]
    layers = "spatial" if weights_ratio is None else "all"
    plan = wb.budget_plan(wb.analyze(network), macs_ratio=macs_ratio, weights_ratio=weights_ratio, layers=layers)
    small = wb.decompose(network, plan)
    if not network.random_weights:
        return wb.calibrate(small, learned.images)
    images, labels = torch.cat([learned.images, scored.images]), torch.cat([learned.labels, scored.labels])
    return with_answers(small, wb.Split(images, labels, "images"))


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
        name: measure(compress(name, options.shared, learned, scored), learned, scored, **settings)
        for name in options.network
    }
    results["absent"] = {name: missing(name) for name in FILE_RUNTIMES if missing(name)}
    results["threads"] = options.threads
    report(results, options.json)


if __name__ == "__main__":
    main()
