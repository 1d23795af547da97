"""Cache spectra on disk by a hash of the weights.

Each network has one ``.npz`` file in ``$WORKBENCH_CACHE`` or the user's cache folder, written atomically. A file of
another version or other weights, or a damaged one, counts as absent and is replaced. Nothing is unpickled.
"""

import hashlib
import io
import json
import logging
import os
import sys
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.files import write_atomically
from workbench.kernels.evbmf import Evbmf
from workbench.network.layers import Layer
from workbench.plan.spectrum import Spectrum

log = logging.getLogger(__name__)

VERSION = 2
"""Version of the numbers in a file and of their layout; part of the file's name."""


def folder() -> Path:
    """Return ``$WORKBENCH_CACHE``, or ``workbench`` in the system's cache folder."""
    if configured := os.environ.get("WORKBENCH_CACHE"):
        return Path(configured)
    subfolders = {"darwin": ("Library", "Caches"), "win32": ("AppData", "Local")}
    base = Path.home().joinpath(*subfolders.get(sys.platform, (".cache",)))
    return Path(os.environ.get("XDG_CACHE_HOME") or base) / "workbench"


def key(kernels: Mapping[str, Tensor], layers: Mapping[str, Layer]) -> str:
    """Return the hash of the version, every layer's geometry and every weight."""
    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter's lock
        hashes = list(pool.map(_weights_hash, kernels.values()))
    digest = hashlib.blake2b(f"spectra {VERSION}".encode(), digest_size=20)
    for (name, kernel), hashed in zip(kernels.items(), hashes, strict=True):
        layer = layers[name]
        geometry = (name, layer.method, layer.shape.groups, tuple(kernel.shape), str(kernel.dtype), hashed)
        digest.update(json.dumps(geometry).encode())
    return digest.hexdigest()


def _weights_hash(kernel: Tensor) -> str:
    flat = kernel.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.blake2b(flat.numpy().data, digest_size=20).hexdigest()


def load(cache_key: str, layers: Mapping[str, Layer]) -> dict[str, Spectrum] | None:
    """Return the cached spectra, or None if they are absent or invalid."""
    path = folder() / f"{cache_key}.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            modes = json.loads(str(arrays["about"]))
            return {name: _read_layer(layer, modes[name], arrays, i) for i, (name, layer) in enumerate(layers.items())}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError) as error:
        log.warning("the cached spectra in %s are unreadable and computed again: %s", path, error)
        return None


def save(cache_key: str, spectra: Mapping[str, Spectrum]) -> None:
    """Write the spectra; log a warning if the folder cannot be written to."""
    arrays: dict[str, Any] = {}
    modes: dict[str, Any] = {}
    for i, (layer, spectrum) in enumerate(spectra.items()):
        arrays[f"{i}.captured"] = spectrum.captured
        layer_modes = modes[layer] = {}
        sides = (("out", spectrum.singular_out, spectrum.out), ("in", spectrum.singular_in, spectrum.in_))
        for mode, singular, result in sides:
            if result is not None:
                layer_modes[mode] = {key: value for key, value in vars(result).items() if key != "singular_values"}
                arrays[f"{i}.{mode}"], arrays[f"{i}.evbmf_{mode}"] = singular, result.singular_values
    content = io.BytesIO()
    np.savez(content, about=np.array(json.dumps(modes)), **arrays)
    try:
        folder().mkdir(parents=True, exist_ok=True)
        write_atomically(folder() / f"{cache_key}.npz", content.getvalue())
    except OSError as error:
        log.warning("the spectra are not cached: %s", error)


def _read_layer(layer: Layer, modes: dict[str, Any], arrays: Mapping[str, Any], i: int) -> Spectrum:
    singular = {mode: arrays[f"{i}.{mode}"] for mode in modes}
    results = {}
    for mode, fields in modes.items():
        fields |= {"shape": tuple(fields["shape"]), "singular_values": arrays[f"{i}.evbmf_{mode}"]}
        results[mode] = Evbmf(**fields)
    captured = arrays[f"{i}.captured"]
    return Spectrum(layer, results["out"], results.get("in"), singular["out"], singular.get("in"), captured)
