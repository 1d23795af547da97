"""The stages a compressed network goes through: each takes a network, gives a new one, and measures it. No widgets."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from workbench.app.jobs import Cancelled, Job, Part
from workbench.app.results import Result, measure
from workbench.network.data import Data, Split
from workbench.network.network import Network
from workbench.plan.plan import Plan
from workbench.recover.calibrate import calibrate
from workbench.recover.decompose import decompose
from workbench.recover.distill import distill
from workbench.recover.finetune import Epoch, finetune
from workbench.recover.scratch import from_scratch
from workbench.runs.sweep import Outcome, sweep

CALIBRATION = 200
"""Images to calibrate with, at most: more are slower and hardly better."""
LESSONS = {
    "labels": "the labels",
    "both": "labels and the original's answers",
    "original": "the original's answers alone",
}
"""What a network can learn from while it is trained."""
SCHEDULES = {"step": "the paper's: a tenth every 5 epochs", "cosine": "cosine: smoothly to zero"}


@dataclass(frozen=True)
class Training:
    """Settings of training.

    Attributes
    ----------
    learn_from : "labels", "both" (labels and the original network), or "original" (no labels needed).
    """

    epochs: int = 10
    learning_rate: float = 1e-3
    schedule: str = "step"
    learn_from: str = "labels"

    def __str__(self) -> str:
        words = {"labels": "", "both": " and the original's answers", "original": " on the original's answers alone"}
        return f"learning rate {self.learning_rate:g}{words[self.learn_from]}"


@dataclass(frozen=True)
class Pass:
    """One epoch of distillation: its number and mean loss; no labels are looked at, so there is no accuracy."""

    epoch: int
    loss: float
    validation: None = None


Curve = tuple[Epoch | Pass, ...]


@dataclass(frozen=True)
class Stage:
    """A network at some stage, measured."""

    network: Network
    result: Result


@dataclass(frozen=True)
class Bench:
    """What all stages of a run need.

    Attributes
    ----------
    job : told how far it is; may say that it is to stop.
    original : the network that was compressed.
    data : what is open.
    scored : the same, or None if the network cannot be scored on it.
    checkpoint : where training is kept as it goes on, so that it can go on from there; None to keep nothing.
    """

    job: Job | Part
    original: Network
    data: Data
    scored: Data | None
    checkpoint: Path | None = None

    def decompose(self, plan: Plan, number: int) -> Stage:
        """Factorise by a plan."""
        made = decompose(self.original, plan, progress=lambda s, name: self.job.report(0.7 * s, f"factorising {name}"))
        return self._measured(self.job.report, 0.7, made, number, "decomposed", plan.describe())

    def calibrate(self, start: Stage) -> Stage:
        """Refit every layer on images without labels."""
        images = calibration_images(self.data)
        made = calibrate(
            start.network,
            self.original,
            images,
            progress=lambda share, name: self.job.report(0.9 * share, f"fitting {name}" if name else ""),
            cancelled=self.job.cancelled,
        )
        if self.job.cancelled():
            raise Cancelled  # half of the layers fitted is no network that anybody wants
        about = f"{start.result.about}; calibrated on {len(images)} {images.name} images without labels"
        return self._measured(self.job.report, 0.9, made, start.result.number, "calibrated", about)

    def train(self, start: Stage, training: Training, told: Callable[[Curve], None]) -> tuple[Stage, bool]:
        """Fine-tune or distil; the stage that was given stays as it is.

        Parameters
        ----------
        told : called with the epochs so far after each.

        Returns
        -------
        The trained stage, and whether it was cancelled after some whole epochs, whose work is kept.

        Raises
        ------
        Cancelled : if it was cancelled before there was anything to keep.
        """
        if training.learn_from == "original":
            return self._distilled(start, training, told)
        teacher = self.original if training.learn_from == "both" else None
        network = replace(start.network, model=copy.deepcopy(start.network.model))
        return self._finetuned(network, start.result, "fine-tuned", training, teacher, told)

    def from_scratch(self, start: Stage, training: Training, told: Callable[[Curve], None]) -> tuple[Stage, bool]:
        """The same architecture from Gaussian initialisation: the paper's baseline. Other things as in `train`."""
        network = from_scratch(start.network, seed=0)
        teacher = self.original if training.learn_from == "both" else None
        stage, stopped = self._finetuned(network, start.result, "from scratch", training, teacher, told)
        trained = replace(stage.network, random_weights=self.original.random_weights)
        return Stage(trained, replace(stage.result, random_weights=False)), stopped

    def sweep(self, plans: list[Plan], recover: str, training: Training) -> Iterator[Outcome]:
        """Each plan in turn, scored on the images to choose by (or all there are); a failure stops no other."""
        tuned: dict[str, Any] = {}
        if recover == "fine-tune":
            teacher = self.original if training.learn_from != "labels" else None
            tuned = {"epochs": training.epochs, "learning_rate": training.learning_rate, "teacher": teacher}
            tuned["schedule"] = training.schedule
        self.job.report(0.0, f"budget 1 of {len(plans)}")
        outcomes = sweep(
            self.original,
            plans,
            self.data,
            steps={} if recover == "none" else {"calibrated": _calibrated},
            split="validation" if len(self.data.validation) else "test",
            cancelled=self.job.cancelled,
            progress=self.job.tell,
            **tuned,
        )
        for done, outcome in enumerate(outcomes, start=1):
            if done < len(plans):
                self.job.tell(done / len(plans), f"budget {done + 1} of {len(plans)}")
            yield outcome

    def _finetuned(
        self,
        network: Network,
        before: Result,
        stage: str,
        training: Training,
        teacher: Network | None,
        told: Callable[[Curve], None],
    ) -> tuple[Stage, bool]:
        curve: tuple[Epoch, ...] = ()
        epochs = training.epochs
        self.job.report(0.0, f"epoch 1 of {epochs}")
        for epoch in finetune(
            network,
            self.data,
            epochs=epochs,
            learning_rate=training.learning_rate,
            schedule=training.schedule,
            teacher=teacher,
            checkpoint=self.checkpoint,
            cancelled=self.job.cancelled,
            progress=lambda share: self.job.tell(0.98 * share),
        ):
            curve = (*curve, epoch)
            told(curve)
            if epoch.epoch < epochs:
                self.job.tell(0.98 * epoch.epoch / epochs, f"epoch {epoch.epoch + 1} of {epochs}")
        if not curve or (self.job.leaving and len(curve) < epochs):
            raise Cancelled  # not one whole epoch, or to be gone on with from the checkpoint
        stopped = len(curve) < epochs
        end = f", cancelled after epoch {len(curve)} of {epochs}" if stopped else ""
        what = "training from scratch" if stage == "from scratch" else "fine-tuning"
        about = f"{before.about}; {len(curve)} epochs of {what} from {training}{end}"
        if stage == "fine-tuned":
            network = replace(network, source=f"{network.source}; fine-tuned")
        return self._measured(self.job.tell, 0.98, network, before.number, stage, about), stopped

    def _distilled(self, start: Stage, training: Training, told: Callable[[Curve], None]) -> tuple[Stage, bool]:
        images = training_images(self.data)
        losses: list[float] = []
        curve: list[Pass] = []

        def advance(share: float, words: str) -> None:
            self.job.tell(0.98 * share, words)
            epoch = int(training.epochs * share + 1e-9)  # of those that are whole
            if epoch > len(curve):
                curve.append(Pass(epoch, fmean(losses)))
                losses.clear()
                told(tuple(curve))

        made = distill(
            start.network,
            self.original,
            images,
            epochs=training.epochs,
            progress=advance,
            losses=losses.append,
            cancelled=self.job.cancelled,
        )
        stopped = self.job.cancelled()
        end = ", cancelled before its end" if stopped else ""
        about = f"{start.result.about}; {training.epochs} epochs on the original's answers, without labels{end}"
        return self._measured(self.job.tell, 0.98, made, start.result.number, "distilled", about), stopped

    def _measured(
        self, report: Callable[[float, str], None], begin: float, network: Network, number: int, stage: str, about: str
    ) -> Stage:
        result, _ = measure(report, begin, network, self.scored, number, stage, about)
        return Stage(network, result)


def _calibrated(smaller: Network, original: Network, data: Data) -> Network:
    return calibrate(smaller, original, calibration_images(data))


def training_images(data: Data) -> Split:
    """Images to learn from without their labels: those for training, or, where there are none, for validation.

    Raises
    ------
    ValueError : if the data have neither; the test images are for the score alone.
    """
    split = data.train if len(data.train) else data.validation
    if not len(split):
        raise ValueError(
            f"{data.name} has test images only, and those are for the score: choose data with training images"
        )
    return split


def calibration_images(data: Data, most: int = CALIBRATION) -> Split:
    """At most so many of them, drawn by a seed."""
    split = training_images(data)
    if len(split) <= most:
        return split
    drawn = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:most].sort().values
    return Split(split.images[drawn], split.labels[drawn], split.name)
