"""Find networks by a part of their name, and say what each takes and costs."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from workbench.catalog.networks.entries import OWN, outline
from workbench.catalog.networks.torchvision import torchvision
from workbench.kernels.complexity import total
from workbench.network.tracing import find_layers
from workbench.tables import count


@dataclass(frozen=True)
class Details:
    """Input of a network, and its number of weights and MACs; None where they are not known."""

    input_shape: tuple[int, ...]
    weights: int | None = None
    macs: int | None = None

    def __str__(self) -> str:
        costs = [f"{count(n)} {what}" for n, what in ((self.weights, "weights"), (self.macs, "MACs")) if n]
        return ", ".join(["x".join(map(str, self.input_shape)), *costs])


def search(text: str, names: Iterable[str], limit: int = 12) -> list[str]:
    """Return names with every word of the text in them, best first: equal ones, beginnings, then short ones."""
    words = text.lower().split()
    found = [name for name in names if all(word in name.lower() for word in words)]

    def rank(name: str) -> tuple[bool, bool, int, str]:
        own = name.lower().rpartition("/")[2]
        return own != words[0], not own.startswith(words[0]), len(name), name

    return sorted(found, key=rank)[:limit] if words else []


@lru_cache(maxsize=4096)
def details(name: str) -> Details:
    """Return what a network of the catalog or of timm takes and costs; nothing is downloaded.

    For torchvision's networks these are the figures that it publishes; others are built without weights and counted.

    Raises
    ------
    KeyError, ValueError : if there is no such network, or it cannot be built.
    """
    if name not in OWN and "/" not in name:
        weights = torchvision("models").get_model_weights(name).DEFAULT
        size = weights.transforms.keywords["crop_size"]
        return Details((3, size, size), int(weights.meta["num_params"]), round(1e9 * weights.meta["_ops"]))
    network = outline(name)
    traced = find_layers(network)
    cost = total([layer.cost for layer in traced.layers]) + traced.other
    return Details(network.input_shape, cost.weights, cost.macs)
