"""The step *Choose*: which network, weights and data are open; load, analyse and score them."""

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

network_of, data_of = attrgetter("network", "weights", "file", "colours"), attrgetter("data", "pictures")
"""Return the parts of a :class:`Choice` that say which network, and which data."""
OPEN_SIZE = (3, 224, 224)
"""Channels, height and width of the input of an ONNX file that leaves them open."""
COLOURS = {
    "as for ImageNet": (IMAGENET_MEAN, IMAGENET_STD),
    "from 0 to 1": ((0.0,) * 3, (1.0,) * 3),
    "from -1 to 1": ((0.5,) * 3, (0.5,) * 3),
    "from 0 to 255": ((0.0,) * 3, (1 / 255,) * 3),
}
"""Scale of the colours that an ONNX file takes -> mean and deviation by which those from 0 to 1 are scaled to it."""


@dataclass(frozen=True)
class Choice:
    """What to open, by names of the catalog, of the data sets here, or of what was given in code."""

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
    misfit: str = ""  # why it cannot be scored on the data, in a sentence
    warning: str = ""  # what the user must know of how it was opened
    scalable: bool = False  # whether the scale of its colours is a choice

    @property
    def scored_data(self) -> Data | None:
        """The data, unless the network cannot be scored on them."""
        return None if self.misfit else self.data


class ChooseModel(HasTraits):
    """Opens a network and data, and holds them."""

    choice = Instance(Choice)  # names of the network and data that are open, or being opened
    opened = Instance(Opened, allow_none=True)  # with all that was computed of it; None before the first
    network = Instance(Network, allow_none=True)  # this and the next five are parts of `opened`
    data = Instance(Data, allow_none=True)
    spectra = Instance(Spectra, allow_none=True)
    original = Instance(Stage, allow_none=True)
    misfit = Unicode()
    warning = Unicode()
    networks = Tuple()  # names to choose from; torchvision's are added once it was imported, timm's with a search
    matches = Tuple()  # names that fit what the user looks for
    details = Dict()  # name of a match -> its input, weights and MACs in words, once they are known

    def __init__(self, worker: Worker, network: Network | None = None, data: Data | None = None) -> None:
        names = network.name if network else bundled_names()[0], data.name if data else bundled_data_names()[0]
        super().__init__(choice=Choice(*names), networks=tuple(sorted({"vgg16", *OWN, names[0]})))
        self._worker = worker
        self._given: dict[str, Network | Data | None] = {"network": network, "data": data}
        self.job: Job | None = None
        self._lookup: Job | None = None
        self._timm_listed = False

    def given(self, what: str, name: str) -> Any:
        """Return the "network" or "data" of that name, if it was given in code."""
        found = self._given[what]
        return found if found is not None and found.name == name else None

    @property
    def opening(self) -> bool:
        """Whether something is being opened."""
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
        """Why nothing can be fine-tuned on these data, in a sentence, or ""."""
        if self.misfit or self.data is None:
            return self.misfit or "No data are open."
        return "" if len(self.data.train) else f"{self.data.name} has no training images: choose other data."

    @property
    def calibratable(self) -> bool:
        """Whether the data have training or validation images; test images are never used to calibrate."""
        data = self.scored_data
        return data is not None and bool(len(data.train) or len(data.validation))

    def open(self, **changes: str | Path | None) -> Job:
        """Open the current :class:`Choice` with these changes; another network has its default weights."""
        if "network" in changes:
            changes = {"weights": "default", "file": None, "colours": Choice.colours, **changes}
        if "data" in changes:
            changes = {"pictures": None, **changes}
        self.choice = choice = replace(self.choice, **changes)  # type: ignore[arg-type]
        given_up, self.job = self.job, None
        if given_up is not None:
            given_up.cancel()  # an opening that is under way is given up for this one
        known: Any = self.given("network", choice.network) if choice.file is None else None
        data: Any = self.given("data", choice.data) if choice.pictures is None else None
        if (before := self.opened) is not None:
            if network_of(before.choice) == network_of(choice):
                known = before
            # a folder's classes are those of the network: another network reads it anew
            keeps = choice.network == before.choice.network or choice.data in bundled_data_names()
            data = before.data if keeps and data_of(before.choice) == data_of(choice) else data
        compute = partial(open_choice, choice, known, data)
        self.job = job = self._worker.submit(JobKind.OPEN, f"Opening {choice.network}", compute, self._take)
        job.observe(self._ended, "state")
        self._ended()
        return job

    def _take(self, opened: Opened) -> None:
        first = self.opened is None
        for job in self._worker.jobs:  # what waits is about what is no longer open
            if job.state is JobState.WAITING and job.kind is not JobKind.OPEN:
                job.cancel()
        with self.hold_trait_notifications():
            self.choice = opened.choice
            for name in ("network", "data", "spectra", "original", "misfit", "warning"):
                self.set_trait(name, getattr(opened, name))
            self.opened = opened
        if first:  # importing torchvision takes a second
            kind, title = JobKind.LIST_NETWORKS, "Listing networks"
            self._worker.submit(kind, title, lambda job: network_names(), self._list, short=True)

    def search(self, text: str) -> None:
        """Find networks by a part of their name, and look up what they take and cost."""
        self.matches = tuple(search(text, self.networks))
        unknown = [name for name in self.matches if name not in self.details]
        if self._lookup is not None:
            self._lookup.cancel()
        submit = partial(self._worker.submit, JobKind.LIST_NETWORKS, "Looking up networks", short=True)
        if not self._timm_listed and text.strip():  # importing timm takes seconds
            self._lookup = submit(lambda job: timm_names(), partial(self._list_timm, text))
        elif unknown:
            self._lookup = submit(partial(look_up, unknown), self._describe)

    def _list_timm(self, text: str, names: list[str]) -> None:
        self._timm_listed = True
        self._list(names)
        self.search(text)

    def _describe(self, found: dict[str, str]) -> None:
        self.details = {**self.details, **found}

    def _list(self, names: list[str]) -> None:
        self.networks = tuple(sorted({*self.networks, *names}))

    def _ended(self, _: object = None) -> None:
        if self.job is not None and not self.job.active and self.opened is not None:
            self.choice = self.opened.choice


def look_up(names: list[str], job: Job) -> dict[str, str]:
    """Return what networks take and cost, in words; nothing of those that cannot be built."""
    found = {}
    for i, name in enumerate(names):
        job.report(i / len(names), name)
        try:
            found[name] = details(name)
        except Exception as error:  # of a library's own
            log.info("%s cannot be described: %s", name, error)
            found[name] = ""
    return found


def open_choice(choice: Choice, known: Network | Opened | None, data: Data | None, job: Job) -> Opened:
    """Load, analyse and score; `known` is the network if it was given in code, or the last opening, to use again."""
    report = job.report
    report(0.0, f"loading {choice.network}")
    if isinstance(known, Opened):
        network, spectra, warning, scalable = known.network, known.spectra, known.warning, known.scalable
    else:
        scalable = False
        if isinstance(known, Network):
            network, warning = known, ""
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
        if choice.pictures is not None or choice.data not in bundled_data_names():  # they serve any network
            data = in_channels(network, data)
        data = replace(data, name=choice.data)
    misfit, progress = _misfit(network, data), part(report, 0.55, 1.0, "scoring")
    images = None if misfit else data
    stage = scored_stage(network, images, StageName.ORIGINAL, note=network.source, progress=progress)
    return Opened(choice, network, data, spectra, stage, misfit, warning, scalable)


def _load(choice: Choice, report: Callable[[float, str], None]) -> tuple[Network, str]:
    """Return the network, and a sentence if it is not the requested one."""
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


def _load_onnx(file: Path, choice: Choice) -> tuple[Network, str, bool]:
    """Open an uploaded ONNX file; return what is assumed of it, and whether the scale of its colours is a choice."""
    assumed, name = [], choice.network
    with naming(file, name):
        try:
            network = load_onnx(file, name=name)
        except OpenShapeError:
            network = load_onnx(file, name=name, input_shape=OPEN_SIZE)
            assumed.append(f"its input, whose size is open, has {' x '.join(map(str, OPEN_SIZE))} numbers")
    scalable = len(network.input_shape) == 3 and network.input_shape[0] == 3 and network.preprocessing is None
    if scalable:
        centred = usual_preprocessing(network.input_shape, *COLOURS[choice.colours])
        network = network.with_model(network.model, preprocessing=centred)
        whole = f"pictures are scaled to {centred.shorter} pixels on their shorter side"
        assumed.append(f"{whole}, of which it takes the middle {centred.size} x {centred.width}")
        assumed.append(f"colours are scaled {choice.colours} (Colours has others)")
    source = network.source.replace(file.name, name)
    warning = f"The file does not say it, so the workbench assumes: {'; '.join(assumed)}." if assumed else ""
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
                last = Split(split.images[torch.zeros(1, dtype=torch.long)], split.labels.max()[None], split.name)
                accuracy(network, last)
    except (ValueError, RuntimeError) as error:
        if "allocate memory" in str(error):  # torch's
            raise
        return sentence(error)
    return ""
