"""Open a network and data by their names: load, analyse, score."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from workbench.app.errors import naming, sentence
from workbench.catalog.datasets.load import bundled_data_names
from workbench.catalog.datasets.offered import load_folder, load_offered
from workbench.catalog.networks.checkpoints import WeightsError
from workbench.catalog.networks.entries import OWN, usual_preprocessing
from workbench.catalog.networks.load import load_network
from workbench.catalog.onnx.load import load_onnx
from workbench.catalog.onnx.node import OpenShapeError
from workbench.network.data import Data, Split
from workbench.network.inputs import image_size, in_channels
from workbench.network.network import Network
from workbench.network.scores import accuracy
from workbench.plan.spectra import Spectra, analyze
from workbench.progress import part
from workbench.runs.run import Stage, StageName
from workbench.runs.scoring import scored_stage

OPEN_SIZE = (3, 224, 224)
"""Channels, height and width of the input of an ONNX file that leaves them open."""


@dataclass(frozen=True)
class Choice:
    """What to open, by names of the catalog, of the data sets here, or of what was given in code."""

    network: str
    data: str
    weights: str = "default"  # bundled, else torchvision's, else random; "random"; or the name of an uploaded file
    file: Path | None = None  # the uploaded weights, or network (ONNX); the workbench chooses its name on the disk
    pictures: Path | None = None  # the uploaded folder or ZIP file of images; `data` is its name for the user


@dataclass(frozen=True)
class Opened:
    """A network and data that are open."""

    choice: Choice
    network: Network
    data: Data
    spectra: Spectra
    original: Stage
    misfit: str = ""  # why it cannot be scored on the data, in a sentence
    warning: str = ""  # what the user must know of how it was opened

    @property
    def scored_data(self) -> Data | None:
        """The data, unless the network cannot be scored on them."""
        return None if self.misfit else self.data


def open_choice(
    choice: Choice, known: Network | Opened | None, data: Data | None, report: Callable[[float, str], None]
) -> Opened:
    """Load, analyse and score; `known` is the network if it was given in code, or the last opening, to use again."""
    report(0.0, f"loading {choice.network}")
    if isinstance(known, Opened):
        network, spectra, warning = known.network, known.spectra, known.warning
    else:
        network, warning = (known, "") if isinstance(known, Network) else _load(choice, part(report, 0.0, 0.05))
        spectra = analyze(network, progress=part(report, 0.05, 0.5, "analysing"))
    report(0.5, f"loading {choice.data}")
    if data is None:
        load = partial(load_offered, choice.data) if choice.pictures is None else partial(load_folder, choice.pictures)
        with naming(choice.pictures, choice.data):
            data = load(classes=network.classes, size=image_size(network), progress=part(report, 0.5, 0.55))
        if choice.pictures is not None or choice.data not in bundled_data_names():  # they serve any network
            data = in_channels(network, data)
        data = replace(data, name=choice.data)
    misfit, progress = _misfit(network, data), part(report, 0.55, 1.0, "scoring")
    images = None if misfit else data
    stage = scored_stage(network, images, StageName.ORIGINAL, note=network.source, progress=progress)
    return Opened(choice, network, data, spectra, stage, misfit, warning)


def _load(choice: Choice, report: Callable[[float, str], None]) -> tuple[Network, str]:
    """Return the network, and a sentence if it is not the requested one."""
    if choice.file is not None and choice.file.suffix == ".onnx":
        return _load_onnx(choice.file, choice.network)
    if choice.file is not None:
        with naming(choice.file, choice.weights):
            network = load_network(choice.network, weights=choice.file)
        source = network.source.replace(choice.file.name, choice.weights)
        return network.with_model(network.model, source=source), ""
    if choice.weights == "random":
        return load_network(choice.network, weights=None), ""
    if choice.network in OWN:
        return load_network(choice.network), ""
    try:
        return load_network(choice.network, weights="pretrained", progress=report), ""
    except WeightsError as error:
        why = sentence(error)
        return load_network(choice.network, weights=None), f"Opened with random weights: {why}"


def _load_onnx(file: Path, name: str) -> tuple[Network, str]:
    """Open an uploaded ONNX file and return what is assumed of it; an input of an open size gets `OPEN_SIZE`."""
    assumed = []
    with naming(file, name):
        try:
            network = load_onnx(file, name=name)
        except OpenShapeError:
            network = load_onnx(file, name=name, input_shape=OPEN_SIZE)
            assumed.append(f"its input, whose size is open, has {' x '.join(map(str, OPEN_SIZE))} numbers")
    if len(network.input_shape) == 3 and network.input_shape[0] == 3 and network.preprocessing is None:
        centred = usual_preprocessing(network.input_shape)
        network = network.with_model(network.model, preprocessing=centred)
        whole = f"pictures are scaled to {centred.shorter} pixels on their shorter side"
        assumed.append(f"{whole}, of which it takes the middle {centred.size} x {centred.width}")
        assumed.append("colours are from 0 to 1, less ImageNet's mean, over its deviation")
    source = network.source.replace(file.name, name)
    warning = f"The file does not say it, so the workbench assumes: {'; '.join(assumed)}." if assumed else ""
    return network.with_model(network.model, source=source), warning


def _misfit(network: Network, data: Data) -> str:
    """Return why the network cannot be scored on these images, in a sentence; "" if it can."""
    if network.structured:
        return f"{network.name} takes other inputs than one picture."
    splits = [split for split in (data.validation, data.test, data.train) if len(split)]
    if not splits:
        return f"{data.name} has no images."
    try:
        for split in splits:
            network.inputs(next(split.batches(1))[0])
            if split.labelled:
                last = Split(split.images[torch.zeros(1, dtype=torch.long)], split.labels.max()[None], split.name)
                accuracy(network, last)
    except (ValueError, RuntimeError) as error:
        if "allocate memory" in str(error):  # torch's
            raise
        return sentence(error)
    return ""
