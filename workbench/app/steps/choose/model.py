"""The step *Choose*: load, analyse and score the chosen network on the chosen data; find networks by name."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from traitlets import Dict, HasTraits, Instance, Tuple, Unicode

from workbench.app.errors import naming, sentence
from workbench.app.worker import Job, JobKind, JobState, Worker
from workbench.catalog.datasets.load import bundled_data_names
from workbench.catalog.datasets.offered import load_folder, load_offered
from workbench.catalog.networks.checkpoints import WeightsError
from workbench.catalog.networks.entries import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    OWN,
    bundled_names,
    network_names,
    usual_preprocessing,
)
from workbench.catalog.networks.huggingface import timm_names
from workbench.catalog.networks.load import load_network
from workbench.catalog.networks.search import details, search
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

log = logging.getLogger(__name__)

network_fields, data_fields = attrgetter("network", "weights", "file", "colours"), attrgetter("data", "pictures")
"""Return the fields of a :class:`Choice` that select the network, and those that select the data."""
OPEN_SIZE = (3, 224, 224)
"""Channels, height and width assumed of the input of an ONNX file that leaves its shape open."""
COLOURS = {
    "as for ImageNet": (IMAGENET_MEAN, IMAGENET_STD),
    "from 0 to 1": ((0.0,) * 3, (1.0,) * 3),
    "from -1 to 1": ((0.5,) * 3, (0.5,) * 3),
    "from 0 to 255": ((0.0,) * 3, (1 / 255,) * 3),
}
"""Scale of the colours that an ONNX file takes -> mean and deviation that scale colours from 0 to 1 to it."""


@dataclass(frozen=True)
class Choice:
    """The network and data to open, by their names in the catalog, or the names of those given in code."""

    network: str
    data: str
    weights: str = "default"  # bundled, else torchvision's, else random; "random"; or the name of an uploaded file
    file: Path | None = None  # the uploaded weights, or network (ONNX); the workbench chooses its name on the disk
    colours: str = next(iter(COLOURS))  # of an ONNX file that does not say how its colours are scaled
    pictures: Path | None = None  # the uploaded folder or ZIP file of images; `data` is its name for the user


@dataclass(frozen=True)
class Opened:
    """A network and data that are open."""

    choice: Choice
    network: Network
    data: Data
    spectra: Spectra
    original: Stage
    misfit: str = ""  # why the network cannot be scored on the data, in a sentence
    warning: str = ""  # a sentence if the network is not the requested one, or rests on assumptions
    scalable: bool = False  # whether the user can choose the scale of its colours

    @property
    def scored_data(self) -> Data | None:
        """The data, unless the network cannot be scored on them."""
        return None if self.misfit else self.data


class ChooseModel(HasTraits):
    """Opens a network and data, and holds them."""

    choice = Instance(Choice)  # the network and data that are open, or being opened
    opened = Instance(Opened, allow_none=True)  # None before the first network and data are open
    network = Instance(Network, allow_none=True)  # this trait and the next five are fields of `opened`
    data = Instance(Data, allow_none=True)
    spectra = Instance(Spectra, allow_none=True)
    original = Instance(Stage, allow_none=True)
    misfit = Unicode()
    warning = Unicode()
    networks = Tuple()  # names to choose from; torchvision's are added once it is imported, timm's with a search
    matches = Tuple()  # names that the search has found
    details = Dict()  # name of a match -> its input, weights and MACs in words, once they are computed

    def __init__(self, worker: Worker, network: Network | None = None, data: Data | None = None) -> None:
        names = network.name if network else bundled_names()[0], data.name if data else bundled_data_names()[0]
        super().__init__(choice=Choice(*names), networks=tuple(sorted({"vgg16", *OWN, names[0]})))
        self._worker = worker
        self._given: dict[str, Network | Data | None] = {"network": network, "data": data}
        self.job: Job | None = None  # opens the current choice
        self._search_job: Job | None = None
        self._timm_listed = False

    def given(self, kind: str, name: str) -> Any:
        """Return the "network" or "data" that was given in code if it has this name, else None."""
        item = self._given[kind]
        return item if item is not None and item.name == name else None

    @property
    def opening(self) -> bool:
        """Whether a network and data are being opened."""
        return self._worker.busy(JobKind.OPEN)

    @property
    def random_weights(self) -> bool:
        """Whether the open network is untrained."""
        return self.network is not None and self.network.random_weights

    @property
    def scored_data(self) -> Data | None:
        """The data, unless the network cannot be scored on them."""
        return self.opened.scored_data if self.opened is not None else None

    @property
    def why_untrainable(self) -> str:
        """Why the network cannot be fine-tuned on the data, in a sentence, or ""."""
        if self.misfit or self.data is None:
            return self.misfit or "No data are open."
        return "" if len(self.data.train) else f"{self.data.name} has no training images: choose other data."

    @property
    def calibratable(self) -> bool:
        """Whether the data have training or validation images; test images are never used to calibrate."""
        data = self.scored_data
        return data is not None and bool(len(data.train) or len(data.validation))

    def open(self, **changes: str | Path | None) -> Job:
        """Open the current :class:`Choice` with changes; another network gets its default weights."""
        if "network" in changes:
            changes = {"weights": "default", "file": None, "colours": Choice.colours, **changes}
        if "data" in changes:
            changes = {"pictures": None, **changes}
        self.choice = choice = replace(self.choice, **changes)  # type: ignore[arg-type]
        previous_job, self.job = self.job, None
        if previous_job is not None:
            previous_job.cancel()
        source: Any = self.given("network", choice.network) if choice.file is None else None
        data: Any = self.given("data", choice.data) if choice.pictures is None else None
        if (opened := self.opened) is not None:
            if network_fields(opened.choice) == network_fields(choice):
                source = opened
            # the classes of a folder depend on the network: for another network, load it again
            reusable = choice.network == opened.choice.network or choice.data in bundled_data_names()
            data = opened.data if reusable and data_fields(opened.choice) == data_fields(choice) else data
        compute = partial(open_choice, choice, source, data)
        self.job = job = self._worker.submit(JobKind.OPEN, f"Opening {choice.network}", compute, self._set_opened)
        job.observe(self._reset_choice, "state")
        self._reset_choice()
        return job

    def _set_opened(self, opened: Opened) -> None:
        first = self.opened is None
        for job in self._worker.jobs:  # waiting jobs are for the network and data that were open before
            if job.state is JobState.WAITING and job.kind is not JobKind.OPEN:
                job.cancel()
        with self.hold_trait_notifications():
            self.choice = opened.choice
            for name in ("network", "data", "spectra", "original", "misfit", "warning"):
                self.set_trait(name, getattr(opened, name))
            self.opened = opened
        if first:  # importing torchvision takes a second
            kind, title = JobKind.LIST_NETWORKS, "Listing networks"
            self._worker.submit(kind, title, lambda job: network_names(), self._add_networks, short=True)

    def search(self, text: str) -> None:
        """Find networks by a part of their name, and look up their inputs and costs."""
        self.matches = tuple(search(text, self.networks))
        undescribed = [name for name in self.matches if name not in self.details]
        if self._search_job is not None:
            self._search_job.cancel()
        submit = partial(self._worker.submit, JobKind.LIST_NETWORKS, "Looking up networks", short=True)
        if not self._timm_listed and text.strip():  # importing timm takes seconds
            self._search_job = submit(lambda job: timm_names(), partial(self._add_timm_networks, text))
        elif undescribed:
            self._search_job = submit(partial(describe, undescribed), self._add_details)

    def _add_timm_networks(self, text: str, names: list[str]) -> None:
        self._timm_listed = True
        self._add_networks(names)
        self.search(text)

    def _add_details(self, details: dict[str, str]) -> None:
        self.details = {**self.details, **details}

    def _add_networks(self, names: list[str]) -> None:
        self.networks = tuple(sorted({*self.networks, *names}))

    def _reset_choice(self, _: object = None) -> None:
        if self.job is not None and not self.job.active and self.opened is not None:
            self.choice = self.opened.choice


def describe(names: list[str], job: Job) -> dict[str, str]:
    """Return input, weights and MACs of networks in words; "" for a network that cannot be built."""
    descriptions = {}
    for i, name in enumerate(names):
        job.report(i / len(names), name)
        try:
            descriptions[name] = details(name)
        except Exception as error:  # any that timm or torchvision raises
            log.info("%s cannot be described: %s", name, error)
            descriptions[name] = ""
    return descriptions


def open_choice(choice: Choice, source: Network | Opened | None, data: Data | None, job: Job) -> Opened:
    """Load, analyse and score a choice; `source` has its network and `data` is its data if they are loaded already."""
    report = job.report
    report(0.0, f"loading {choice.network}")
    if isinstance(source, Opened):
        network, spectra, warning, scalable = source.network, source.spectra, source.warning, source.scalable
    else:
        scalable = False
        if isinstance(source, Network):
            network, warning = source, ""
        elif choice.file is not None and choice.file.suffix == ".onnx":
            network, warning, scalable = _load_onnx(choice.file, choice)
        else:
            network, warning = _load(choice, part(report, 0.0, 0.05))
        spectra = analyze(network, progress=part(report, 0.05, 0.5, "analysing"))
    report(0.5, f"loading {choice.data}")
    if data is None:
        load = partial(load_offered, choice.data) if choice.pictures is None else partial(load_folder, choice.pictures)
        with naming(choice.pictures, choice.data):
            data = load(classes=network.classes, size=image_size(network), progress=part(report, 0.5, 0.55))
        if choice.pictures is not None or choice.data not in bundled_data_names():
            data = in_channels(network, data)
        data = replace(data, name=choice.data)
    misfit, progress = _misfit(network, data), part(report, 0.55, 1.0, "scoring")
    images = None if misfit else data
    stage = scored_stage(network, images, StageName.ORIGINAL, note=network.source, progress=progress)
    return Opened(choice, network, data, spectra, stage, misfit, warning, scalable)


def _load(choice: Choice, report: Callable[[float, str], None]) -> tuple[Network, str]:
    """Load a network; return it with a sentence if it is not the requested one, else ""."""
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
        return load_network(choice.network, weights=None), f"Opened with random weights: {sentence(error)}"


def _load_onnx(file: Path, choice: Choice) -> tuple[Network, str, bool]:
    """Load an uploaded ONNX file; return it, a sentence on assumptions, and whether its colours are scalable."""
    assumptions, name = [], choice.network
    with naming(file, name):
        try:
            network = load_onnx(file, name=name)
        except OpenShapeError:
            network = load_onnx(file, name=name, input_shape=OPEN_SIZE)
            assumptions.append(f"its input, whose size is open, has {' x '.join(map(str, OPEN_SIZE))} numbers")
    scalable = len(network.input_shape) == 3 and network.input_shape[0] == 3 and network.preprocessing is None
    if scalable:
        centred = usual_preprocessing(network.input_shape, *COLOURS[choice.colours])
        network = network.with_model(network.model, preprocessing=centred)
        scaling = f"pictures are scaled to {centred.shorter} pixels on their shorter side"
        assumptions.append(f"{scaling}, of which it takes the middle {centred.size} x {centred.width}")
        assumptions.append(f"colours are scaled {choice.colours} (Colours has others)")
    source = network.source.replace(file.name, name)
    warning = f"The file does not say it, so the workbench assumes: {'; '.join(assumptions)}." if assumptions else ""
    return network.with_model(network.model, source=source), warning, scalable


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
                max_label = split.labels.max()[None]
                accuracy(network, Split(split.images[torch.zeros(1, dtype=torch.long)], max_label, split.name))
    except (ValueError, RuntimeError) as error:
        if "allocate memory" in str(error):  # torch raises RuntimeError then, too
            raise
        return sentence(error)
    return ""
