"""Import torchvision even if its compiled extension was built for another PyTorch (CPU or CUDA).

That import fails because two operators are missing. The workbench does not use them: declaring them is enough.
"""

from functools import lru_cache
from importlib import import_module
from types import ModuleType

import torch

SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def torchvision(submodule: str = "") -> ModuleType:
    """Return the package, or one of its submodules ("models", "datasets", ...)."""
    name = "torchvision" + (f".{submodule}" if submodule else "")
    try:
        return import_module(name)
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            torch.library.define(f"torchvision::{operator}", SCHEMA)
    return import_module(name)


@lru_cache(maxsize=1)
def class_names() -> tuple[str, ...]:
    """Return the names of ImageNet's 1000 classes in the order of the networks' outputs."""
    return tuple(torchvision("models._meta")._IMAGENET_CATEGORIES)
