"""The steps of the dashboard without a browser: look, plan, compress, fine-tune, measured on the bundled network.

One thread. Fine-tuning runs for a fixed number of epochs; nothing is chosen by the test split,
which is scored once at each stage.
"""

from functools import partial

import torch
from torch.utils.flop_counter import FlopCounterMode

import workbench as wb
from benchmarks._report import parser, report, timed


def stage(network: wb.Network, data: wb.Data) -> dict[str, float | int]:
    """Test accuracy in percent, MACs by torch's flop counter, and parameters."""
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        network.model(torch.zeros(1, *network.input_shape))
    weights = sum(p.numel() for p in network.model.parameters())
    return {
        "accuracy": 100 * wb.score(network, data).top1,
        "macs": counter.get_total_flops() // 2,
        "weights": weights,
    }


def main() -> None:
    """Run the benchmark."""
    arguments = parser(__doc__)
    arguments.add_argument("--epochs", type=int, default=10)
    options = arguments.parse_args()
    torch.set_num_threads(1)

    network = wb.load_network("digits_vgg")
    data = wb.load_data("digits")
    seconds = {}
    seconds["analyze"], plan = timed(lambda: wb.evbmf_plan(wb.analyze(network)))
    seconds["decompose"], smaller = timed(lambda: wb.decompose(network, plan))
    results = {
        "network": network.name,
        "data": str(data),
        "original": stage(network, data),
        "decomposed": stage(smaller, data),
    }
    training = partial(wb.finetune, smaller, data, epochs=options.epochs, on_epoch=print)
    seconds["finetune"], finetuned = timed(training)
    results["finetuned"] = stage(finetuned, data)
    results["seconds"] = seconds
    predicted = {"macs": plan.macs, "weights": plan.weights}
    measured = {key: results["decomposed"][key] for key in predicted}  # type: ignore[index]
    if predicted != measured:
        raise SystemExit(f"the plan predicted {predicted}, the decomposed network has {measured}")
    results["predicted"] = predicted
    results["macs_ratio"] = plan.macs_ratio
    report(results, options.json)


if __name__ == "__main__":
    main()
