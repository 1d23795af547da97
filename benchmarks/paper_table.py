"""The paper's table, the columns that arithmetic gives: weights and MACs of its four networks, layer by layer.

With ``--shared FOLDER`` (real GoogLeNet weights and 500 images, see CONTRIBUTING) also what the EVBMF plan over the
spatial convolutions makes of GoogLeNet right after decomposition. Nothing is chosen by those images.
"""

import os
from pathlib import Path
from typing import Any

import torch

import workbench as wb
from benchmarks._report import parser, report
from workbench.compression.layers import find_layers, measured_cost

NETWORKS = ("alexnet_caffe", "vgg_s", "googlenet_bvlc", "vgg16")


def original(name: str) -> dict[str, Any]:
    """Weights and MACs of a network, in total and of each layer."""
    network = wb.load_network(name, weights=None)
    cost = measured_cost(network)
    rows = [
        {"name": layer.name, "shape": layer.describe(), "weights": layer.cost.weights, "macs": layer.cost.macs}
        for layer in find_layers(network).layers
    ]
    return {"weights": cost.weights, "macs": cost.macs, "layers": rows}


def googlenet(shared: Path) -> dict[str, Any]:
    """Real GoogLeNet, before and right after Tucker-2 at EVBMF ranks of its spatial convolutions."""
    network = wb.load_network("googlenet_bvlc", weights=shared / "googlenet_bvlc.safetensors")
    data = wb.load_data("images", root=shared / "imagenet_sample", labels="labels.csv")
    before = wb.accuracy(network, data.test, batch_size=50)
    plan = wb.evbmf_plan(wb.analyze(network), layers="spatial")
    after = wb.accuracy(wb.decompose(network, plan), data.test, batch_size=50)
    return {
        "images": before.n,
        "original": {"top1": before.top1, "top5": before.top5},
        "evbmf_spatial": {
            "macs_ratio": plan.macs_ratio,
            "weights_ratio": plan.weights_ratio,
            "top5_decomposed": after.top5,
        },
    }


def main() -> None:
    """Run it."""
    arguments = parser(__doc__)
    default = Path(os.environ.get("WORKBENCH_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    arguments.add_argument("--shared", type=Path, default=default, help="folder with real weights and images")
    options = arguments.parse_args()
    results: dict[str, Any] = {"networks": {name: original(name) for name in NETWORKS}}
    if (options.shared / "googlenet_bvlc.safetensors").exists():
        results["googlenet"] = googlenet(options.shared)
    else:
        print(f"no googlenet_bvlc.safetensors in {options.shared}: its accuracies are left out")
    results["threads"] = torch.get_num_threads()
    report(results, options.json)


if __name__ == "__main__":
    main()
