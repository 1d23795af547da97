"""Networks by name: the bundled one, the paper's, CIFAR's, torchvision's, timm's and the hub's, and ONNX files."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from workbench.catalog.datasets import imagenet
from workbench.catalog.datasets.digits import CLASSES, digits_vgg
from workbench.catalog.networks import classics, hub
from workbench.catalog.networks.checkpoints import WeightsError, load_weights, read_weights
from workbench.catalog.networks.download import DownloadError, checksum_of, fetch
from workbench.catalog.networks.heads import fit_head
from workbench.catalog.networks.torchvision import torchvision
from workbench.catalog.onnx.load import load_onnx
from workbench.catalog.onnx.weights import onnx_weights
from workbench.network.network import Network
from workbench.progress import Progress

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN, CAFFE_STD = (123 / 255, 117 / 255, 104 / 255), (1 / 255,) * 3
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
OR_NONE = ", or take weights=None"
"""End of a message about absent weights, for notebooks only."""

CHECKSUM = re.compile(r"-([0-9a-f]{8,})\.")
"""First digits of the sha256, in the names of torchvision's checkpoints."""


class DamagedFileError(ValueError):
    """A bundled file whose checksum is not the one in its card."""


@dataclass(frozen=True)
class Centred:
    """Preprocessing of a batch of images: the centre of `size` pixels, integers scaled to 0..1, normalised.

    `shorter` is the number of pixels that the shorter side of the images should have.
    """

    size: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    shorter: int = 256

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
    repository: str = ""  # of the weights on the Hugging Face hub
    caffe: bool = False  # ONNX files of it take blue, green, red from 0 to 255, less their means


def _torchvision(name: str) -> Entry:
    """Return a network of torchvision with the inputs that its best weights were trained for."""
    wanted = torchvision("models").get_model_weights(name).DEFAULT.transforms.keywords
    size, shorter = wanted["crop_size"], wanted.get("resize_size", 256)
    centred = Centred(size, wanted.get("mean", IMAGENET_MEAN), wanted.get("std", IMAGENET_STD), shorter)
    options: dict[str, object] = {}
    if name in ("googlenet", "inception_v3"):
        # Torchvision's weights expect it, and its constructor switches it on for downloaded weights only.
        options = {"init_weights": False, "transform_input": True}
    if name.startswith("vit_"):  # its position embeddings are weights
        options = {"image_size": size}
    build = partial(torchvision("models").get_model, name, weights=None, **options)
    return Entry(build, (3, size, size), centred)


CIFAR = Centred(32, shorter=32)
OWN = {
    "digits_vgg": Entry(digits_vgg, (1, 8, 8), None, CLASSES, bundled=True),
    "alexnet_caffe": Entry(classics.alexnet_caffe, (3, 227, 227), Centred(227), caffe=True),
    "vgg_s": Entry(classics.vgg_s, (3, 224, 224), Centred(224), caffe=True),
    "googlenet_bvlc": Entry(classics.GoogLeNet, (3, 224, 224), Centred(224), caffe=True),
    **{
        f"resnet{6 * depth + 2}": Entry(partial(classics.ResNet, depth), (3, 32, 32), CIFAR, CIFAR_CLASSES)
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
    name: str | Path,
    weights: str | Path | None = "default",
    *,
    input_shape: Sequence[int] | None = None,
    progress: Progress | bool | None = None,
) -> Network:
    """Load a network of the catalog, of timm or the Hugging Face hub, or an ONNX file.

    Parameters
    ----------
    name : "digits_vgg", the paper's "alexnet_caffe", "vgg_s", "googlenet_bvlc" and "vgg16", CIFAR's "resnet20" (32, 44,
        56) and "vgg16_cifar", a classification network of torchvision by its own name, "timm/NAME", "hf-hub:ORG/NAME"
        (extra ``[hub]``), or the path of an ONNX file (extra ``[onnx]``).
    weights : "default" (the bundled ones, the hub's, or random ones where there are none), None (random, from seed 0),
        "pretrained" (torchvision's or the hub's, downloaded once), or the path of a safetensors file or a tensor-only
        state_dict, which may have another number of classes and a classifier of one linear layer; or of an ONNX file
        of the same layers. ONNX files of the networks of Caffe take pixels as Caffe did (0 to 255 less the mean; blue
        first): the network gets that preprocessing.
    input_shape : of an ONNX file that leaves it open.
    progress : called while weights are downloaded; raising `Cancelled` ends the download.

    Raises
    ------
    KeyError : if the catalog has no such network, with names that are like it.
    WeightsError, OnnxError : ValueErrors that name the file and what is wrong with it.
    FileNotFoundError, DamagedFileError : if a bundled file is missing, or its checksum is not that of its card.
    """
    if Path(name).suffix.lower() == ".onnx":
        return load_onnx(name, input_shape=input_shape)
    name = str(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        entry = _entry(name)
        model = entry.build()
    if weights == "default" and entry.repository:
        weights = "pretrained"
    source, random, sha256 = "random weights (seed 0): accuracies mean nothing", False, ""
    if weights == "pretrained":
        source, sha256 = _pretrained(model, name, entry, progress)
    elif weights == "default" and entry.bundled:
        source, sha256 = _bundled(model, name)
    elif weights is not None and weights != "default":
        path = Path(weights)
        if path.suffix.lower() == ".onnx":
            state = onnx_weights(model, path, entry.input_shape)
            if entry.caffe and isinstance(entry.preprocessing, Centred):
                entry = replace(entry, preprocessing=replace(entry.preprocessing, mean=CAFFE_MEAN, std=CAFFE_STD))
                first = next(key for key, value in state.items() if value.ndim == 4)
                state[first] = state[first].flip(1)  # blue, green, red to red, green, blue
        else:
            state = _renamed(name, read_weights(path))
            fit_head(model, state)
        load_weights(model, state, path.name)
        sha256 = checksum_of(path)
        source = f"{path.name}, sha256 {sha256[:12]}"
    else:
        random = True
    return _network(name, entry, model, source, random, sha256)


def outline(name: str) -> Network:
    """Return a network of the catalog without weights (on PyTorch's meta device), to count layers and costs."""
    entry = _entry(name)
    with torch.device("meta"):
        model = entry.build()
    return _network(name, entry, model, "no weights", True)


def _network(name: str, entry: Entry, model: nn.Module, source: str, random_weights: bool, sha256: str = "") -> Network:
    """Wrap a model that was built here, without the copy that Network makes of a given one."""
    classes = entry.classes or imagenet.class_names()
    if _outputs(model) not in (None, len(classes)):
        classes = ()
    made = Network(nn.Identity(), entry.input_shape, name, entry.preprocessing, classes, source)
    return made.with_model(model, random_weights=random_weights, sha256=sha256)


def _entry(name: str) -> Entry:
    if name.startswith((hub.TIMM, hub.HUB)):
        model, config, repository = hub.build(name)
        size = config["input_size"][-1]
        centred = Centred(size, config["mean"], config["std"], round(size / config["crop_pct"]))
        return Entry(lambda: model, tuple(config["input_size"]), centred, repository=repository)
    # The bundled network needs no torchvision, whose import takes a second.
    entry = OWN[name] if name in OWN else catalog().get(name)
    if entry is None:
        alike = [known for known in network_names() if known[:3] == name[:3]] or sorted(OWN)
        raise KeyError(f"no network is called {name!r}; there are: {', '.join(alike[:12])}")
    return entry


def _outputs(model: nn.Module) -> int | None:
    """Return the number of outputs of a model's last linear layer, or else convolution; None if it has neither."""
    linear = [module.out_features for module in model.modules() if isinstance(module, nn.Linear)]
    found = linear or [module.out_channels for module in model.modules() if isinstance(module, nn.Conv2d)]
    return found[-1] if found else None


def _pretrained(model: nn.Module, name: str, entry: Entry, progress: Progress | bool | None) -> tuple[str, str]:
    if name.startswith((hub.TIMM, hub.HUB)):
        weights, source = hub.pretrained(name, entry.repository)
        load_weights(model, weights, "model.safetensors")
        return source, ""
    if name in OWN:
        raise WeightsError(f"{name} has no weights to download; give the path of a file")
    found = torchvision("models").get_model_weights(name).DEFAULT
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(found.url).name
    digits = CHECKSUM.search(path.name)
    checksum = digits[1] if digits else ""
    if not (path.is_file() and checksum_of(path).startswith(checksum)):
        try:
            fetch(found.url, path, checksum=checksum, progress=progress)
        except DownloadError as error:
            raise WeightsError(
                f"the weights of {name} cannot be downloaded now ({error}); on a machine with a network get "
                f"{found.url} and put it into {path.parent} (torch.hub's){OR_NONE}"
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
    card = json.loads(_read(weights.with_suffix(".json")))
    content = _read(weights)
    found = hashlib.sha256(content).hexdigest()
    if found != card["sha256"]:
        raise DamagedFileError(
            f"{weights.name} is damaged: its sha256 begins with {found[:12]}, its card says {card['sha256'][:12]}. "
            f"Restore it (git checkout -- data) or make it again with {card['script']}"
        )
    try:
        load_weights(model, load(content), weights.name)
    except (SafetensorError, WeightsError) as error:
        raise DamagedFileError(f"{weights.name} does not hold the weights of {name}: {error}") from None
    return f"{weights.name}, {card['trained_on']}", found


def data_folder() -> Path:
    """Return the folder of the bundled checkpoints: ``data/`` beside the package, or ``$WORKBENCH_DATA``."""
    return Path(os.environ.get("WORKBENCH_DATA", Path(__file__).resolve().parents[3] / "data"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path.name} is not in {path.parent}: restore it with git, or set WORKBENCH_DATA to the folder that has it"
        ) from None
