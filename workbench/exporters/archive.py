"""Write a compressed network as an archive that needs no workbench: plan, parameters, and a loader of ten lines."""

import json
import tempfile
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from workbench.exporters import standalone_loader
from workbench.exporters.metadata import as_texts, metadata
from workbench.exporters.tracing import ExportError, copy_for_export
from workbench.network.layers import KINDS, TRANSPOSED
from workbench.network.network import Network
from workbench.plan.plan import Plan

PLAN, CHECKPOINT, LOADER, README = NAMES = ("plan.json", "weights.safetensors", "load.py", "README.txt")
CONVOLUTION = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")


def archive_bytes(network: Network, folder: str) -> bytes:
    """Return a compressed network as a zip of one folder.

    ``plan.json`` is the plan as :meth:`Plan.to_json` gives it, with the modules that replace each layer ("surgery") and
    what is known of the network ("about"); ``weights.safetensors`` has the latter in its header too. ``load.py`` puts
    both into the original architecture, an ``nn.Module`` that the user has.

    Parameters
    ----------
    folder : its name in the zip.

    Raises
    ------
    ExportError : if the network has no plan, or a layer was replaced by something that cannot be written down.
    """
    plan = getattr(network, "plan", None)
    if plan is None:
        raise ExportError(f"{network.name} has no plan: only decomposed networks are exported with their plan")
    if any(part.decision != "keep" and not part.name for part in plan):
        raise ExportError("a network that is one single layer has no place for the loader to put its factors")
    about = metadata(network)
    surgery = [
        {"name": part.name, "modules": [[name, *_constructor(m)] for name, m in network.model.get_submodule(part.name).named_children()]}
        for part in plan
        if part.decision != "keep"
    ]
    text = json.dumps({**json.loads(plan.to_json()), "surgery": surgery, "about": about}, indent=2)
    tensors = {key: value.detach().cpu().clone().contiguous() for key, value in network.model.state_dict().items()}
    contents = {
        PLAN: text.encode(),
        CHECKPOINT: save(tensors, metadata={"format": "pt", **as_texts(about)}),
        LOADER: Path(standalone_loader.__file__).read_bytes(),
        README: _readme(network, plan, about).encode(),
    }
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}", (1980, 1, 1, 0, 0, 0)), content)
    return made.getvalue()


def load_archive(path: Path, network: Network) -> Callable[[Tensor], Tensor]:
    """Load an archive with its own loader into a copy of the network, without its factors and parameters."""
    model = copy_for_export(network.model)
    for part in getattr(network, "plan", None) or ():
        if part.decision != "keep":
            model.set_submodule(part.name, nn.Identity())
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.fill_(float("nan"))
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
        archive.extractall(folder)  # noqa: S202 - our own file
        return standalone_loader.load(model, next(Path(folder).iterdir()))


def _constructor(module: nn.Module) -> tuple[str, dict[str, Any]]:
    """Name of a module's class in ``torch.nn``, and the arguments that make it again."""
    if isinstance(module, nn.Unflatten):
        return "Unflatten", {"dim": module.dim, "unflattened_size": list(module.unflattened_size)}
    if isinstance(module, nn.Flatten):
        return "Flatten", {"start_dim": module.start_dim, "end_dim": module.end_dim}
    kind = next((kind for kind in KINDS if isinstance(module, kind)), None)
    if kind is None:
        raise ExportError(f"a {type(module).__name__} among the factors of a layer cannot be written down")
    names = ("in_features", "out_features") if kind is nn.Linear else CONVOLUTION
    names = (*names, "output_padding") if kind in TRANSPOSED else names
    return kind.__name__, {**{name: getattr(module, name) for name in names}, "bias": module.bias is not None}


def _readme(network: Network, plan: Plan, about: dict[str, Any]) -> str:
    return f"""\
{network.name}, compressed: MACs x{plan.macs_ratio:.2f} fewer, weights x{plan.weights_ratio:.2f} fewer ({plan.describe()}).

    from load import load     # in this folder
    model = load(original)    # an nn.Module of the original architecture, which becomes the small one
    model(inputs)             # torch.inference_mode() is faster

It takes torch 2.5 or newer and safetensors (pip install torch safetensors).

Input: a batch of {" x ".join(map(str, network.input_shape))}. {about["preprocessing"]["words"]}
Weights: {network.source}.

plan.json             what was done to each layer, and why; workbench.Plan.from_json reads it
weights.safetensors   the compressed network's weights
load.py               puts both into the original architecture

{about["compression"]["reference"]}
"""
