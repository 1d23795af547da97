"""Try one plan: decompose, calibrate and fine-tune, score each stage, and discard fine-tuning that did not help."""

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
from workbench.runs.search import PREPARATION_SHARE, Clock, with_time_limit
from workbench.runs.store import RunStore, StoreError

FINE_TUNING: Mapping[str, Any] = {"epochs": 10, "learning_rate": 1e-3, "schedule": "cosine"}
"""Settings of fine-tuning."""
PASSES_PER_TRAINING_IMAGE = 5.0
"""Cost of one image in an epoch of fine-tuning with a teacher, in forward passes of the original."""
MAX_TUNING_SHARE = 0.5
"""Largest share of the remaining time that fine-tuning takes in one try."""


@dataclass
class Attempts:
    """Compresses one network by several plans on the same data, within one time limit."""

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
    pass_s: float = field(init=False)  # seconds of a forward pass of the original, for one image

    def __post_init__(self) -> None:
        start_s, progress = self.clock.elapsed, part(self.clock, PREPARATION_SHARE / 2, PREPARATION_SHARE)
        self.original = self._score(self.network, StageName.ORIGINAL, self.network.source, progress)
        images = sum(score.n for score in self.original.scores.values())
        self.pass_s = (self.clock.elapsed - start_s) / max(1, images)

    def compress(self, plan: Plan, settings: Mapping[str, Any], reason: str, progress: Progress) -> tuple[Run, str]:
        """Compress by a plan and recover; return the run, and why fine-tuning was left out or discarded, or ""."""
        data, tuning_note = self.data, ""
        labelled = all(len(split) and split.labelled for split in (data.train, data.validation))
        fit_end = 0.4 if labelled else 0.95  # share of the try until the network is calibrated
        compressed = decompose(self.network, plan, progress=part(progress, 0.0, 0.1, "decomposing"))
        settings = {**settings, "source": source_of(self.network)}
        run = Run.of(compressed, data.name, (self.original,), settings=settings)
        note = f"{plan.describe()}; {reason}" if reason else plan.describe()
        stage = self._score(compressed, StageName.DECOMPOSED, note, part(progress, 0.1, 0.15))
        run = self._add_stage(run, compressed, stage)
        if len(data.train) or len(data.validation):
            images = data.unlabelled.sample(CALIBRATION_IMAGES)
            compressed = calibrate(compressed, images, progress=part(progress, 0.15, fit_end - 0.05, "calibrating"))
            note += f"; calibrated on {len(images)} {images.name} images without labels"
            scoring = part(progress, fit_end - 0.05, fit_end)
            run = self._add_stage(run, compressed, self._score(compressed, StageName.CALIBRATED, note, scoring))
        points = points_lost(run, self.max_drop)
        if labelled and points is not None and points > self.max_drop / 2:
            run, tuning_note = self._tune(run, compressed, note, part(progress, fit_end, 0.95, "fine-tuning"))
        progress(1.0, "")
        return run, tuning_note

    def _tune(self, run: Run, compressed: CompressedNetwork, note: str, progress: Progress) -> tuple[Run, str]:
        """Fine-tune for as many epochs as there is time; if that does not help, return the given run and say so."""
        passes = PASSES_PER_TRAINING_IMAGE * len(self.data.train) + len(self.data.validation)
        limit_s = MAX_TUNING_SHARE * self.clock.remaining
        epochs = int(min(FINE_TUNING["epochs"], limit_s / (passes * self.pass_s)))
        if not epochs:
            return run, "no time for an epoch of fine-tuning"
        settings: dict[str, Any] = {**FINE_TUNING, "epochs": epochs}
        options: dict[str, Any] = {"metric": self.metric, "checkpoint": self.checkpoint, "on_epoch": self.on_epoch}
        options["progress"] = with_time_limit(part(progress, 0.0, 0.95), limit_s)
        train = partial(finetune, compressed, self.data, teacher=self.network, **settings, **options)
        checkpoint = None if self.checkpoint is None else Path(self.checkpoint)
        try:
            tuned = train()
        except OtherTrainingError:  # an interrupted search left the checkpoint of another plan
            if checkpoint is not None:
                checkpoint.unlink()
            tuned = train()
        if checkpoint is not None:  # the next try is another training
            checkpoint.unlink(missing_ok=True)
        epochs_done = f"{len(tuned.history)} epochs of fine-tuning"
        note += f"; {epochs_done} with labels and the original's answers"
        stage = self._score(tuned, StageName.FINE_TUNED, note, part(progress, 0.95, 1.0))
        before, after = (points_lost(r, self.max_drop) for r in (run, run.with_stage(stage, tuned)))
        if before is not None and after is not None and after >= before:
            return run, f"{epochs_done} did not help and were taken back"
        run = replace(run, settings={**run.settings, **settings, "teacher": True})
        return self._add_stage(run, tuned, stage), ""

    def _score(self, network: Network, name: StageName, note: str, progress: Progress) -> Stage:
        return scored_stage(network, self.data, name, metric=self.metric, note=note, progress=progress)

    def _add_stage(self, run: Run, compressed: CompressedNetwork, stage: Stage) -> Run:
        """Return the run with a new stage and the judgement of its loss in the note; store it and call `on_stage`."""
        run = run.with_stage(stage, compressed)
        run = store_run(replace(run, note=f"{stage.note}; {judgement(run, self.max_drop)}"), self.store)
        if self.on_stage:
            self.on_stage(run)
        return run


def store_run(run: Run, store: RunStore | None, *, weights: bool = True) -> Run:
    """Add a run to the store, or update it there, and return it; if that fails, its `error` says why."""
    if store is None:
        return run
    try:
        return store.update(run, weights=weights) if run.number else store.add(run)
    except StoreError as error:
        return replace(run, error=f"the run is not stored: {error}")
