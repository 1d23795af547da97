"""A compressed network as a folder that needs no workbench: plan, weights, and a loader of ten lines."""

import json
import os
import tempfile
import zipfile
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

from workbench.exporters import loader
from workbench.exporters.about import about, texts
from workbench.exporters.check import expected
from workbench.exporters.files import Exported, Progress, check_path, insist, staged
from workbench.exporters.preparing import ExportError, prepared
from workbench.files import write_atomically
from workbench.network.data import Split
from workbench.network.layers import KINDS, TRANSPOSED
from workbench.network.network import Network, expect_network
from workbench.plan.plan import Plan

PLAN, WEIGHTS, LOADER, README = NAMES = ("plan.json", "weights.safetensors", "load.py", "README.txt")
CONVOLUTION = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")


def export_weights(
    network: Network,
    path: str | Path,
    images: Split | None = None,
    *,
    progress: Progress = lambda share, what: None,
) -> Exported:
    """Write a decomposed network as its plan, its weights and a loader of ten lines that needs no workbench.

    ``plan.json`` is the plan as :meth:`Plan.to_json` gives it, with the modules that take each layer's place
    ("surgery") and what is known of the network ("about"); ``weights.safetensors`` has the latter in its header too.
    ``load.py`` puts both into the original architecture, which whoever loads it must have as an ``nn.Module``.
    What was written is loaded by that same loader and compared with PyTorch.

    Parameters
    ----------
    path : of a folder, which is made; files of these names in it are replaced. Or ending with .zip: one file with that
        folder in it.
    images : real ones to compare on, up to 500; None for a few random inputs.
    progress : called with (share done, what) now and then; what it raises ends the export.

    Raises
    ------
    ExportError : if the network has no plan, it cannot be written, or does not compute the same when loaded again.
    """
    expect_network(network)
    path = Path(path)
    if network.plan is None:
        raise ExportError(f"{network.name} has no plan: only decomposed networks are exported with their plan")
    zipped = path.suffix.lower() == ".zip"
    if zipped:
        check_path(path, ".zip")
    elif path.exists() and not path.is_dir():
        raise ExportError(f"{path} is a file: name a folder, or a file that ends with .zip")
    elif not path.parent.is_dir():
        raise ExportError(f"there is no folder {path.parent}")
    progress(0.0, "running it in PyTorch")
    reference = expected(network, images)
    contents = _contents(network, network.plan)
    progress(0.5, "writing it")
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            temporary = Path(folder)
            for name, content in contents.items():
                write_atomically(temporary / name, content)
            twin = loader.load(_hollow(network.model, network.plan), temporary)
            found = reference.compare(twin, lambda share: progress(0.5 + 0.5 * share, "checking it"))
            insist(found, path.name)
            if zipped:
                _zip(path, contents)
            else:
                path.mkdir(exist_ok=True)
                for name in NAMES:
                    os.replace(temporary / name, path / name)
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror or error}") from error
    progress(1.0, "")
    size = path.stat().st_size if zipped else sum(len(content) for content in contents.values())
    return Exported(path, "weights", size, found)


def _contents(network: Network, plan: Plan) -> dict[str, bytes]:
    known = about(network)
    surgery = []
    for part in plan:
        if part.decision != "keep":
            factors = network.model.get_submodule(part.name)
            modules = [[name, *_built(child)] for name, child in factors.named_children()]
            surgery.append({"name": part.name, "modules": modules})
    text = json.dumps({**json.loads(plan.to_json()), "surgery": surgery, "about": known}, indent=2)
    tensors = {key: value.detach().cpu().clone().contiguous() for key, value in network.model.state_dict().items()}
    return {
        PLAN: text.encode(),
        WEIGHTS: save(tensors, metadata={"format": "pt", **texts(known)}),
        LOADER: Path(loader.__file__).read_bytes(),
        README: _readme(network, known).encode(),
    }


def _built(module: nn.Module) -> tuple[str, dict[str, Any]]:
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


def _hollow(model: nn.Module, plan: Plan) -> nn.Module:
    """The architecture without the planned layers and without its weights: what only the loader can fill again."""
    twin = deepcopy(prepared(model))
    for part in plan:
        if part.decision != "keep":
            if not part.name:
                raise ExportError("a network that is one single layer has no place for the loader to put its factors")
            twin.set_submodule(part.name, nn.Identity())
    for tensor in (*twin.parameters(), *twin.buffers()):
        if tensor.is_floating_point():
            tensor.data.fill_(float("nan"))
    return twin


def _zip(path: Path, contents: dict[str, bytes]) -> None:
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(f"{path.stem}/{name}", (1980, 1, 1, 0, 0, 0)), content)
    with staged(path) as temporary:
        write_atomically(temporary, made.getvalue())


def _readme(network: Network, known: dict[str, Any]) -> str:
    assert network.plan is not None
    shape = " x ".join(map(str, network.input_shape))
    lines = [
        f"{network.name}, compressed: MACs x{network.plan.macs_ratio:.2f} fewer, weights "
        f"x{network.plan.weights_ratio:.2f} fewer ({network.plan.describe()}).",
        "",
        "    from load import load     # in this folder",
        "    model = load(original)    # an nn.Module of the original architecture, which becomes the small one",
        "    model(inputs)             # torch.inference_mode() is faster",
        "",
        "It takes torch 2.5 or newer and safetensors (pip install torch safetensors).",
        "",
        f"Input: a batch of {shape}. {known['preprocessing']['words']}",
        f"Weights: {network.source}.",
        "",
        "plan.json             what was done to each layer, and why; workbench.Plan.from_json reads it",
        "weights.safetensors   the compressed network's weights",
        "load.py               puts both into the original architecture",
        "",
        known["compression"]["reference"],
    ]
    return "\n".join(lines) + "\n"
