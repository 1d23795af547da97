"""Networks by name: the bundled one, the paper's, CIFAR's, torchvision's, timm's and the hub's, and ONNX files."""

import json
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from workbench.catalog.networks import huggingface
from workbench.catalog.networks.checkpoints import WeightsError, fit_head, load_weights, read_weights
from workbench.catalog.networks.download import DownloadError, checksum_of, fetch
from workbench.catalog.networks.entries import (
    CAFFE_MEAN,
    CAFFE_STD,
    OWN,
    Centred,
    Entry,
    as_network,
    entry_of,
    usual_preprocessing,
)
from workbench.catalog.networks.torchvision import torchvision
from workbench.catalog.onnx.load import load_onnx
from workbench.catalog.onnx.weights import onnx_weights
from workbench.network.network import Network
from workbench.progress import Progress

log = logging.getLogger(__name__)

BUNDLED = Path(__file__).resolve().parents[1] / "bundled"
"""Folder of the bundled checkpoints."""
CHECKSUM_PATTERN = re.compile(r"-([0-9a-f]{8,})\.")
"""First digits of the sha256 in the names of torchvision's checkpoints."""


def load_network(
    name: str | Path,
    weights: str | Path | None = "default",
    *,
    input_shape: Sequence[int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
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
        of the same layers. ONNX files of Caffe's networks take pixels as Caffe did (0 to 255 less the mean; blue
        first): the network gets that preprocessing.
    input_shape : only for an ONNX file that leaves it open.
    mean, std : for an ONNX file, one number per channel of images scaled to 0 to 1, like ImageNet's (0.485, 0.456,
        0.406) and (0.229, 0.224, 0.225). Without them images are only scaled to 0 to 1, unless the workbench wrote the
        file, and recorded them in it.
    progress : called while weights are downloaded; raising `Cancelled` ends the download.

    Raises
    ------
    KeyError : with similar names, if the catalog has no such network.
    ValueError : if an argument is for another kind of network.
    WeightsError, OnnxError : ValueErrors that name the file and its fault.
    """
    if Path(name).suffix.lower() == ".onnx":
        if weights != "default":
            raise ValueError(f"{Path(name).name} has its own weights: leave out weights={weights!r}")
        return _open_onnx(Path(name), input_shape, mean, std)
    if mean is not None or std is not None or input_shape is not None:
        raise ValueError("mean, std and input_shape are for ONNX files: the networks of the catalog come with theirs")
    name = str(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        entry = entry_of(name)
        model = entry.build()
    if weights == "default" and entry.repository:
        weights = "pretrained"
    source, sha256 = "random weights (seed 0): accuracies mean nothing", ""
    if weights == "pretrained":
        source, sha256 = _load_pretrained(model, name, entry, progress)
    elif weights == "default" and entry.bundled:
        source, sha256 = _load_bundled(model, name)
    elif weights is not None and weights != "default":
        path = Path(weights)
        if path.suffix.lower() == ".onnx":
            state = onnx_weights(model, path, entry.input_shape)
            if entry.caffe and isinstance(entry.preprocessing, Centred):
                entry = replace(entry, preprocessing=replace(entry.preprocessing, mean=CAFFE_MEAN, std=CAFFE_STD))
                first_kernel = next(key for key, value in state.items() if value.ndim == 4)
                state[first_kernel] = state[first_kernel].flip(1)  # blue, green, red to red, green, blue
        else:
            state = _rename_keys(name, read_weights(path))
            fit_head(model, state)
        load_weights(model, state, path.name)
        sha256 = checksum_of(path)
        source = f"{path.name}, sha256 {sha256[:12]}"
    return as_network(name, entry, model, source, sha256)


def _open_onnx(
    path: Path, input_shape: Sequence[int] | None, mean: Sequence[float] | None, std: Sequence[float] | None
) -> Network:
    """Open an ONNX file; square images without a given mean or standard deviation get no preprocessing."""
    network = load_onnx(path, input_shape=input_shape)
    is_normalised = mean is not None or std is not None
    if len(network.input_shape) != 3 or network.structured:
        if is_normalised:
            raise ValueError(f"mean and std are for images, but {path.name} takes none")
        return network
    if not is_normalised and network.preprocessing is not None:
        return network
    if not is_normalised:
        log.warning("%s does not say how images are normalised: give mean and std if they are", path.name)
        channels, height, width = network.input_shape
        if height == width or channels not in (1, 3):
            return network
    mean, std = (0.0,) if mean is None else mean, (1.0,) if std is None else std
    usual = usual_preprocessing(network.input_shape, mean, std)
    if isinstance(network.preprocessing, Centred):
        usual = replace(network.preprocessing, mean=usual.mean, std=usual.std)
    return network.with_model(network.model, preprocessing=usual)


def _load_pretrained(model: nn.Module, name: str, entry: Entry, progress: Progress | bool | None) -> tuple[str, str]:
    """Copy torchvision's or the hub's weights into a model; return their source and SHA-256."""
    if name.startswith((huggingface.TIMM, huggingface.HUB)):
        if not entry.repository:
            raise WeightsError(f"{name} has no weights on the hub; give the path of a file")
        path = huggingface.fetch(entry.repository, "model.safetensors")
        load_weights(model, read_weights(path), path.name)
        return f"{entry.repository} (Hugging Face hub)", checksum_of(path)
    if name in OWN:
        raise WeightsError(f"{name} has no weights to download; give the path of a file")
    weights = torchvision("models").get_model_weights(name).DEFAULT
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    match = CHECKSUM_PATTERN.search(path.name)
    checksum = match[1] if match else ""
    if not (path.is_file() and checksum_of(path).startswith(checksum)):
        try:
            fetch(weights.url, path, checksum=checksum, progress=progress)
        except DownloadError as error:
            raise WeightsError(
                f"the weights of {name} cannot be downloaded now ({error}); on a machine with a network get "
                f"{weights.url} and put it into {path.parent} (torch.hub's), or take weights=None"
            ) from None
    load_weights(model, _rename_keys(name, read_weights(path)), path.name)
    return f"torchvision {weights}", checksum_of(path)


def _rename_keys(name: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of torchvision's DenseNets, which are called as in an old PyTorch (norm.1 for norm1)."""
    if not name.startswith("densenet"):
        return weights
    return {re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d\.)", r"\1\2", key): v for key, v in weights.items()}


def _load_bundled(model: nn.Module, name: str) -> tuple[str, str]:
    """Copy the bundled weights into a model; return their source and SHA-256."""
    path = BUNDLED / f"{name}.safetensors"
    sha256, advice = checksum_of(path), "install the package anew, or restore the file with git"
    if not sha256:
        raise WeightsError(f"there is no file {path}: {advice}")
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    if sha256 != card["sha256"]:
        raise WeightsError(f"{path.name} is damaged, its sha256 is not that of its card: {advice}")
    load_weights(model, read_weights(path), path.name)
    return f"{path.name}, {card['trained_on']}", sha256


def data_folder() -> Path:
    """Return the folder of runs and data sets: ``$WORKBENCH_DATA``, or ``data`` of a checkout, or ``~/workbench``."""
    if "WORKBENCH_DATA" in os.environ:
        return Path(os.environ["WORKBENCH_DATA"])
    checkout = Path(__file__).resolve().parents[3]
    return checkout / "data" if (checkout / "pyproject.toml").is_file() else Path.home() / "workbench"
