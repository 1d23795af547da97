"""Fine-tune a network from the command line, in one process or in several that share every batch.

python -m workbench.launch digits_vgg --plan plan.json --data digits --epochs 5 --out folder
accelerate launch --num_processes 2 -m workbench.launch digits_vgg ...
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from workbench.catalog.datasets.load import bundled_data_names, load_data
from workbench.catalog.networks.checkpoints import read_weights
from workbench.catalog.networks.load import load_network
from workbench.files import write_atomically
from workbench.network.inputs import data_of, image_size, in_channels
from workbench.network.network import Network, copy_model
from workbench.plan.plan import Plan
from workbench.recover.decompose import decompose, rebuild, safetensors_bytes
from workbench.recover.finetune import finetune
from workbench.recover.recipe import Recipe


def train(options: argparse.Namespace, recipe: Recipe) -> None:
    """Fine-tune a network of the catalog, compressed by a plan if there is one, and write the result to a folder.

    Each of several processes (``accelerate launch``, ``torchrun``) takes its share of every batch, on a GPU of its own
    if there are any. The first process writes ``weights.safetensors``, ``epochs.json`` and the plan, ``plan.json``.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.start and not options.plan:
        raise ValueError("--start has the weights of a decomposed network: give its --plan too")
    process, device = _join_processes()
    original = load_network(options.network, weights=options.weights or "default")
    if options.data == "images" and options.root:
        data = data_of(original, options.root)
    else:
        data = load_data(options.data, root=options.root, size=image_size(original))
        data = data if options.data in bundled_data_names() else in_channels(original, data)
    network: Network = original
    plan = None if options.plan is None else Plan.from_json(Path(options.plan).read_text(encoding="utf-8"))
    if plan is not None:
        start = options.start
        network = rebuild(original, plan, read_weights(start)) if start else decompose(original, plan)
    student, teacher = (n.with_model(copy_model(n.model).to(device)) for n in (network, original))
    tuned = finetune(
        student,
        data,
        recipe=recipe,
        teacher=teacher if options.distil else None,
        checkpoint=options.checkpoint,
        on_epoch=lambda epoch: None if process else print(epoch, flush=True),  # noqa: T201 - it is a command
    )
    if not process:
        folder = Path(options.out)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "weights.safetensors", safetensors_bytes(tuned))
        if plan is not None:
            write_atomically(folder / "plan.json", plan.to_json().encode())
        epochs = json.dumps([asdict(epoch) for epoch in tuned.history], indent=2)
        write_atomically(folder / "epochs.json", epochs.encode())


def _join_processes() -> tuple[int, torch.device]:
    """Join the other processes, if any, and return this process's number and device."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return 0, torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        from accelerate import PartialState
    except ImportError:
        raise ImportError("training in several processes needs Accelerate: pip install -e '.[scale]'") from None
    state = PartialState(cpu=not torch.cuda.is_available())
    return state.process_index, state.device


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(
        prog="workbench.launch", description="Fine-tune a network of the catalog by a plan, in one process or several."
    )
    parser.add_argument("network", help="name in the catalog")
    parser.add_argument("--plan", help="JSON file of the plan; without it the network is not compressed")
    parser.add_argument("--data", required=True, help="name of the data set")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--out", required=True, help="folder for the weights, the plan and the epochs")
    parser.add_argument("--weights", help="file of the original network's weights")
    parser.add_argument("--start", help="file of the decomposed network's weights, instead of decomposing")
    parser.add_argument("--root", help="folder of the data")
    parser.add_argument("--checkpoint", help="file to save the training state to, and to resume from")
    parser.add_argument("--threads", type=int, help="of PyTorch in each process")
    parser.add_argument("--distil", action="store_true", help="learn from the original network too")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the recipe, like batch_size=64"
    )
    options = parser.parse_args(arguments)
    settings = {"epochs": options.epochs}
    for entry in options.set:
        name, equals, value = entry.partition("=")
        if not equals:
            parser.error(f"--set takes NAME=VALUE, not {entry!r}")
        try:
            settings[name] = json.loads(value.lower())  # True, as Python writes it, is JSON's true
        except json.JSONDecodeError:
            settings[name] = value
    try:
        train(options, Recipe.of(**settings))
    except (ValueError, TypeError, LookupError, OSError, ImportError) as error:
        parser.exit(1, f"{error.args[0] if isinstance(error, KeyError) else error}\n")


if __name__ == "__main__":
    main()
