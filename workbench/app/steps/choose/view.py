"""View of the step *Choose*: controls for network, weights, uploads and data, and warnings about the open network."""

from html import escape
from pathlib import Path

import ipywidgets as w
import torch

from workbench.app.controls import UserChanges, column, data_url, follow, row, updated_html
from workbench.app.debounce import Debounce
from workbench.app.errors import sentence
from workbench.app.session import Session
from workbench.app.steps.choose.model import COLOURS, ChooseModel
from workbench.app.widgets.glossary import term
from workbench.app.widgets.upload import Upload, upload_limit
from workbench.app.worker import COMPRESSING, JobKind
from workbench.catalog.datasets.offered import offered_names
from workbench.catalog.networks.checkpoints import PICKLED
from workbench.catalog.networks.entries import OWN
from workbench.catalog.networks.huggingface import TIMM
from workbench.inspect.gallery import as_pictures
from workbench.network.data import Data
from workbench.network.images.decoding import SUFFIXES
from workbench.tables import count

ONNX = ".onnx"
LABEL_STYLE = {"description_width": "62px"}
MAX_THUMBNAILS = 12  # pictures below the description of the open data
SEARCH_DELAY_S = 0.3  # between the last keystroke and the search
PAPER_NETWORKS = ("alexnet_caffe", "vgg_s", "googlenet_bvlc", "vgg16")
Options = list[tuple[str, str]]


def choose_view(session: Session) -> w.Widget:
    """Return the controls above a description and thumbnails of the open network and data."""
    choose, worker = session.choose, session.worker
    layout = {"flex": "1 1 240px", "width": "auto", "min_width": "200px", "max_width": "320px"}
    options = {"network": network_options, "weights": weights_options, "data": data_options, "colours": colours_options}
    boxes = {field: w.Dropdown(description=field.title(), layout=layout, style=LABEL_STYLE) for field in options}
    find = w.Text(description="Find", placeholder="part of a network's name", layout=layout, style=LABEL_STYLE)
    network_upload, pictures_upload = uploads = _uploads(choose)
    user = UserChanges()

    def fill() -> None:
        with user.filling():
            for field, box in boxes.items():
                if list(box.options) != (field_options := options[field](session)):
                    box.options = field_options
                box.value = getattr(choose.choice, field)
            boxes["colours"].layout.display = "" if choose.opened is not None and choose.opened.scalable else "none"

    def remove_unused_files() -> None:
        if not choose.opening:  # else another file is being read
            choices = [choose.choice, choose.opened.choice if choose.opened is not None else choose.choice]
            network_upload.keep_only(*(choice.file for choice in choices))
            pictures_upload.keep_only(*(choice.pictures for choice in choices))

    def enable() -> None:
        for box in (*boxes.values(), *uploads):
            box.disabled = worker.busy(*COMPRESSING, JobKind.SWEEP, JobKind.RESUME)

    def description() -> str:
        return description_html(session, " ".join(upload.problem for upload in uploads if upload.problem))

    for field, box in boxes.items():
        user.observe(box, lambda name, value: choose.open(**{name: value}), field)
    for upload in uploads:  # another choice clears the problem with a file
        choose.observe(lambda _, upload=upload: setattr(upload, "problem", ""), ["choice"])
    problems = [(upload, "problem") for upload in uploads]
    find.observe(Debounce(lambda: choose.search(find.value), SEARCH_DELAY_S), ["value"])
    follow(fill, (choose, "choice networks opened matches details"), *problems)
    follow(remove_unused_files, (choose, "choice"), (worker, "jobs"))
    follow(enable, (worker, "jobs"))
    text = updated_html(description, (choose, "choice opened"), (worker, "jobs"), *problems)
    thumbnails = updated_html(lambda: _thumbnails_html(choose.data), (choose, "data"))
    return column(row(find, *boxes.values(), gap=12), row(*uploads), text, thumbnails, gap=12)


def _uploads(choose: ChooseModel) -> tuple[Upload, Upload]:
    """Return the upload buttons for a network or its weights, and for pictures."""

    def open_network(file: Path, name: str) -> None:
        network = name if file.suffix == ONNX else choose.choice.network
        if network.endswith(ONNX) and file.suffix != ONNX:
            raise ValueError(f"{name} has weights only: choose the network that they are of, then upload them")
        choose.open(network=network, weights=name, file=file)

    def open_pictures(path: Path, name: str) -> None:
        choose.open(data=name, pictures=path)

    hint = (
        f"A network as an ONNX file, or weights of the chosen network, at most {upload_limit()} MiB: a safetensors "
        "file, or a state_dict saved by PyTorch (.pth, .pt, .th). No code in it is run."
    )
    network_upload = Upload("Upload a network ...", hint, (ONNX, ".safetensors", *PICKLED), open_network)
    hint = (
        f"Pictures, or a ZIP file of them, at most {upload_limit()} MiB. Pictures and folders can be dropped on this "
        "page or pasted, too. Folders are classes; else there are no labels. They stay with this session."
    )
    return network_upload, Upload("Bring pictures ...", hint, (".zip", *SUFFIXES), open_pictures, several=True)


def network_options(session: Session) -> Options:
    """Return (text, name) of the chosen network and the search's matches; without matches, of all but timm's."""
    choose = session.choose

    def origin(name: str) -> tuple[int, str]:  # with its place in the list
        if choose.given("network", name):
            return 0, "given in code"
        if name in PAPER_NETWORKS:
            return 2, "the paper's"
        if name.endswith(ONNX):
            return 0, "uploaded"
        if name in OWN:
            return (1, "bundled") if OWN[name].bundled else (3, "CIFAR")
        return 4, "torchvision"

    if choose.matches:
        names = list(dict.fromkeys([choose.choice.network, *choose.matches]))
        return [(", ".join(filter(None, [name, choose.details.get(name)])), name) for name in names]
    networks = {name for name in choose.networks if not name.startswith(TIMM)} | {choose.choice.network}
    return [(f"{name} ({origin(name)[1]})", name) for name in sorted(networks, key=lambda n: (origin(n)[0], n))]


def weights_options(session: Session) -> Options:
    """Return (text, value) of the weights that the chosen network can have."""
    name, weights = session.choose.choice.network, session.choose.choice.weights
    if session.choose.given("network", name):
        options = [("as given", "default")]
    elif name.endswith(ONNX):
        options = []
    elif name in OWN and not OWN[name].bundled:
        options = [("random", "default")]
    else:
        options = [("bundled" if name in OWN else "torchvision's", "default"), ("random", "random")]
    return options if weights in dict(options).values() else [*options, (weights, weights)]


def colours_options(session: Session) -> Options:
    """Return (text, value) of the colour scales that an ONNX file may take."""
    return [(name, name) for name in COLOURS]


def data_options(session: Session) -> Options:
    """Return (text, name) of the chosen data set and of all that are on this machine or can be downloaded."""
    choice = session.choose.choice
    origins = {choice.data: "brought" if choice.pictures else "given in code", **offered_names()}
    return [(f"{name} ({origin})", name) for name, origin in origins.items()]


def description_html(session: Session, problem: str = "") -> str:
    """Return HTML that describes the open network and data, with warnings."""
    choose, html = session.choose, ""
    network, data = choose.network, choose.data
    if network is not None and data is not None and choose.spectra is not None:
        html = (
            f"<div class='wb-soft'><b>{escape(network.name)}</b>: {len(choose.spectra.layers)} layers, "
            f"{count(network.weights)} {term('weights')}, input {' x '.join(map(str, network.input_shape))}; "
            f"{escape(network.source)}. <b>{escape(data.name)}</b>: {_image_counts_html(data)}.</div>"
        )
    if choose.random_weights:
        text = "what it costs is real, but its ranks and accuracies mean nothing. Upload weights to see more."
        html += f"<div class='wb-warn'><b>Random weights</b>: {text}</div>"
    notes = [escape(sentence(ValueError(text))) for text in (problem, choose.warning) if text]
    if choose.misfit and not choose.opening:  # a choice that is still being opened may fit
        notes.append(f"No accuracy: {escape(choose.misfit)} Choose other data, or go on without.")
    return html + "".join(f"<div class='wb-error' role='alert'>{note}</div>" for note in notes)


def _image_counts_html(data: Data) -> str:
    """Return HTML with the number of images in each split, and of the files left out."""
    splits = {"training": data.train, "validation": data.validation, "test": data.test}
    text = ", ".join(f"{len(split)} {name}" for name, split in splits.items() if len(split)) + " images"
    if not data.skipped:
        return text
    names = escape("; ".join(data.skipped[:20]), quote=True)
    return f"{text}; <abbr class='wb-term' tabindex='0' title='{names}'>{len(data.skipped)} left out</abbr>"


def _thumbnails_html(data: Data | None) -> str:
    """Return HTML with the first pictures of the data in a row, test images first."""
    thumbnails: list[str] = []
    for split in (data.test, data.validation, data.train) if data is not None else ():
        images = split.images[torch.arange(min(len(split), MAX_THUMBNAILS - len(thumbnails)))]
        if len(images) and images.ndim == 4:
            thumbnails += [f"<img alt='' src='{data_url(image, 56)}'>" for image in as_pictures(images)]
    return f"<div class='wb-strip'>{''.join(thumbnails)}</div>"
