"""A measured network: a point on the trade-off plot. No widgets."""

from collections.abc import Callable
from dataclasses import dataclass

from workbench.app.jobs import sentence
from workbench.kernels.complexity import Cost
from workbench.network.data import Accuracy, Data, accuracy
from workbench.network.layers import measured_cost
from workbench.network.network import Network

Report = Callable[[float, str], None]


@dataclass(frozen=True)
class Result:
    """A network that exists, measured.

    Attributes
    ----------
    number : which run it belongs to; 0 is the original network.
    stage : "original", "decomposed" or "fine-tuned".
    cost : weights and MACs, counted on the model itself.
    validation : score to choose by; None if the data have no images for that.
    test : score to report; None if the data do not fit the network.
    about : how it came about, in words.
    random_weights : whether its network was never trained, so that its scores mean nothing.
    """

    number: int
    stage: str
    cost: Cost
    validation: Accuracy | None
    test: Accuracy | None
    about: str
    random_weights: bool = False

    @property
    def label(self) -> str:
        """Like "run 2, fine-tuned"."""
        return self.stage if self.number == 0 else f"run {self.number}, {self.stage}"

    @property
    def score(self) -> Accuracy | None:
        """What is plotted: the score to choose by, or the only one there is."""
        return self.validation or self.test


def measure(
    report: Report, begin: float, network: Network, data: Data | None, number: int, stage: str, about: str
) -> tuple[Result, str]:
    """Count and score a network, reporting progress from `begin` to 1.

    Parameters
    ----------
    report : called with (share done, words); what it raises ends the scoring.
    data : None for no scores.

    Returns
    -------
    The result, and a sentence if there is no score because the data do not fit the network, else "".
    """
    cost = measured_cost(network)
    misfit = "" if data is None else _misfit(network, data)
    scores: dict[str, Accuracy] = {}
    if data is not None and not misfit:
        splits = [s for s in (data.validation, data.test) if len(s)]
        images, done = sum(len(s) for s in splits), 0
        for split in splits:

            def tell(share: float, done: int = done, size: int = len(split)) -> None:
                seen = done + round(share * size)
                report(begin + (1 - begin) * seen / images, f"scoring, {seen} of {images} images")

            try:
                scores[split.name] = accuracy(network, split, progress=tell)
            except ValueError as error:  # labels that the network has no output for
                misfit, scores = sentence(error), {}
                break
            done += len(split)
    found = scores.get("validation"), scores.get("test")
    return Result(number, stage, cost, *found, about, network.random_weights), misfit


def _misfit(network: Network, data: Data) -> str:
    """Why the network cannot take these images, in a sentence; "" if it can."""
    split = data.test if len(data.test) else data.validation
    if not len(split):
        return f"{data.name} has no images to score on."
    try:
        network.inputs(next(split.batches(1))[0])
    except (ValueError, RuntimeError) as error:
        return sentence(error)
    return ""
