"""Read checkpoints of any origin without running code in them, and compare them with a model key by key."""

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

PICKLED = (".pth", ".pt", ".th")
WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
MAX_WEIGHT_BYTES = 4 * 2**30  # bytes of weights, unpacked, that are accepted: a small file may claim any number


class WeightsError(ValueError):
    """A checkpoint that cannot be used; the sentence names the file and says why."""


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Return tensors by name from a safetensors file or a tensor-only state_dict (.pth, .pt, .th).

    A state_dict may be wrapped ({"state_dict": ...}), and all its keys may begin with ``module.`` or ``_orig_mod.``.
    WeightsError if the file is absent, damaged, of an unknown kind, too large, holds other things than tensors, or
    would run code if it were unpickled (which does not happen).
    """
    path = Path(path)
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no ordinary file"
        raise WeightsError(f"{path.name} is {kind}; name the file" if path.exists() else f"there is no file {path}")
    suffix = path.suffix.lower()
    if suffix not in (".safetensors", *PICKLED):
        raise WeightsError(f"{path.name} is neither .safetensors nor one of {', '.join(PICKLED)}")
    try:
        content = load_file(path) if suffix == ".safetensors" else _load_tensors(path)
    except WeightsError:
        raise
    except SafetensorError as error:
        why = str(error).removeprefix("Error while deserializing header: ")
        raise WeightsError(f"{path.name} is no sound safetensors file: {why}") from None
    except Exception as error:  # readers raise anything on damaged and hostile files
        raise WeightsError(f"{path.name} {_why_unreadable(error)}") from None
    return _tensors(content, path.name)


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    """Copy weights into a model, strictly.

    WeightsError names the first keys that are missing, unknown, of another shape or kind of number, or not finite;
    the model is then unchanged.
    """
    own = model.state_dict()
    # Before PyTorch 0.4.1 batch norms did not count their batches; nothing uses the number.
    counters = {k: v for k, v in own.items() if k.endswith("num_batches_tracked") and k not in weights}
    weights = {**counters, **weights}
    missing = sorted(own.keys() - weights.keys())
    unknown = sorted(weights.keys() - own.keys())
    other = [k for k in own if k in weights and own[k].shape != weights[k].shape]
    found = (("lacks", missing), ("has the unknown", unknown))
    problems = []
    for what, keys in found:
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            problems.append(f"{what} {', '.join(keys[:3])}{more}")
    if other:
        key = other[0]
        shapes = f"{tuple(weights[key].shape)}, not {tuple(own[key].shape)}"
        more = f" (and {len(other) - 1} more)" if len(other) > 1 else ""
        problems.append(f"has {key} in the shape {shapes}{more}")
    if problems:
        raise WeightsError(f"{name} does not fit this network: it {', '.join(problems)}")
    for key, value in weights.items():
        if value.is_floating_point() != own[key].is_floating_point():
            raise WeightsError(f"{name} does not fit this network: {key} is {value.dtype}, not {own[key].dtype}")
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise WeightsError(f"{name} cannot be used: {key} has weights that are NaN or infinite")
    model.load_state_dict(dict(weights))


def _why_unreadable(error: Exception) -> str:
    text = str(error)
    foreign = "Unsupported operand" in text  # no pickle of PyTorch's at all
    if isinstance(error, pickle.UnpicklingError) and not foreign and ("weights_only" in text or "Unsupported" in text):
        return "holds more than tensors and would run code when loaded; save model.state_dict() instead"
    return "is damaged or no file of weights"


def _load_tensors(path: Path) -> Any:
    """Load a pickle of nothing but tensors, unless it would unpack to more than is accepted."""
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    if size > MAX_WEIGHT_BYTES:
        limit = f"{MAX_WEIGHT_BYTES / 2**30:.0f}"
        raise WeightsError(f"{path.name} would unpack to {size / 2**30:.0f} GiB; at most {limit} are read")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about old pickle protocols
        return torch.load(path, map_location="cpu", weights_only=True)


def _tensors(content: Any, name: str) -> dict[str, Tensor]:
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{name} holds no state_dict: names with a tensor each")
    for key, value in content.items():
        if not (isinstance(key, str) and isinstance(value, Tensor)):
            raise WeightsError(f"{name} holds something else than a tensor under {key!r}; save model.state_dict()")
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise WeightsError(f"{name} holds no dense numbers under {key!r}; save the weights of an ordinary model")
    found = dict(content)
    for prefix in ("module.", "_orig_mod.", "module."):  # of PyTorch's wrappers, in either order
        if all(key.startswith(prefix) for key in found):
            found = {key.removeprefix(prefix): value for key, value in found.items()}
    return found
