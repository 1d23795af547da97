"""The runs of the open network and data in the run store; a store that cannot be used is a sentence."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from workbench.app.errors import sentence
from workbench.catalog.networks.load import data_folder
from workbench.network.data import Data
from workbench.network.network import Network
from workbench.plan.compressed import CompressedNetwork
from workbench.runs.run import Run, Stage, source_of
from workbench.runs.store import RunStore, StoreError

T = TypeVar("T")


def runs_file() -> Path:
    """Return where runs are stored: ``data/runs.sqlite`` beside the package, or ``$WORKBENCH_RUNS``."""
    return Path(os.environ.get("WORKBENCH_RUNS", data_folder() / "runs.sqlite"))


class StoredRuns:
    """Runs of one network on one data set; runs of other weights are other runs."""

    def __init__(self, network: Network, data: Data) -> None:
        self.network, self.data = network, data
        self.problem = ""  # why runs are not stored or not found, in a sentence
        self._store: RunStore | None = None

    @property
    def store(self) -> RunStore | None:
        """The store; None if it cannot be used, which `problem` says."""
        if self._store is None:
            try:
                self._store, self.problem = RunStore(runs_file()), ""
            except (StoreError, OSError) as error:
                self.problem = f"Runs are not stored: {sentence(error)}"
        return self._store

    def runs(self) -> tuple[Run, ...]:
        """Return the runs, oldest first."""
        source = source_of(self.network)
        found = self._ask(lambda store: store.runs(network=self.network.name, data=self.data.name))
        return tuple(run for run in found or () if run.settings.get("source") == source)

    def save(self, run: Run) -> Run:
        """Store a run, or what it has got since; a run that cannot be stored comes back as it was."""
        return self._ask(lambda store: store.update(run) if run.number > 0 else store.add(run)) or run

    def extend(self, run: Run, *, stage: Stage | None = None, measured: Mapping[str, Any] | None = None) -> Run:
        """Return a run with the stage of another network, or with measurements; its weights stay as they are stored."""
        added = replace(run, stages=() if stage is None else (stage,), measured=dict(measured or {}))
        if run.weights_file:
            self._ask(lambda store: store.update(added, weights=False))
        run = run if stage is None else run.with_stage(replace(stage, note=""))
        return replace(run, measured={**run.measured, **added.measured})

    def load(self, number: int) -> tuple[Run, CompressedNetwork]:
        """Return a run and its network; StoreError if it is not there, or damaged."""
        if self.store is None:
            raise StoreError(self.problem)
        made = self.store.load(number, self.network)
        return self.store[number], made.with_model(made.model, random_weights=self.network.random_weights)

    def delete(self, number: int) -> None:
        """Delete a run; another kernel may have done so before."""
        self._ask(lambda store: store.delete(number))

    def _ask(self, question: Callable[[RunStore], T]) -> T | None:
        if self.store is not None:
            try:
                answer, self.problem = question(self.store), ""
                return answer
            except StoreError as error:
                self.problem = sentence(error)
        return None
