"""The names of ImageNet's 1000 classes."""

from functools import lru_cache

from workbench.catalog.networks.torchvision import torchvision


@lru_cache(maxsize=1)
def class_names() -> tuple[str, ...]:
    """Return the 1000 names in the order of the networks' outputs, from torchvision."""
    return tuple(torchvision("models._meta")._IMAGENET_CATEGORIES)
