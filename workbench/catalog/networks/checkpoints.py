"""Weights from files that anybody may have made: read without running any code in them, and compared key by key."""

import pickle
import struct
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
LARGEST = 4 * 2**30
"""Bytes of weights, unpacked, that are accepted; a small file that claims more is a bomb."""


DAMAGED = (
    *(RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, AttributeError, TypeError, MemoryError),
    *(AssertionError, OverflowError, struct.error, zipfile.BadZipFile, NotImplementedError),
)
"""What readers raise, one or the other, on files that are damaged or made to do damage."""


class WeightsError(ValueError):
    """A file whose weights cannot be used; the sentence names it and says why."""


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Tensors by name from a safetensors file or a tensor-only state_dict (.pth, .pt, .th).

    A state_dict may be wrapped ({"state_dict": ...}), and all its keys may begin with ``module.`` or ``_orig_mod.``,
    which PyTorch's wrappers leave behind.

    Raises
    ------
    WeightsError : one sentence that names the file, for a file that is absent, damaged, of an unknown kind, too large,
        holds other things than tensors, or would run code if it were unpickled (it does not run).
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise WeightsError(
            f"{path.name} is {'a folder' if path.is_dir() else 'no ordinary file'}; name the file itself"
        )
    if not path.is_file():
        raise WeightsError(f"there is no file {path}")
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        try:
            return _tensors(load_file(path), path.name)
        except (SafetensorError, *DAMAGED) as error:
            if isinstance(error, WeightsError):
                raise
            why = str(error).removeprefix("Error while deserializing header: ")
            raise WeightsError(f"{path.name} is no sound safetensors file: {why}") from None
    if suffix not in PICKLED:
        raise WeightsError(f"{path.name} is neither .safetensors nor one of {', '.join(PICKLED)}")
    try:
        _refuse_bombs(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old pickle protocols
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        unreadable = "Unsupported operand" in str(error)  # no pickle of PyTorch's at all
        if not unreadable and ("weights_only" in str(error) or "Unsupported" in str(error)):
            raise WeightsError(
                f"{path.name} holds more than tensors and would run code when loaded; save model.state_dict() instead"
            ) from None
        raise WeightsError(f"{path.name} is damaged or no file of weights") from None
    except DAMAGED as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{path.name} is damaged or no file of weights") from None
    return _tensors(content, path.name)


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    """Put weights into a model, strictly.

    Raises
    ------
    WeightsError : naming the first keys that are missing, unknown, of another shape or kind of number, or not finite;
        the model is then unchanged.
    """
    own = model.state_dict()
    # Batch norms did not count their batches before PyTorch 0.4.1: old files lack the number, and nothing uses it.
    counters = {k: v for k, v in own.items() if k.endswith("num_batches_tracked") and k not in weights}
    weights = {**counters, **weights}
    missing = sorted(own.keys() - weights.keys())
    unknown = sorted(weights.keys() - own.keys())
    other = [k for k in own if k in weights and own[k].shape != weights[k].shape]
    problems = [f"{what} {_few(keys)}" for what, keys in (("lacks", missing), ("has the unknown", unknown)) if keys]
    if other:
        key = other[0]
        shapes = f"{tuple(weights[key].shape)}, not {tuple(own[key].shape)}"
        problems.append(
            f"has {key} in the shape {shapes}" + (f" (and {len(other) - 1} more)" if len(other) > 1 else "")
        )
    if problems:
        raise WeightsError(f"{name} does not fit this network: it {', '.join(problems)}")
    for key, value in weights.items():
        if value.is_floating_point() != own[key].is_floating_point():
            raise WeightsError(f"{name} does not fit this network: {key} is {value.dtype}, not {own[key].dtype}")
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise WeightsError(f"{name} cannot be used: {key} has weights that are NaN or infinite")
    model.load_state_dict(dict(weights))


def _few(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def _refuse_bombs(path: Path) -> None:
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    if size > LARGEST:
        raise WeightsError(
            f"{path.name} would unpack to {size / 2**30:.0f} GiB; at most {LARGEST / 2**30:.0f} are read"
        )


def _tensors(content: Any, name: str) -> dict[str, Tensor]:
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{name} holds no state_dict: names with a tensor each")
    for key, value in content.items():
        if not (isinstance(key, str) and isinstance(value, Tensor)):
            raise WeightsError(
                f"{name} holds something else than a tensor under {key!r}; save model.state_dict() alone"
            )
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise WeightsError(f"{name} holds no plain numbers under {key!r}; save the weights of the usual model")
    found = dict(content)
    for prefix in ("module.", "_orig_mod.", "module."):  # either may be outside of the other
        if all(key.startswith(prefix) for key in found):
            found = {key.removeprefix(prefix): value for key, value in found.items()}
    return found
