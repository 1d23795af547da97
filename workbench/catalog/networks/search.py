"""Find networks by a part of their name, and describe their inputs and costs."""

from collections.abc import Iterable
from functools import lru_cache

from workbench.catalog.networks.entries import OWN, outline
from workbench.catalog.networks.torchvision import torchvision
from workbench.kernels.complexity import Cost
from workbench.network.tracing import find_layers
from workbench.tables import count


def search(text: str, names: Iterable[str], limit: int = 12) -> list[str]:
    """Return the names that contain every word: exact matches first, then by beginning and length."""
    words = text.lower().split()
    matches = [name for name in names if all(word in name.lower() for word in words)]

    def sort_key(name: str) -> tuple[bool, bool, int, str]:
        base = name.lower().rpartition("/")[2]
        return base != words[0], not base.startswith(words[0]), len(name), name

    return sorted(matches, key=sort_key)[:limit] if words else []


@lru_cache(maxsize=4096)
def details(name: str) -> str:
    """Describe input shape, weights and MACs of a network of the catalog or of timm, without a download.

    Torchvision publishes the figures of its networks; others are built without weights and counted.

    Raises
    ------
    KeyError, ValueError : if there is no such network, or it cannot be built.
    """
    if name not in OWN and "/" not in name:
        weights = torchvision("models").get_model_weights(name).DEFAULT
        size = weights.transforms.keywords["crop_size"]
        shape: tuple[int, ...] = (3, size, size)
        cost = Cost(weights.meta["num_params"], round(1e9 * weights.meta["_ops"]))
    else:
        network = outline(name)
        shape, cost = network.input_shape, find_layers(network).total
    costs = [f"{count(n)} {unit}" for n, unit in ((cost.weights, "weights"), (cost.macs, "MACs")) if n]
    return ", ".join(["x".join(map(str, shape)), *costs])
