"""The step *Choose*: network, weights, upload and data; warnings about the open network."""

from html import escape
from pathlib import Path

import ipywidgets as w

from workbench.app.controls import UserChanges, column, follow, row
from workbench.app.errors import sentence
from workbench.app.session import Session
from workbench.app.widgets.glossary import term
from workbench.app.widgets.job_row import JobRow
from workbench.app.widgets.upload import Upload, upload_limit
from workbench.app.worker import COMPRESSING, JobKind
from workbench.catalog.datasets.load import local_names
from workbench.catalog.networks.checkpoints import PICKLED
from workbench.catalog.networks.load import OWN
from workbench.network.data import Data
from workbench.tables import count

PAPERS = ("alexnet_caffe", "vgg_s", "googlenet_bvlc", "vgg16")
Options = list[tuple[str, str]]


def choose_view(session: Session) -> w.Widget:
    """Return the controls, a line on the open network and data, and the progress of opening."""
    choose, worker = session.choose, session.worker
    layout = {"flex": "1 1 240px", "width": "auto", "min_width": "200px", "max_width": "320px"}
    boxes = {
        field: w.Dropdown(description=field.title(), layout=layout, style={"description_width": "62px"})
        for field in ("network", "weights", "data")
    }

    def received(file: Path, name: str) -> None:
        choose.open(network=choose.choice.network, weights=name, file=file)

    hint = (
        f"Weights of the chosen network, at most {upload_limit()} MiB: a safetensors file, or a state_dict saved by "
        "PyTorch (.pth, .pt, .th). No code in it is run."
    )
    upload = Upload("Upload weights ...", hint, (".safetensors", *PICKLED), received)
    about, progress, user = w.HTML(), JobRow(worker, JobKind.OPEN, idle="Ready"), UserChanges()

    def fill() -> None:
        options = {"network": network_options, "weights": weights_options, "data": data_options}
        with user.filling():
            for field, box in boxes.items():
                if list(box.options) != (found := options[field](session)):
                    box.options = found
                box.value = getattr(choose.choice, field)
        if not choose.opening:
            upload.keep_only(choose.choice.file)  # leave no file that could not be opened

    def enable() -> None:
        for box in (*boxes.values(), upload):
            box.disabled = worker.busy(*COMPRESSING, JobKind.SWEEP, JobKind.RESUME)

    def describe() -> None:
        about.value = about_text(session, upload.problem)

    def refused(_: object) -> None:
        progress.clear()
        fill()

    for field, box in boxes.items():
        user.observe(box, lambda name, value: choose.open(**{name: value}), field)
    choose.observe(lambda _: setattr(upload, "problem", ""), ["choice"])  # it was about a file for the choice before
    upload.observe(refused, ["problem"])
    follow(fill, (choose, "choice networks opened"))
    follow(enable, (worker, "jobs"))
    follow(describe, (choose, "choice opened"), (worker, "jobs"), (upload, "problem"))
    return column(row(*boxes.values(), upload, gap=6), about, progress)


def network_options(session: Session) -> Options:
    """Return (text, name) of every network: the open one, bundled ones, the paper's, CIFAR's, torchvision's."""
    choose = session.choose

    def about(name: str) -> tuple[int, str]:
        if choose.given("network", name):
            return 0, "given in code"
        if name in PAPERS:
            return 2, "the paper's"
        if name in OWN:
            return (1, "bundled") if OWN[name].bundled else (3, "CIFAR")
        return 4, "torchvision"

    names = sorted({*choose.networks, choose.choice.network}, key=lambda n: (about(n)[0], n))
    return [(f"{name} ({about(name)[1]})", name) for name in names]


def weights_options(session: Session) -> Options:
    """Return (text, value) of the weights that the chosen network can have."""
    name, chosen = session.choose.choice.network, session.choose.choice.weights
    if session.choose.given("network", name):
        options = [("as given", "default")]
    elif name in OWN and not OWN[name].bundled:
        options = [("random", "default")]
    else:
        options = [("bundled" if name in OWN else "torchvision's", "default"), ("random", "random")]
    return options if chosen in dict(options).values() else [*options, (chosen, chosen)]


def data_options(session: Session) -> Options:
    """Return (text, name) of every data set that is here or can be fetched."""
    names = {session.choose.choice.data: "given in code", **local_names()}
    return [(f"{name} ({where})", name) for name, where in names.items()]


def about_text(session: Session, problem: str = "") -> str:
    """Return HTML that describes the open network and data, with warnings."""
    choose, html = session.choose, ""
    network, data = choose.network, choose.data
    if network is not None and data is not None and choose.spectra is not None:
        html = (
            f"<div class='wb-soft'><b>{escape(network.name)}</b>: {len(choose.spectra.layers)} layers, "
            f"{count(network.weights)} {term('weights')}, input {' x '.join(map(str, network.input_shape))}; "
            f"{escape(network.source)}. <b>{escape(data.name)}</b>: {_images(data)}.</div>"
        )
    if network is not None and network.random_weights:
        words = "what it costs is real, but its ranks and accuracies mean nothing. Upload weights to see more."
        html += f"<div class='wb-warn'><b>Random weights</b>: {words}</div>"
    notes = [escape(sentence(ValueError(text))) for text in (problem, choose.warning) if text]
    if choose.misfit and not choose.opening:  # what is being opened may fit
        notes.append(f"No accuracy: {escape(choose.misfit)} Choose other data, or go on without.")
    return html + "".join(f"<div class='wb-error' role='alert'>{note}</div>" for note in notes)


def _images(data: Data) -> str:
    splits = {"training": data.train, "validation": data.validation, "test": data.test}
    text = ", ".join(f"{len(split)} {name}" for name, split in splits.items() if len(split)) + " images"
    if not data.skipped:
        return text
    names = escape("; ".join(data.skipped[:20]), quote=True)
    return f"{text}; <abbr class='wb-term' tabindex='0' title='{names}'>{len(data.skipped)} left out</abbr>"
