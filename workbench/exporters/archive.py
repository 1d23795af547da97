"""Write a compressed network as an archive that needs no workbench: plan, parameters, and a loader of ten lines."""

import json
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

from workbench.exporters import standalone_loader
from workbench.exporters.metadata import as_texts, metadata
from workbench.exporters.tracing import ExportError, copy_for_export
from workbench.network.layers import LAYER_CLASSES, TRANSPOSED
from workbench.network.network import Network
from workbench.plan.compressed import CompressedNetwork

CONV_ARGS = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
README = """\
{name}, compressed: MACs x{macs_ratio:.2f} fewer, weights x{weights_ratio:.2f} fewer ({policy}).

    from load import load     # in this folder
    model = load(original)    # an nn.Module of the original architecture, which becomes the small one
    model(inputs)             # torch.inference_mode() is faster

It takes torch 2.5 or newer and safetensors (pip install torch safetensors).

Input: a batch of {shape}. {preprocessing}
Weights: {source}.

plan.json             what was done to each layer, and why; workbench.Plan.from_json reads it
weights.safetensors   the compressed network's weights
load.py               puts both into the original architecture

{reference}
"""


def archive_bytes(network: Network, folder: str) -> bytes:
    """Return a compressed network as a zip of one folder.

    ``plan.json`` is the JSON of the plan, with the modules that replace each layer ("surgery") and the network's
    metadata ("about"), which the header of ``weights.safetensors`` has too. ``load.py`` puts both into the original
    architecture, an ``nn.Module`` that the user has.
    """
    if not isinstance(network, CompressedNetwork):
        raise ExportError(f"{network.name} has no plan: only decomposed networks are exported with their plan")
    description, plan, surgery = metadata(network), network.plan, []
    for part in plan:
        if part.decision != "keep":
            if not part.name:
                raise ExportError("a network that is one single layer has no place for the loader to put its factors")
            factors = network.model.get_submodule(part.name)
            modules = [[name, *_constructor(factor)] for name, factor in factors.named_children()]
            surgery.append({"name": part.name, "modules": modules})
    plan_json = json.dumps({**json.loads(plan.to_json()), "surgery": surgery, "about": description}, indent=2)
    tensors = {key: value.detach().cpu().clone().contiguous() for key, value in network.model.state_dict().items()}
    readme = README.format(
        **{**description, **description["compression"]}
        | {"shape": " x ".join(map(str, network.input_shape)), "preprocessing": description["preprocessing"]["words"]}
    )
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in {
            "plan.json": plan_json.encode(),
            "weights.safetensors": save(tensors, metadata={"format": "pt", **as_texts(description)}),
            "load.py": Path(standalone_loader.__file__).read_bytes(),
            "README.txt": readme.encode(),
        }.items():
            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}", (1980, 1, 1, 0, 0, 0)), content)
    return stream.getvalue()


def load_archive(path: Path, network: Network) -> nn.Module:
    """Load an archive with its loader into a copy of the network whose factors and parameters are removed."""
    model = copy_for_export(network.model)
    for part in network.plan if isinstance(network, CompressedNetwork) else ():
        if part.decision != "keep":
            model.set_submodule(part.name, nn.Identity())
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            tensor.data.fill_(float("nan"))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
        return standalone_loader.load(model, next(Path(folder).iterdir()))


def _constructor(module: nn.Module) -> tuple[str, dict[str, Any]]:
    """Return the name of a module's class in ``torch.nn``, and its constructor's arguments."""
    if isinstance(module, nn.Unflatten):
        return "Unflatten", {"dim": module.dim, "unflattened_size": list(module.unflattened_size)}
    if isinstance(module, nn.Flatten):
        return "Flatten", {"start_dim": module.start_dim, "end_dim": module.end_dim}
    kind = next(kind for kind in LAYER_CLASSES if isinstance(module, kind))
    arguments = ("in_features", "out_features") if kind is nn.Linear else CONV_ARGS
    arguments = (*arguments, "output_padding") if kind in TRANSPOSED else arguments
    return kind.__name__, {**{name: getattr(module, name) for name in arguments}, "bias": module.bias is not None}
