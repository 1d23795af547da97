"""Choose a network, its weights and data; what is open, and what one must know of it."""

from functools import partial
from html import escape
from pathlib import Path

import ipywidgets as w

from workbench.app.jobs import sentence
from workbench.app.state import State
from workbench.app.widgets.glossary import term
from workbench.app.widgets.upload import Upload, upload_limit
from workbench.catalog.datasets.local import local_names
from workbench.catalog.networks.checkpoints import PICKLED
from workbench.catalog.networks.load import OWN
from workbench.network.data import Data
from workbench.tables import count

PAPERS = ("alexnet_caffe", "vgg_s", "googlenet_bvlc", "vgg16")
Options = list[tuple[str, str]]


def chooser(state: State) -> w.Widget:
    """Network, weights, upload and data; a line about what is open."""
    network, weights, data = (
        w.Dropdown(
            description=text,
            layout={"flex": "1 1 240px", "width": "auto", "min_width": "200px", "max_width": "320px"},
            style={"description_width": "62px"},
        )
        for text in ("Network", "Weights", "Data")
    )

    def received(file: Path, name: str) -> None:
        if not state.open(network=state.choice.network, weights=name, file=file):
            raise ValueError("other work is going on; upload it again when that has ended")

    upload = Upload(
        "Upload weights ...",
        f"Weights of the chosen network, at most {upload_limit()} MiB: a safetensors file, or a state_dict saved by "
        "PyTorch (.pth, .pt, .th). No code in it is run.",
        (".safetensors", *PICKLED),
        received,
    )
    about = w.HTML()
    filling = False

    def fill(_: object = None) -> None:
        nonlocal filling
        filling = True
        try:
            for box, options, value in (
                (network, network_options(state), state.choice.network),
                (weights, weights_options(state), state.choice.weights),
                (data, data_options(state), state.choice.data),
            ):
                if list(box.options) != options:
                    box.options = options
                box.value = value
        finally:
            filling = False
        busy = state.job.running and not state.opening
        for box in (network, weights, data, upload):
            box.disabled = busy
        about.value = about_text(state, upload.problem)

    def changed(field: str, value: str) -> None:
        if not filling and not state.open(**{field: value}):
            fill()

    def refused(change: dict[str, str]) -> None:
        if change["new"] and not state.job.running:
            state.job.error = ""  # that of the file before
        fill()

    for field, box in (("network", network), ("weights", weights), ("data", data)):
        box.observe(lambda change, field=field: changed(field, change["new"]), "value")
    state.observe(lambda _: setattr(upload, "problem", ""), ["choice"])  # it was about a file for the choice before
    state.observe(fill, ["choice", "networks", "network", "data", "misfit", "warning"])
    state.job.observe(fill, ["running"])
    state.job.observe(partial(_tidy, state, upload), ["running"])
    upload.observe(refused, ["problem"])
    fill()
    row = {"flex_flow": "row wrap", "grid_gap": "6px", "align_items": "center"}
    return w.VBox(
        [w.HBox([network, weights, data, upload], layout=row), about],
        layout={"grid_gap": "6px"},
    )


def _tidy(state: State, upload: Upload, _: object) -> None:
    """Leave no file behind that could not be opened."""
    if not state.job.running:
        upload.keep_only(state.choice.file)


def network_options(state: State) -> Options:
    """(text, name) of every network: what is open, the bundled ones, the paper's, CIFAR's, then torchvision's."""

    def about(name: str) -> tuple[int, str]:
        if state.given("network", name):
            return 0, "given in code"
        if name in PAPERS:
            return 2, "the paper's"
        if name in OWN:
            return (1, "bundled") if OWN[name].bundled else (3, "CIFAR")
        return 4, "torchvision"

    names = sorted({*state.networks, state.choice.network}, key=lambda n: (about(n)[0], n))
    return [(f"{name} ({about(name)[1]})", name) for name in names]


def weights_options(state: State) -> Options:
    """(text, value) of the weights that the chosen network can have."""
    name, chosen = state.choice.network, state.choice.weights
    if state.given("network", name):
        options = [("as given", "default")]
    elif name in OWN and not OWN[name].bundled:
        options = [("random", "default")]
    else:
        options = [("bundled" if name in OWN else "torchvision's", "default"), ("random", "random")]
    return options if chosen in dict(options).values() else [*options, (chosen, chosen)]


def data_options(state: State) -> Options:
    """(text, name) of every data set that is here or can be fetched."""
    names = {state.choice.data: "given in code", **local_names()}
    return [(f"{name} ({where})", name) for name, where in names.items()]


def about_text(state: State, problem: str = "") -> str:
    """HTML: what is open, and what one must know of it."""
    lines = []
    network, data = state.network, state.data
    if network is not None and state.spectra is not None:
        layers = len(state.spectra.layers)
        lines.append(
            f"<b>{escape(network.name)}</b>: {layers} layers, {count(network.weights)} {term('weights')}, input "
            f"{' x '.join(map(str, network.input_shape))}; {escape(network.source)}."
        )
    if data is not None:
        lines.append(f"<b>{escape(data.name)}</b>: {_images(data)}.")
    html = f"<div class='wb-soft'>{' '.join(lines)}</div>"
    if network is not None and network.random_weights:
        html += (
            "<div class='wb-warn'><b>Random weights</b>: what it costs is real, but its ranks and accuracies mean "
            "nothing. Upload weights to see more.</div>"
        )
    notes = [escape(sentence(ValueError(text))) for text in (problem, state.warning) if text]
    if state.misfit and not state.opening:  # what is being opened may fit
        notes.append(f"No accuracy: {escape(state.misfit)} Choose other data, or go on without.")
    return html + "".join(f"<div class='wb-error' role='alert'>{note}</div>" for note in notes)


def _images(data: Data) -> str:
    splits = [
        (len(s), name) for s, name in ((data.train, "training"), (data.validation, "validation"), (data.test, "test"))
    ]
    text = ", ".join(f"{n} {name}" for n, name in splits if n) + " images"
    if not data.skipped:
        return text
    names = escape("; ".join(data.skipped[:20]), quote=True)
    return f"{text}; <abbr class='wb-term' tabindex='0' title='{names}'>{len(data.skipped)} left out</abbr>"
