"""Read checkpoints of any origin without running code in them, and fit them to a model key by key."""

import copy
import pickle
import warnings
import zipfile
from argparse import Namespace
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

PICKLED = (".pth", ".pt", ".th")
WRAPPER_KEYS = ("state_dict", "model_state_dict", "model", "net", "state_dict_ema", "model_ema", "ema")
"""Keys under which training scripts store the weights, in the order of the search."""
MAX_WEIGHT_BYTES = 4 * 2**30
"""Largest accepted size of the unpacked weights: a small file may claim any size."""

ONNX_HINT = "a network that is not in the list is uploaded as an ONNX file (torch.onnx.export)"


class WeightsError(ValueError):
    """A checkpoint that cannot be used; the message names the file and the reason."""


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Return tensors by name from a safetensors file or a tensor-only state_dict (.pth, .pt, .th).

    A state_dict may be wrapped ({"state_dict": ...}), and all its keys may begin with ``module.`` or ``_orig_mod.``.
    WeightsError if the file is absent, damaged, of an unknown type or too large, or if it holds other objects than
    tensors: these could run code, so they are never unpickled.
    """
    path = Path(path)
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no ordinary file"
        raise WeightsError(f"{path.name} is {kind}; name the file" if path.exists() else f"there is no file {path}")
    suffix = path.suffix.lower()
    content: Any
    try:
        if suffix == ".safetensors":
            content = load_file(path)
        elif suffix in PICKLED:
            _check_size(path)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about old pickle protocols
                with torch.serialization.safe_globals([Namespace]):  # a script's arguments: names with values
                    content = torch.load(path, map_location="cpu", weights_only=True)
        else:
            raise WeightsError(f"{path.name} is neither .safetensors nor one of {', '.join(PICKLED)}")
    except WeightsError:
        raise
    except SafetensorError as error:
        reason = str(error).removeprefix("Error while deserializing header: ")
        raise WeightsError(f"{path.name} is not a valid safetensors file: {reason}") from None
    except Exception as error:  # readers raise anything on damaged and hostile files
        raise WeightsError(f"{path.name} {_unreadable_reason(error)}") from None
    return _tensors(content, path.name)


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    """Copy weights into a model, strictly.

    WeightsError names the first keys that are missing, unknown, of another shape or data type, or not finite; the model
    is then unchanged.
    """
    state = model.state_dict()
    # Before PyTorch 0.4.1 batch norms did not count their batches; nothing uses the number.
    counters = {k: v for k, v in state.items() if k.endswith("num_batches_tracked") and k not in weights}
    weights = {**counters, **weights}
    differences = (("lacks", state.keys() - weights.keys()), ("has the unknown", weights.keys() - state.keys()))
    misshapen = [k for k in state if k in weights and state[k].shape != weights[k].shape]
    problems = [f"{verb} {_first_three(keys)}" for verb, keys in differences if keys]
    if misshapen:
        key = misshapen[0]
        shapes = f"{tuple(weights[key].shape)}, not {tuple(state[key].shape)}"
        more = f" (and {len(misshapen) - 1} more)" if len(misshapen) > 1 else ""
        problems.append(f"has {key} in the shape {shapes}{more}")
    if problems:
        raise WeightsError(f"{name} does not fit this network: it {', '.join(problems)}; {ONNX_HINT}")
    for key, value in weights.items():
        if value.is_floating_point() != state[key].is_floating_point():
            raise WeightsError(f"{name} does not fit this network: {key} is {value.dtype}, not {state[key].dtype}")
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise WeightsError(f"{name} cannot be used: {key} has weights that are NaN or infinite")
    model.load_state_dict(dict(weights))


def fit_head(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give the last layers of a model the shapes in a checkpoint, in place.

    The new layers do not have the checkpoint's weights yet. A layer that differs from the checkpoint only in the number
    of outputs is replaced by one with the checkpoint's number. A child module of several layers is replaced by one
    linear layer if that is all the checkpoint has under the child's name: the layer itself (``classifier.weight``) or a
    ``Sequential`` with the layer at the same index (``classifier.1.weight``).
    """
    state = model.state_dict()
    for key in [k for k in state if k.endswith("weight") and k in weights and state[k].shape != weights[k].shape]:
        name, weight = key.rpartition(".")[0], weights[key]
        module = model.get_submodule(name)
        if state[key].shape[1:] == weight.shape[1:] and isinstance(module, nn.Linear | nn.Conv2d):
            model.set_submodule(name, _with_outputs(module, len(weight), f"{name}.bias" in weights))
    for name, child in list(model.named_children()):
        head_weights = {key.removeprefix(f"{name}."): v for key, v in weights.items() if key.startswith(f"{name}.")}
        matrices = [key for key, v in head_weights.items() if key.endswith("weight") and v.ndim == 2]
        if head_weights.keys() == child.state_dict().keys() or len(matrices) != 1:
            continue
        prefix = matrices[0].removesuffix("weight")
        index = prefix.rstrip(".")
        if head_weights.keys() <= {f"{prefix}weight", f"{prefix}bias"} and (not index or index.isdecimal()):
            outputs, inputs = head_weights[matrices[0]].shape
            head: nn.Module = nn.Linear(inputs, outputs, bias=len(head_weights) == 2)
            if index:
                head = nn.Sequential(*(nn.Identity() for _ in range(int(index))), head)
            elif isinstance(child, nn.Sequential) and isinstance(child[0], nn.Flatten):
                head = nn.Sequential(nn.Flatten(1), head)
            setattr(model, name, head)


def _first_three(keys: Set[str]) -> str:
    return ", ".join(sorted(keys)[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def _unreadable_reason(error: Exception) -> str:
    text = str(error)
    is_pytorch = "Unsupported operand" not in text
    if isinstance(error, pickle.UnpicklingError) and is_pytorch and ("weights_only" in text or "Unsupported" in text):
        return (
            "holds more than tensors and would run code when loaded; save model.state_dict() instead, or a network of "
            "your own by torch.onnx.export"
        )
    return "is damaged or no file of weights"


def _check_size(path: Path) -> None:
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    if size > MAX_WEIGHT_BYTES:
        limit = f"{MAX_WEIGHT_BYTES / 2**30:.0f}"
        raise WeightsError(f"{path.name} would unpack to {size / 2**30:.0f} GiB; at most {limit} are read")


def _tensors(content: Any, name: str) -> dict[str, Tensor]:
    for key in WRAPPER_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{name} holds no state_dict: names with a tensor each")
    for key, value in content.items():
        if not (isinstance(key, str) and isinstance(value, Tensor)):
            raise WeightsError(f"{name} holds something else than a tensor under {key!r}; save model.state_dict()")
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise WeightsError(f"{name} holds no dense numbers under {key!r}; save the weights of an ordinary model")
    tensors = {key: v for key, v in content.items() if key not in ("n_averaged", "num_updates")}  # of averaged models
    for prefix in ("module.", "_orig_mod.", "module."):  # of PyTorch's wrappers, in either order
        if all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors


def _with_outputs(module: nn.Linear | nn.Conv2d, outputs: int, bias: bool) -> nn.Module:
    """Return a copy of a layer with another number of outputs; its weights are zero."""
    layer = copy.copy(module)
    layer._parameters = dict(module._parameters)
    shape = (outputs, *module.weight.shape[1:])
    layer.weight = nn.Parameter(torch.zeros(shape, dtype=module.weight.dtype))
    layer.bias = nn.Parameter(torch.zeros(outputs, dtype=module.weight.dtype)) if bias else None
    if isinstance(layer, nn.Linear):
        layer.out_features = outputs
    else:
        layer.out_channels = outputs
    return layer
