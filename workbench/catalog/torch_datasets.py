"""CIFAR-10 and -100, MNIST and Fashion-MNIST through torchvision, from a folder one has or downloaded into it.

torchvision compares the files with known checksums before it reads them, so nothing foreign is unpickled.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import torch
from torch import Tensor

from workbench.catalog.vision import torchvision
from workbench.compression.data import Data, Split

SEED = 20160226


@dataclass(frozen=True)
class Entry:
    """torchvision's class, and how many of its training images are set apart for validation."""

    kind: str
    validation: int


TORCH_DATASETS = {
    "cifar10": Entry("CIFAR10", 5000),
    "cifar100": Entry("CIFAR100", 5000),
    "mnist": Entry("MNIST", 5000),
    "fashion_mnist": Entry("FashionMNIST", 5000),
}


def load_torch_dataset(name: str, root: str | Path, *, download: bool = False) -> Data:
    """Train, validation (set apart from the training images by a seed) and test split; images are uint8.

    Parameters
    ----------
    name : one of ``TORCH_DATASETS``.
    root : the folder torchvision keeps it in.
    download : fetch what is missing.

    Raises
    ------
    ValueError : if it is not in the folder, or cannot be downloaded, saying what to do.
    """
    entry = TORCH_DATASETS[name]
    kind = getattr(torchvision("datasets"), entry.kind)
    try:
        train, test = (kind(str(root), train=part, download=download) for part in (True, False))
    except (URLError, OSError):
        raise ValueError(
            f"{name} cannot be downloaded now: get it on a machine with a network and put it into {root}"
        ) from None
    except RuntimeError as error:
        hint = "" if download else f", or load_data({name!r}, root=..., download=True)"
        raise ValueError(f"{name} is not in {root} ({error}): put torchvision's files there{hint}") from None
    images, labels = _tensors(train)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SEED))
    held, rest = order[: entry.validation].sort().values, order[entry.validation :].sort().values
    return Data(
        Split(images[rest], labels[rest], "train"),
        Split(images[held], labels[held], "validation"),
        Split(*_tensors(test), "test"),
        name=name,
        classes=tuple(train.classes),
    )


def _tensors(dataset: Any) -> tuple[Tensor, Tensor]:
    """Images (n, channels, height, width) uint8 and labels (n,), from torchvision's arrays."""
    pixels = torch.as_tensor(np.asarray(dataset.data))
    images = pixels.permute(0, 3, 1, 2) if pixels.ndim == 4 else pixels[:, None]
    return images.contiguous(), torch.as_tensor(np.asarray(dataset.targets), dtype=torch.long)
