"""Torchvision's data sets before their download: class, splits, archives, size, licence."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

TRAIN_TEST: tuple[Mapping[str, Any], ...] = ({"train": True}, {"train": False})
UNSTATED_LICENCE = "none stated by its authors; for research"
EUROSAT = (
    "https://huggingface.co/datasets/torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip",
    "c8fa014336c82ac7804f0398fcb19387",
)


@dataclass(frozen=True)
class TorchDataset:
    """A data set of torchvision.

    Parameters
    ----------
    class_name : name of torchvision's class.
    download_bytes : of all archives.
    splits : arguments of the class for training, validation and test images. Of two, validation images are drawn from
        the first; of one, all are drawn from it.
    archives : function from the class to the address and md5 of each archive of pictures; None for arrays.
    folder, unpacked : folder of the archives in torchvision's root, and that of the pictures if it is another one.
    """

    class_name: str
    download_bytes: int
    licence: str
    splits: tuple[Mapping[str, Any], ...] = TRAIN_TEST
    archives: Callable[[Any], Iterable[tuple[str, str]]] | None = None
    folder: str = ""
    unpacked: str = ""

    @property
    def notice(self) -> str:
        """Size and licence, in words."""
        return f"{self.download_bytes:,} bytes to download; licence: {self.licence}"


def _splits(*names: str, **options: str) -> tuple[Mapping[str, Any], ...]:
    return tuple({"split": name, **options} for name in names)


TORCH_DATASETS = {
    "cifar10": TorchDataset("CIFAR10", 170_498_071, UNSTATED_LICENCE),
    "cifar100": TorchDataset("CIFAR100", 169_001_437, UNSTATED_LICENCE),
    "mnist": TorchDataset("MNIST", 11_594_722, UNSTATED_LICENCE),
    "fashion_mnist": TorchDataset("FashionMNIST", 30_878_645, "MIT"),
    "imagenette": TorchDataset(
        "Imagenette",
        341_663_724,
        "Apache 2.0; the photographs are ImageNet's, for research and teaching only",
        _splits("train", "val", size="320px"),
        lambda cls: [cls._ARCHIVES["320px"]],
        unpacked="imagenette2-320",
    ),
    "flowers102": TorchDataset(
        "Flowers102",
        344_878_000,
        UNSTATED_LICENCE,
        _splits("train", "val", "test"),
        lambda cls: [(f"{cls._download_url_prefix}{name}", md5) for name, md5 in cls._file_dict.values()],
        "flowers-102",
    ),
    "oxford_iiit_pet": TorchDataset(
        "OxfordIIITPet",
        811_092_049,
        "CC BY-SA 4.0",
        _splits("trainval", "test"),
        lambda cls: cls._RESOURCES,
        "oxford-iiit-pet",
    ),
    "food101": TorchDataset(
        "Food101",
        4_996_278_331,
        "none stated; the photographs are foodspotting.com's, for research only",
        _splits("train", "test"),
        lambda cls: [(cls._URL, cls._MD5)],
        unpacked="food-101",
    ),
    "eurosat": TorchDataset("EuroSAT", 94_280_567, "MIT", ({},), lambda cls: [EUROSAT], "eurosat"),
}
"""Data sets by name."""
