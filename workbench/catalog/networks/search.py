"""Find networks by a part of their name, and say what each takes and costs."""

from collections.abc import Iterable
from functools import lru_cache

from workbench.catalog.networks.entries import OWN, outline
from workbench.catalog.networks.torchvision import torchvision
from workbench.kernels.complexity import Cost
from workbench.network.tracing import find_layers
from workbench.tables import count


def search(text: str, names: Iterable[str], limit: int = 12) -> list[str]:
    """Return names with every word of the text in them, best first: equal ones, beginnings, then short ones."""
    words = text.lower().split()
    found = [name for name in names if all(word in name.lower() for word in words)]

    def rank(name: str) -> tuple[bool, bool, int, str]:
        own = name.lower().rpartition("/")[2]
        return own != words[0], not own.startswith(words[0]), len(name), name

    return sorted(found, key=rank)[:limit] if words else []


@lru_cache(maxsize=4096)
def details(name: str) -> str:
    """Return what a network of the catalog or of timm takes and costs, in words; nothing is downloaded.

    For torchvision's networks these are the figures that it publishes; others are built without weights and counted.

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
    costs = [f"{count(n)} {what}" for n, what in ((cost.weights, "weights"), (cost.macs, "MACs")) if n]
    return ", ".join(["x".join(map(str, shape)), *costs])
