"""Networks by name, with their weights checked."""

import hashlib
import json
import os
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load

from workbench.catalog.digits import CLASSES, digits_vgg
from workbench.compression.network import Network

BUNDLED = {"digits_vgg": (digits_vgg, (1, 8, 8), CLASSES)}


class DamagedFileError(ValueError):
    """A file is not what its card says; the sentence names both."""


def network_names() -> list[str]:
    """Names that :func:`load_network` knows."""
    return sorted(BUNDLED)


def load_network(name: str) -> Network:
    """A network of the catalog with its bundled weights, in eval mode.

    Parameters
    ----------
    name : "digits_vgg".

    Raises
    ------
    KeyError : if the catalog has no such network, with the names it has.
    FileNotFoundError : if the bundled file is missing.
    DamagedFileError : if its checksum is not that of its card.
    """
    if name not in BUNDLED:
        raise KeyError(f"no network is called {name!r}; there are: {', '.join(network_names())}")
    build, input_shape, classes = BUNDLED[name]
    weights = data_folder() / f"{name}.safetensors"
    card = json.loads(_read(weights.with_suffix(".json")))
    content = _read(weights)
    found = hashlib.sha256(content).hexdigest()
    if found != card["sha256"]:
        raise DamagedFileError(
            f"{weights.name} is damaged: its sha256 begins with {found[:12]}, its card says {card['sha256'][:12]}. "
            f"Restore it (git checkout -- data) or make it again with {card['script']}"
        )
    model = build()
    try:
        model.load_state_dict(load(content))
    except (SafetensorError, RuntimeError) as error:
        raise DamagedFileError(f"{weights.name} does not hold the weights of {name}: {error}") from None
    source = f"{weights.name}, {card['trained_on']}"
    return Network(model.eval(), input_shape, name=name, classes=classes, source=source)


def data_folder() -> Path:
    """Where the bundled checkpoints are: ``data/`` beside the package, or ``$WORKBENCH_DATA``."""
    return Path(os.environ.get("WORKBENCH_DATA", Path(__file__).resolve().parents[2] / "data"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path.name} is not in {path.parent}: restore it with git, or set WORKBENCH_DATA to the folder that has it"
        ) from None
