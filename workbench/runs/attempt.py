"""Try one plan: decompose, calibrate and fine-tune, score each stage, and take back what did not help."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from workbench.network.data import Data
from workbench.network.network import Network
from workbench.network.scores import Metric
from workbench.plan.compressed import CompressedNetwork
from workbench.plan.plan import Plan
from workbench.progress import Progress, part
from workbench.recover.calibrate import CALIBRATION_IMAGES, calibrate
from workbench.recover.checkpoint import Epoch, OtherTrainingError
from workbench.recover.decompose import decompose
from workbench.recover.finetune import finetune
from workbench.runs.run import Run, Stage, StageName, source_of
from workbench.runs.scoring import judgement, points_lost, scored_stage
from workbench.runs.search import BEGIN_SHARE, Clock, until
from workbench.runs.store import RunStore, StoreError

FINE_TUNING: Mapping[str, Any] = {"epochs": 10, "learning_rate": 1e-3, "schedule": "cosine"}
"""Settings of fine-tuning."""
TRAINING_PASSES = 5.0
"""Time of one image in an epoch of fine-tuning with a teacher, in forward passes of the original."""
MAX_TUNING_SHARE = 0.5
"""Largest share of the remaining time that fine-tuning takes in one try."""


@dataclass
class Attempts:
    """Tries plans for one network on the same data, within one limit of time."""

    network: Network
    data: Data
    clock: Clock
    max_drop: float
    metric: Metric | None
    store: RunStore | None
    checkpoint: str | Path | None
    on_stage: Callable[[Run], object] | None
    on_epoch: Callable[[Epoch], object] | None
    original: Stage = field(init=False)
    pass_s: float = field(init=False)  # seconds of the original for one image

    def __post_init__(self) -> None:
        began, progress = self.clock.elapsed, part(self.clock, BEGIN_SHARE / 2, BEGIN_SHARE)
        self.original = self.scored(self.network, StageName.ORIGINAL, self.network.source, progress)
        images = sum(score.n for score in self.original.scores.values())
        self.pass_s = (self.clock.elapsed - began) / max(1, images)

    def make(self, plan: Plan, settings: Mapping[str, Any], why: str, progress: Progress) -> tuple[Run, str]:
        """Compress by a plan and recover; return the run, and what was taken back of it in words, or ""."""
        data, taken_back = self.data, ""
        labelled = all(len(split) and split.labelled for split in (data.train, data.validation))
        fitted = 0.4 if labelled else 0.95  # share of the try until it is calibrated
        made = decompose(self.network, plan, progress=part(progress, 0.0, 0.1, "decomposing"))
        used = {**settings, "source": source_of(self.network)}
        run = Run.of(made, data.name, (self.original,), settings=used)
        about = f"{plan.describe()}; {why}" if why else plan.describe()
        run = self.reach(run, made, self.scored(made, StageName.DECOMPOSED, about, part(progress, 0.1, 0.15)))
        if len(data.train) or len(data.validation):
            images = data.unlabelled.sample(CALIBRATION_IMAGES)
            made = calibrate(made, images, progress=part(progress, 0.15, fitted - 0.05, "calibrating"))
            about += f"; calibrated on {len(images)} {images.name} images without labels"
            scoring = part(progress, fitted - 0.05, fitted)
            run = self.reach(run, made, self.scored(made, StageName.CALIBRATED, about, scoring))
        lost = points_lost(run, self.max_drop)
        if labelled and lost is not None and lost > self.max_drop / 2:
            run, taken_back = self.tune(run, made, about, part(progress, fitted, 0.95, "fine-tuning"))
        progress(1.0, "")
        return run, taken_back

    def tune(self, run: Run, made: CompressedNetwork, about: str, progress: Progress) -> tuple[Run, str]:
        """Fine-tune as long as there is time; return the run as it was, and why, if that does not help."""
        passes = TRAINING_PASSES * len(self.data.train) + len(self.data.validation)
        seconds = MAX_TUNING_SHARE * self.clock.left
        epochs = int(min(FINE_TUNING["epochs"], seconds / (passes * self.pass_s)))
        if not epochs:
            return run, "no time for an epoch of fine-tuning"
        used: dict[str, Any] = {**FINE_TUNING, "epochs": epochs}
        how = {**used, "metric": self.metric, "progress": until(part(progress, 0.0, 0.95), seconds)}
        how |= {"checkpoint": self.checkpoint, "on_epoch": self.on_epoch}
        train = partial(finetune, made, self.data, teacher=self.network, **how)
        file = None if self.checkpoint is None else Path(self.checkpoint)
        try:
            tuned = train()
        except OtherTrainingError:  # that of another plan, from a search that was interrupted
            if file is not None:
                file.unlink()
            tuned = train()
        if file is not None:  # the next try is another training
            file.unlink(missing_ok=True)
        done = f"{len(tuned.history)} epochs of fine-tuning"
        about += f"; {done} with labels and the original's answers"
        stage = self.scored(tuned, StageName.FINE_TUNED, about, part(progress, 0.95, 1.0))
        before, after = (points_lost(r, self.max_drop) for r in (run, run.with_stage(stage, tuned)))
        if before is not None and after is not None and after >= before:
            return run, f"{done} did not help and were taken back"
        run = replace(run, settings={**run.settings, **used, "teacher": True})
        return self.reach(run, tuned, stage), ""

    def scored(self, network: Network, name: StageName, note: str, progress: Progress) -> Stage:
        """Score a network at a stage."""
        return scored_stage(network, self.data, name, metric=self.metric, note=note, progress=progress)

    def reach(self, run: Run, made: CompressedNetwork, stage: Stage) -> Run:
        """Return the run with a new stage: judge the loss, store the run, then call `on_stage`."""
        run = run.with_stage(stage, made)
        run = stored(replace(run, note=f"{stage.note}; {judgement(run, self.max_drop)}"), self.store)
        if self.on_stage:
            self.on_stage(run)
        return run


def stored(run: Run, store: RunStore | None, *, weights: bool = True) -> Run:
    """Add a run to the store, or update it there, and return it; if that fails, its `error` says why."""
    if store is None:
        return run
    try:
        return store.update(run, weights=weights) if run.number else store.add(run)
    except StoreError as error:
        return replace(run, error=f"the run is not stored: {error}")
