"""What is known of torchvision's data sets before they are there: class, splits, archives, size, licence."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

TRAIN_TEST: tuple[Mapping[str, Any], ...] = ({"train": True}, {"train": False})
UNSTATED = "none stated by its authors; for research"
EUROSAT = (
    "https://huggingface.co/datasets/torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip",
    "c8fa014336c82ac7804f0398fcb19387",
)


@dataclass(frozen=True)
class TorchDataset:
    """A data set of torchvision.

    Parameters
    ----------
    kind : name of torchvision's class.
    download_bytes : of all archives.
    splits : arguments of the class for the images to train on, to choose by, and to test on; without the second it is
        drawn from the first, and all are if there is one.
    archives : function from the class to the address and md5 of each archive of pictures; None for arrays.
    folder, unpacked : folder of the archives in torchvision's root, and that of the pictures if it is another one.
    """

    kind: str
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


def _splits(*names: str, **more: str) -> tuple[Mapping[str, Any], ...]:
    return tuple({"split": name, **more} for name in names)


TORCH_DATASETS = {
    "cifar10": TorchDataset("CIFAR10", 170_498_071, UNSTATED),
    "cifar100": TorchDataset("CIFAR100", 169_001_437, UNSTATED),
    "mnist": TorchDataset("MNIST", 11_594_722, UNSTATED),
    "fashion_mnist": TorchDataset("FashionMNIST", 30_878_645, "MIT"),
    "imagenette": TorchDataset(
        "Imagenette",
        341_663_724,
        "Apache 2.0; the photographs are ImageNet's, for research and teaching only",
        _splits("train", "val", size="320px"),
        lambda kind: [kind._ARCHIVES["320px"]],
        unpacked="imagenette2-320",
    ),
    "flowers102": TorchDataset(
        "Flowers102",
        344_878_000,
        UNSTATED,
        _splits("train", "val", "test"),
        lambda kind: [(f"{kind._download_url_prefix}{name}", md5) for name, md5 in kind._file_dict.values()],
        "flowers-102",
    ),
    "oxford_iiit_pet": TorchDataset(
        "OxfordIIITPet",
        811_092_049,
        "CC BY-SA 4.0",
        _splits("trainval", "test"),
        lambda kind: kind._RESOURCES,
        "oxford-iiit-pet",
    ),
    "food101": TorchDataset(
        "Food101",
        4_996_278_331,
        "none stated; the photographs are foodspotting.com's, for research only",
        _splits("train", "test"),
        lambda kind: [(kind._URL, kind._MD5)],
        unpacked="food-101",
    ),
    "eurosat": TorchDataset("EuroSAT", 94_280_567, "MIT", ({},), lambda kind: [EUROSAT], "eurosat"),
}
"""Data sets by name."""
