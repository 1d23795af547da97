"""Networks by name: how each is built, and what it takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import Tensor, nn

from workbench.catalog.datasets.digits import CLASSES
from workbench.catalog.networks import classics, huggingface
from workbench.catalog.networks.torchvision import class_names, torchvision
from workbench.network.network import Network

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MIN_CROPPED_SIZE = 128
"""Smallest input, in pixels, for which images are usually cropped; smaller ones take whole images."""
CAFFE_MEAN, CAFFE_STD = (123 / 255, 117 / 255, 104 / 255), (1 / 255,) * 3
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Centred:
    """Preprocessing of a batch of images: their centre, of `size` x `width` pixels, scaled to 0..1 and normalised.

    `width` is `size` if it is not given. `shorter` is the length in pixels of the shorter side of the images.
    """

    size: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    shorter: int = 256
    width: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", self.width or self.size)

    def __call__(self, images: Tensor) -> Tensor:
        """Preprocess images (n, channels, height, width), uint8 or floats in 0..1, to (n, channels, size, width)."""
        height, width = images.shape[-2:]
        top, left = (height - self.size) // 2, (width - self.width) // 2
        if top < 0 or left < 0:
            raise ValueError(f"the images have {height} x {width} pixels, the network takes {self.size} x {self.width}")
        crop = images[..., top : top + self.size, left : left + self.width]
        scaled = crop.float() if crop.is_floating_point() else crop.float() / 255
        mean, std = (torch.tensor(v, device=scaled.device)[:, None, None] for v in (self.mean, self.std))
        return (scaled - mean) / std


def usual_preprocessing(
    input_shape: Sequence[int], mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD
) -> Centred:
    """Return the usual preprocessing for inputs of shape (channels, height, width).

    Large images are cropped, to 224 pixels of 256, as is usual for ImageNet; small ones are taken whole. Files are read
    as squares, so their size follows from the longer side of the inputs.
    """
    height, width = input_shape[1:]
    longer = max(height, width)
    shorter = longer if longer < MIN_CROPPED_SIZE else round(longer * 256 / 224)
    return Centred(height, tuple(mean), tuple(std), shorter, width)


@dataclass(frozen=True)
class Entry:
    """A network of the catalog: its constructor, inputs and outputs; without `classes` it has ImageNet's."""

    build: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    preprocessing: Callable[[Tensor], Tensor] | None
    classes: tuple[str, ...] = ()
    bundled: bool = False
    repository: str = ""  # of the weights on the Hugging Face hub
    caffe: bool = False  # its ONNX files take blue, green, red from 0 to 255, less their means


def _torchvision(name: str) -> Entry:
    """Return a network of torchvision with the inputs that its best weights were trained for."""
    settings = torchvision("models").get_model_weights(name).DEFAULT.transforms.keywords
    size, shorter = settings["crop_size"], settings.get("resize_size", 256)
    centred = Centred(size, settings.get("mean", IMAGENET_MEAN), settings.get("std", IMAGENET_STD), shorter)
    options: dict[str, object] = {}
    if name in ("googlenet", "inception_v3"):
        # Torchvision's weights expect transform_input, which its constructor sets for downloaded weights only.
        options = {"init_weights": False, "transform_input": True}
    if name.startswith("vit_"):  # its weights include position embeddings
        options = {"image_size": size}
    build = partial(torchvision("models").get_model, name, weights=None, **options)
    return Entry(build, (3, size, size), centred)


CIFAR = Centred(32, shorter=32)
OWN = {
    "digits_vgg": Entry(classics.digits_vgg, (1, 8, 8), None, CLASSES, bundled=True),
    "alexnet_caffe": Entry(classics.alexnet_caffe, (3, 227, 227), Centred(227), caffe=True),
    "vgg_s": Entry(classics.vgg_s, (3, 224, 224), Centred(224), caffe=True),
    "googlenet_bvlc": Entry(classics.googlenet_bvlc, (3, 224, 224), Centred(224), caffe=True),
    **{
        f"resnet{6 * blocks + 2}": Entry(partial(classics.resnet, blocks), (3, 32, 32), CIFAR, CIFAR_CLASSES)
        for blocks in (3, 5, 7, 9)
    },
    "vgg16_cifar": Entry(classics.vgg16_cifar, (3, 32, 32), CIFAR, CIFAR_CLASSES),
}


@lru_cache(maxsize=1)
def catalog() -> dict[str, Entry]:
    """Return all networks by name; those of OWN replace torchvision's of the same name."""
    models = torchvision("models")
    return {**{name: _torchvision(name) for name in models.list_models(models)}, **OWN}


def bundled_names() -> list[str]:
    """Return the names of the networks whose weights come with the project."""
    return sorted(name for name, entry in OWN.items() if entry.bundled)


def network_names() -> list[str]:
    """Return the names of the catalog, which :func:`load_network` takes."""
    return sorted(catalog())


def outline(name: str) -> Network:
    """Return a network of the catalog without weights (on PyTorch's meta device), to count layers and costs."""
    with torch.device("meta"):
        entry = entry_of(name)
        model = entry.build()
    return as_network(name, entry, model, "no weights")


def entry_of(name: str) -> Entry:
    """Return a network of the catalog or of timm; KeyError with similar names if there is none."""
    if name.startswith((huggingface.TIMM, huggingface.HUB)):
        model, config, repository = huggingface.build(name)
        size = config["input_size"][-1]
        centred = Centred(size, config["mean"], config["std"], round(size / config["crop_pct"]))
        return Entry(lambda: model, tuple(config["input_size"]), centred, repository=repository)
    # The bundled network needs no torchvision, whose import takes a second.
    entry = OWN[name] if name in OWN else catalog().get(name)
    if entry is None:
        similar = [other for other in network_names() if other[:3] == name[:3]] or sorted(OWN)
        raise KeyError(f"no network is called {name!r}; there are: {', '.join(similar[:12])}")
    return entry


def as_network(name: str, entry: Entry, model: nn.Module, source: str, sha256: str = "") -> Network:
    """Return a new model as a network without a copy of its weights; they are random unless they have a checksum."""
    classes = entry.classes or class_names()
    if _output_count(model) not in (None, len(classes)):
        classes = ()
    network = Network(nn.Identity(), entry.input_shape, name, entry.preprocessing, classes, source)
    return network.with_model(model, random_weights=not sha256, sha256=sha256)


def _output_count(model: nn.Module) -> int | None:
    """Return the number of outputs of a model's last linear layer, or else convolution; None if it has neither."""
    linear = [module.out_features for module in model.modules() if isinstance(module, nn.Linear)]
    counts = linear or [module.out_channels for module in model.modules() if isinstance(module, nn.Conv2d)]
    return counts[-1] if counts else None
