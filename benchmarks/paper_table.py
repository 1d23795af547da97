"""Compute the paper's table: weights and MACs of its four networks, layer by layer.

With ``--shared FOLDER`` (GoogLeNet's weights and 500 images, see CONTRIBUTING) also GoogLeNet's accuracy in percent,
before and after decomposition by EVBMF's plan over the spatial convolutions. Nothing is chosen by those images.
"""

from typing import Any

import torch

import workbench as wb
from benchmarks._report import parser, report
from workbench.catalog.paper.published import PUBLISHED
from workbench.catalog.paper.table import PaperRow

GOOGLENET = "googlenet_bvlc"


def original(row: PaperRow) -> dict[str, Any]:
    """Weights and MACs of a network, in total and of each layer."""
    layers = [
        {"name": layer.name, "shape": layer.describe(), "weights": layer.cost.weights, "macs": layer.cost.macs}
        for layer in row.layers
    ]
    return {"weights": row.original.weights, "macs": row.original.macs, "layers": layers}


def decomposed(row: PaperRow) -> dict[str, Any]:
    """Scores on real images, before and after Tucker-2 of the spatial convolutions at EVBMF ranks."""
    assert row.plan is not None
    assert row.before is not None
    assert row.after is not None
    return {
        "images": row.before.n,
        "original": {"top1": 100 * row.before.top1, "top5": 100 * row.before.top5},
        "evbmf_spatial": {
            "macs_ratio": row.plan.macs_ratio,
            "weights_ratio": row.plan.weights_ratio,
            "top5_decomposed": 100 * row.after.top5,
        },
    }


def main() -> None:
    """Run the benchmark."""
    arguments = parser(__doc__, shared="real weights and images")
    options = arguments.parse_args()
    weights = options.shared / f"{GOOGLENET}.safetensors"
    if weights.exists():
        data = wb.load_data("images", root=options.shared / "imagenet_sample", labels="labels.csv")
        table = wb.paper_table([wb.load_network(GOOGLENET, weights=weights)], data.test, layers="spatial")
    else:
        table = wb.paper_table()
        print(f"no {weights.name} in {options.shared}: its accuracies are left out")
    print(table)
    results: dict[str, Any] = {"networks": {name: original(table[name]) for name in PUBLISHED}}
    if weights.exists():
        results["googlenet"] = decomposed(table[GOOGLENET])
    results["threads"] = torch.get_num_threads()
    report(results, options.json)


if __name__ == "__main__":
    main()
