"""The stored runs of the open network and data; errors of the run store become sentences."""

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
    """Reads and writes the runs of one network, with its present weights, on one data set."""

    def __init__(self, network: Network, data: Data) -> None:
        self.network, self.data = network, data
        self.problem = ""  # why runs are not stored or found, in a sentence
        self._store: RunStore | None = None

    @property
    def store(self) -> RunStore | None:
        """The store, or None if it cannot be opened; then `problem` says why."""
        if self._store is None:
            try:
                self._store, self.problem = RunStore(runs_file()), ""
            except (StoreError, OSError) as error:
                self.problem = f"Runs are not stored: {sentence(error)}"
        return self._store

    def runs(self) -> tuple[Run, ...]:
        """Return the runs, oldest first."""
        source = source_of(self.network)
        runs = self._try(lambda store: store.runs(network=self.network.name, data=self.data.name))
        return tuple(run for run in runs or () if run.settings.get("source") == source)

    def save(self, run: Run) -> Run:
        """Store a new run or update a stored one, and return it; return it unchanged if that fails."""
        return self._try(lambda store: store.update(run) if run.number > 0 else store.add(run)) or run

    def extend(self, run: Run, *, stage: Stage | None = None, measured: Mapping[str, Any] | None = None) -> Run:
        """Add the stage of another network, or measurements, to a run; keep its stored weights."""
        addition = replace(run, stages=() if stage is None else (stage,), measured=dict(measured or {}))
        if run.weights_file:
            self._try(lambda store: store.update(addition, weights=False))
        run = run if stage is None else run.with_stage(replace(stage, note=""))
        return replace(run, measured={**run.measured, **addition.measured})

    def load(self, number: int) -> tuple[Run, CompressedNetwork]:
        """Return a run and its network; raise StoreError if it is missing or damaged."""
        if self.store is None:
            raise StoreError(self.problem)
        compressed = self.store.load(number, self.network)
        return self.store[number], compressed.with_model(compressed.model, random_weights=self.network.random_weights)

    def delete(self, number: int) -> None:
        """Delete a run; `problem` says why if that fails."""
        self._try(lambda store: store.delete(number))

    def _try(self, action: Callable[[RunStore], T]) -> T | None:
        if self.store is not None:
            try:
                result, self.problem = action(self.store), ""
                return result
            except StoreError as error:
                self.problem = sentence(error)
        return None
