"""From names to something to look at: load a network and data, analyse, score. No widgets."""

from dataclasses import dataclass, replace
from pathlib import Path

from workbench.app.jobs import Job, sentence
from workbench.app.results import Result, measure
from workbench.catalog.datasets.local import load_local
from workbench.catalog.networks.checkpoints import WeightsError
from workbench.catalog.networks.load import OR_NONE, OWN, image_size, load_network
from workbench.network.data import Data
from workbench.network.network import Network
from workbench.plan.spectra import Spectra, analyze


@dataclass(frozen=True)
class Choice:
    """What is to be opened.

    Attributes
    ----------
    network, data : names of the catalog and of the data sets here, or of what was given in code.
    weights : "default" (bundled, else torchvision's, else random), "random", or the name of an uploaded file.
    file : the uploaded file; its name on disk is ours, never the user's.
    """

    network: str
    data: str
    weights: str = "default"
    file: Path | None = None


@dataclass(frozen=True)
class Opened:
    """What a session knows after opening.

    Attributes
    ----------
    original : the network as it is, counted and scored.
    misfit : why there is no score, in a sentence, or "".
    notice : what the user must know of how it was opened, or "".
    """

    choice: Choice
    network: Network
    data: Data
    spectra: Spectra
    original: Result
    misfit: str
    notice: str


def open_choice(job: Job, choice: Choice, known: Network | Opened | None, data: Data | None) -> Opened:
    """Load, analyse and score in the background, saying how far it is.

    Parameters
    ----------
    known : the network itself if it is given in code, or the last opening, whose parts are used again.
    data : the same for data.
    """
    job.report(0.0, f"loading {choice.network}")
    notice = ""
    if isinstance(known, Opened):
        network, spectra = known.network, known.spectra
    else:
        network, notice = (known, "") if isinstance(known, Network) else _load(job, choice)
        spectra = analyze(network, progress=lambda share, name: job.report(0.05 + 0.45 * share, f"analysing {name}"))
    job.report(0.5, f"loading {choice.data}")
    if data is None:
        data = load_local(
            choice.data,
            classes=network.classes,
            size=image_size(network),
            progress=lambda share, what: job.report(0.5 + 0.05 * share, _doing(what)),
        )
    original, misfit = measure(job.report, 0.55, network, data, 0, "original", network.source)
    return Opened(choice, network, data, spectra, original, misfit, notice)


def _doing(what: str) -> str:
    """What is told of data: a file that is read, or a download that says so itself."""
    return what if what.startswith("downloading") else f"reading {what}"


def _load(job: Job, choice: Choice) -> tuple[Network, str]:
    """The network, and a sentence if it is not what one would have hoped for."""

    def fetching(share: float, what: str) -> None:
        job.report(0.05 * share, what)

    if choice.file is not None:
        try:
            network = load_network(choice.network, weights=choice.file)
        except WeightsError as error:  # the sentence is to name the file as the user knows it
            raise WeightsError(str(error).replace(choice.file.name, choice.weights)) from None
        return replace(network, source=network.source.replace(choice.file.name, choice.weights)), ""
    if choice.weights == "random":
        return load_network(choice.network, weights=None), ""
    if choice.network in OWN:
        return load_network(choice.network), ""
    try:
        return load_network(choice.network, weights="pretrained", progress=fetching), ""
    except WeightsError as error:
        why = sentence(ValueError(str(error).removesuffix(OR_NONE)))
        return load_network(choice.network, weights=None), f"Opened with random weights: {why}"
