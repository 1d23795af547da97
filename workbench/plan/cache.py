"""Cache spectra on disk by a hash of the weights.

One ``.npz`` file a network, in ``$WORKBENCH_CACHE`` or the user's cache folder, written whole or not at all. A file
that is damaged, of another version or of other weights counts as absent and is written anew. Nothing is unpickled.
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
"""Goes up whenever the numbers in a file, or their layout, change; it is part of the file's name."""


def folder() -> Path:
    """Return the folder of the files: ``$WORKBENCH_CACHE``, or ``workbench`` in the system's folder for caches."""
    if own := os.environ.get("WORKBENCH_CACHE"):
        return Path(own)
    places = {"darwin": ("Library", "Caches"), "win32": ("AppData", "Local")}
    base = Path.home().joinpath(*places.get(sys.platform, (".cache",)))
    return Path(os.environ.get("XDG_CACHE_HOME") or base) / "workbench"


def key(kernels: Mapping[str, Tensor], layers: Mapping[str, Layer]) -> str:
    """Return the hash of the version, every layer's geometry and every weight."""
    with ThreadPoolExecutor() as pool:  # hashing lets go of the interpreter's lock
        weights = list(pool.map(_hash, kernels.values()))
    digest = hashlib.blake2b(f"spectra {VERSION}".encode(), digest_size=20)
    for (name, kernel), hashed in zip(kernels.items(), weights, strict=True):
        about = (name, layers[name].method, layers[name].shape.groups, tuple(kernel.shape), str(kernel.dtype), hashed)
        digest.update(json.dumps(about).encode())
    return digest.hexdigest()


def _hash(kernel: Tensor) -> str:
    flat = kernel.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.blake2b(flat.numpy().data, digest_size=20).hexdigest()


def load(name: str, layers: Mapping[str, Layer]) -> dict[str, Spectrum] | None:
    """Return the spectra of that key, or None if they are absent or invalid."""
    path = folder() / f"{name}.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            return {n: _read(layer, about[n], arrays, i) for i, (n, layer) in enumerate(layers.items())}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError) as error:
        log.warning("the cached spectra in %s are made anew: %s", path, error)
        return None


def save(name: str, spectra: Mapping[str, Spectrum]) -> None:
    """Write the spectra of that key; log a warning if the folder cannot be written to."""
    arrays: dict[str, Any] = {}
    about: dict[str, Any] = {}
    for i, (layer, s) in enumerate(spectra.items()):
        arrays[f"{i}.captured"] = s.captured
        modes = about[layer] = {}
        for mode, values, found in (("out", s.singular_out, s.out), ("in", s.singular_in, s.in_)):
            if found is not None:
                modes[mode] = {key: value for key, value in vars(found).items() if key != "singular_values"}
                arrays[f"{i}.{mode}"], arrays[f"{i}.evbmf_{mode}"] = values, found.singular_values
    content = io.BytesIO()
    np.savez(content, about=np.array(json.dumps(about)), **arrays)
    try:
        folder().mkdir(parents=True, exist_ok=True)
        write_atomically(folder() / f"{name}.npz", content.getvalue())
    except OSError as error:
        log.warning("the spectra are not cached: %s", error)


def _read(layer: Layer, about: dict[str, Any], arrays: Mapping[str, Any], i: int) -> Spectrum:
    singular = {mode: arrays[f"{i}.{mode}"] for mode in about}
    found = {}
    for mode, facts in about.items():
        facts |= {"shape": tuple(facts["shape"]), "singular_values": arrays[f"{i}.evbmf_{mode}"]}
        found[mode] = Evbmf(**facts)
    captured = arrays[f"{i}.captured"]
    return Spectrum(layer, found["out"], found.get("in"), singular["out"], singular.get("in"), captured)
