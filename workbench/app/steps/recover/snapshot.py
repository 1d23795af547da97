"""What a verb works with, as it was when the user pressed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from workbench.app.steps.choose.opening import Opened
from workbench.app.steps.recover.training import TrainingSettings
from workbench.app.stored_runs import StoredRuns
from workbench.network.data import Data, Split
from workbench.plan.compressed import CompressedNetwork
from workbench.plan.plan import Plan
from workbench.progress import Progress
from workbench.recover.checkpoint import Epoch
from workbench.recover.finetune import finetune
from workbench.runs.run import Run, Stage, StageName, scored_stage, source_of


@dataclass(frozen=True)
class Snapshot:
    """What a verb works with, as it was when the user pressed."""

    opened: Opened
    store: StoredRuns
    plan: Plan
    settings: Mapping[str, Any]
    run: Run | None
    checkpoint: Path | None

    @property
    def data(self) -> Data | None:
        """The data, unless the network cannot be scored on them."""
        return None if self.opened.misfit else self.opened.data

    def stage(self, network: CompressedNetwork, name: StageName, note: str) -> Stage:
        """Score a network."""
        return scored_stage(network, self.data, name, note=note)

    def new_run(self, network: CompressedNetwork, note: str) -> Run:
        """Return a run of a network that was just decomposed, which is in the store."""
        stages = (self.opened.original, self.stage(network, StageName.DECOMPOSED, note))
        settings = {**self.settings, "source": source_of(self.opened.network)}
        run = Run.of(network, self.opened.data.name, stages, settings=settings, note=note)
        return self.store.keep(run)

    def finetuned(
        self,
        network: CompressedNetwork,
        training: TrainingSettings,
        on_epoch: Callable[[Epoch], object],
        report: Progress,
    ) -> CompressedNetwork:
        """Return a network that was fine-tuned, for whole epochs."""
        return finetune(
            network,
            self.opened.data,
            epochs=training.epochs,
            learning_rate=training.learning_rate,
            schedule=training.schedule,
            teacher=self.opened.network if training.learn_from == "both" else None,
            checkpoint=self.checkpoint,
            on_epoch=on_epoch,
            progress=report,
        )


def worked_on(now: Snapshot, verb: str) -> tuple[Run, CompressedNetwork]:
    """Return the run that is worked on and its network; raise ValueError without one."""
    if now.run is None or now.run.network is None:
        raise ValueError(f"compress the network first: there is nothing to {verb} yet")
    return now.run, now.run.network


def without_images(data: Data) -> Data:
    """Return the data without their images, for a network that cannot be scored on them."""
    empty = Split.unlabelled(torch.zeros(0, *data.train.images.shape[1:]))
    return Data(empty, empty, empty, name=data.name)
