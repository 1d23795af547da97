"""Load a compressed network without the workbench, with only torch 2.5 or newer and safetensors."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file


def load(model: torch.nn.Module, folder: str | Path = Path(__file__).parent) -> torch.nn.Module:
    """Replace the layers of the original architecture as plan.json says, then load weights.safetensors; eval mode."""
    for layer in json.loads((Path(folder) / "plan.json").read_text(encoding="utf-8"))["surgery"]:
        factors = torch.nn.Sequential()
        for name, kind, options in layer["modules"]:
            factors.add_module(name, getattr(torch.nn, kind)(**options))
        model.set_submodule(layer["name"], factors)
    model.load_state_dict(load_file(Path(folder) / "weights.safetensors"), assign=True)
    return model.eval()
