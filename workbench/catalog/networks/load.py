"""Networks by name: the bundled one, the paper's, CIFAR's, and torchvision's by their own names."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import torch
from safetensors.torch import load
from torch import Tensor, nn

from workbench.catalog.datasets.digits import CLASSES, digits_vgg
from workbench.catalog.networks import classics
from workbench.catalog.networks.checkpoints import WeightsError, load_weights, read_weights
from workbench.catalog.networks.download import DownloadError, checksum_of, fetch
from workbench.catalog.networks.torchvision import torchvision
from workbench.network.network import Network
from workbench.progress import Progress

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CHECKSUM = re.compile(r"-([0-9a-f]{8,})\.")  # first digits of the sha256, in the names of torchvision's checkpoints


@dataclass(frozen=True)
class Centred:
    """Preprocessing of a batch of images: the centre of `size` pixels, integers scaled to 0..1, normalised."""

    size: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    shorter: int = 256  # pixels of the shorter side that the images should have

    def __call__(self, images: Tensor) -> Tensor:
        """Preprocess images (n, channels, height, width), uint8 or floats in 0..1, to (n, channels, size, size)."""
        height, width = images.shape[-2:]
        top, left = (height - self.size) // 2, (width - self.size) // 2
        if top < 0 or left < 0:
            raise ValueError(f"the images have {height} x {width} pixels, the network takes {self.size} x {self.size}")
        middle = images[..., top : top + self.size, left : left + self.size]
        scaled = middle.float() if middle.is_floating_point() else middle.float() / 255
        mean, std = (torch.tensor(v, device=scaled.device)[:, None, None] for v in (self.mean, self.std))
        return (scaled - mean) / std


@dataclass(frozen=True)
class Entry:
    """A network of the catalog: how to build it, and its inputs and outputs; without class names, ImageNet's."""

    build: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    preprocessing: Callable[[Tensor], Tensor] | None
    classes: tuple[str, ...] = ()
    bundled: bool = False


def _torchvision(name: str) -> Entry:
    """Return a network of torchvision with the inputs that its best weights were trained for."""
    wanted = torchvision("models").get_model_weights(name).DEFAULT.transforms.keywords
    size, shorter = wanted["crop_size"], wanted.get("resize_size", 256)
    centred = Centred(size, wanted.get("mean", IMAGENET_MEAN), wanted.get("std", IMAGENET_STD), shorter)
    options: dict[str, object] = {"image_size": size} if name.startswith("vit_") else {}  # for its position embeddings
    if name in ("googlenet", "inception_v3"):
        # Torchvision's weights expect it, and its constructor switches it on for downloaded weights only.
        options = {"init_weights": False, "transform_input": True}
    build = partial(torchvision("models").get_model, name, weights=None, **options)
    return Entry(build, (3, size, size), centred)


CIFAR = Centred(32, shorter=32)
OWN = {
    "digits_vgg": Entry(digits_vgg, (1, 8, 8), None, CLASSES, bundled=True),
    "alexnet_caffe": Entry(classics.alexnet_caffe, (3, 227, 227), Centred(227)),
    "vgg_s": Entry(classics.vgg_s, (3, 224, 224), Centred(224)),
    "googlenet_bvlc": Entry(classics.googlenet_bvlc, (3, 224, 224), Centred(224)),
    **{
        f"resnet{6 * depth + 2}": Entry(partial(classics.resnet, depth), (3, 32, 32), CIFAR, CIFAR_CLASSES)
        for depth in (3, 5, 7, 9)
    },
    "vgg16_cifar": Entry(classics.vgg16_cifar, (3, 32, 32), CIFAR, CIFAR_CLASSES),
}


@lru_cache(maxsize=1)
def catalog() -> dict[str, Entry]:
    """Return all networks by name; ours replace torchvision's of the same name."""
    models = torchvision("models")
    return {**{name: _torchvision(name) for name in models.list_models(models)}, **OWN}


def bundled_names() -> list[str]:
    """Return the names of the networks whose weights come with the project."""
    return sorted(name for name, entry in OWN.items() if entry.bundled)


def network_names() -> list[str]:
    """Return the names that :func:`load_network` knows."""
    return sorted(catalog())


def load_network(
    name: str, weights: str | Path | None = "default", *, progress: Progress | bool | None = None
) -> Network:
    """Load a network of the catalog.

    Parameters
    ----------
    name : "digits_vgg", the paper's "alexnet_caffe", "vgg_s", "googlenet_bvlc" and "vgg16", CIFAR's "resnet20" (32, 44,
        56) and "vgg16_cifar", or a classification network of torchvision by its own name.
    weights : "default" (the bundled ones, or random ones where none are bundled), None (random, from seed 0),
        "pretrained" (torchvision's, downloaded once), or the path of a safetensors file or a tensor-only state_dict.
    progress : called while weights are downloaded; raising `Cancelled` ends the download.

    Raises
    ------
    KeyError : if the catalog has no such network, with names that are like it.
    WeightsError : naming the file and what is wrong with it.
    FileNotFoundError : if a bundled file is missing.
    """
    entry = _entry(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = entry.build()
    source, sha256 = "random weights (seed 0): accuracies mean nothing", ""
    if weights == "pretrained":
        source, sha256 = _pretrained(model, name, progress)
    elif weights == "default" and entry.bundled:
        source, sha256 = _bundled(model, name)
    elif weights is not None and weights != "default":
        path = Path(weights)
        load_weights(model, _renamed(name, read_weights(path)), path.name)
        sha256 = checksum_of(path)
        source = f"{path.name}, sha256 {sha256[:12]}"
    return _network(name, entry, model, source, sha256)


def outline(name: str) -> Network:
    """Return a network of the catalog without weights (on PyTorch's meta device), to count layers and costs."""
    entry = _entry(name)
    with torch.device("meta"):
        model = entry.build()
    return _network(name, entry, model, "no weights")


def image_size(network: Network) -> int:
    """Return the pixels that the shorter side of images from a folder should have for a network."""
    if isinstance(network.preprocessing, Centred):
        return network.preprocessing.shorter
    # without preprocessing the images are the input
    return max(network.input_shape[1:], default=256) if network.preprocessing is None else 256


def _network(name: str, entry: Entry, model: nn.Module, source: str, sha256: str = "") -> Network:
    """Wrap a model that was built here, without the copy that Network makes of a given one."""
    classes = entry.classes or torchvision("models._meta")._IMAGENET_CATEGORIES
    made = Network(nn.Identity(), entry.input_shape, name, entry.preprocessing, tuple(classes), source)
    return made.with_model(model, random_weights=not sha256, sha256=sha256)


def _entry(name: str) -> Entry:
    # The bundled network needs no torchvision, whose import takes a second.
    entry = OWN[name] if name in OWN else catalog().get(name)
    if entry is None:
        alike = [known for known in network_names() if known[:3] == name[:3]] or sorted(OWN)
        raise KeyError(f"no network is called {name!r}; there are: {', '.join(alike[:12])}")
    return entry


def _pretrained(model: nn.Module, name: str, progress: Progress | bool | None) -> tuple[str, str]:
    if name in OWN:
        raise WeightsError(f"{name} has no weights to download; give the path of a file")
    found = torchvision("models").get_model_weights(name).DEFAULT
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(found.url).name
    checksum = digits[1] if (digits := CHECKSUM.search(path.name)) else ""
    if not (path.is_file() and checksum_of(path).startswith(checksum)):
        try:
            fetch(found.url, path, checksum=checksum, progress=progress)
        except DownloadError as error:
            raise WeightsError(
                f"the weights of {name} cannot be downloaded now ({error}); on a machine with a network get "
                f"{found.url} and put it into {path.parent} (torch.hub's)"
            ) from None
    load_weights(model, _renamed(name, read_weights(path)), path.name)
    return f"torchvision {found}", checksum_of(path)


def _renamed(name: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename keys of torchvision's DenseNets, whose files have the names of an old PyTorch (norm.1 for norm1)."""
    if not name.startswith("densenet"):
        return weights
    return {re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d\.)", r"\1\2", key): v for key, v in weights.items()}


def _bundled(model: nn.Module, name: str) -> tuple[str, str]:
    weights = data_folder() / f"{name}.safetensors"
    try:
        content, card = weights.read_bytes(), json.loads(weights.with_suffix(".json").read_bytes())
    except FileNotFoundError as error:
        where = f"{Path(error.filename).name} is not in {weights.parent}"
        raise FileNotFoundError(f"{where}: restore it with git, or set WORKBENCH_DATA to its folder") from None
    found = hashlib.sha256(content).hexdigest()
    if found != card["sha256"]:
        raise WeightsError(
            f"{weights.name} is damaged: its sha256 begins with {found[:12]}, its card says {card['sha256'][:12]}. "
            f"Restore it (git checkout -- data) or make it again with {card['script']}"
        )
    load_weights(model, load(content), weights.name)
    return f"{weights.name}, {card['trained_on']}", found


def data_folder() -> Path:
    """Return the folder of the bundled checkpoints: ``data/`` beside the package, or ``$WORKBENCH_DATA``."""
    return Path(os.environ.get("WORKBENCH_DATA", Path(__file__).resolve().parents[3] / "data"))
