"""Score a network at each stage of a run."""

from workbench.network.data import Data, Split
from workbench.network.network import Network
from workbench.network.scores import Score, accuracy, score
from workbench.progress import Progress, part, reporter
from workbench.runs.run import Stage, StageName

AGREEMENT_IMAGES = 1000
"""Images without labels on which agreement with the original is measured."""


def scored_stage(
    network: Network, data: Data | None, name: StageName, *, note: str = "", progress: Progress | bool | None = None
) -> Stage:
    """Score a network on the images to choose by and on those to report.

    On a validation split with labels that is the accuracy. Without one it is the agreement with the original on the
    validation images, or on those for training, so that nothing is ever chosen by the test images.

    Parameters
    ----------
    data : None where the network cannot be scored on the data that are open.
    """
    report = reporter(progress)
    if data is None:
        return Stage(name, {}, note)
    scores: dict[str, Score] = {}
    if len(data.validation) and data.validation.labelled:
        scores["validation"] = accuracy(network, data.validation, progress=part(report, 0.0, 0.5))
    else:
        split = data.validation if len(data.validation) else data.train
        if len(split):
            scores["validation"] = _agreement(network, split.sample(AGREEMENT_IMAGES), part(report, 0.0, 0.5))
    if len(data.test) and data.test.labelled:
        scores["test"] = accuracy(network, data.test, progress=part(report, 0.5, 1.0))
    report(1.0, "")
    return Stage(name, scores, note)


def _agreement(network: Network, split: Split, report: Progress) -> Score:
    """Return the agreement with the original; 1 for the original itself."""
    if network.original is None:
        return Score(1.0, 1.0, len(split), "agreement")
    return score(network, Split.unlabelled(split.images, split.name), progress=report)
