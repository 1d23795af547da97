"""The run store as a session uses it: every stage is kept as soon as it is measured, and found again later."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from workbench.app.jobs import sentence
from workbench.app.results import Result
from workbench.app.steps.recover.model import Stage
from workbench.catalog.networks.load import data_folder
from workbench.kernels.complexity import Cost
from workbench.network.network import Network
from workbench.runs.run import Run
from workbench.runs.run import Stage as Scored
from workbench.runs.store import RunStore, StoreError
from workbench.runs.sweep import Outcome

BASELINE = "from scratch"


def runs_file() -> Path:
    """Where runs are kept: ``data/runs.sqlite`` beside the package, or ``$WORKBENCH_RUNS``."""
    return Path(os.environ.get("WORKBENCH_RUNS", data_folder() / "runs.sqlite"))


@dataclass
class History:
    """Runs of the network and the data that are open.

    Attributes
    ----------
    network, data : their names.
    source : checksum of the weights, or where they came from: runs of other weights are other runs.
    problem : why runs are not kept or not found, in a sentence, or "".
    """

    network: str
    data: str
    source: str
    problem: str = ""
    _store: RunStore | None = field(default=None, repr=False)

    @property
    def store(self) -> RunStore | None:
        """The store; None if it cannot be used, which `problem` says."""
        if self._store is None:
            try:
                self._store = RunStore(runs_file())
                self.problem = ""
            except (StoreError, OSError) as error:
                self.problem = f"Runs are not kept: {sentence(error)}"
        return self._store

    def runs(self) -> tuple[Run, ...]:
        """Those kept so far, oldest first."""
        store = self.store
        if store is None:
            return ()
        try:
            found = store.list(network=self.network, data=self.data)
        except StoreError as error:
            self.problem = sentence(error)
            return ()
        return tuple(run for run in found if run.settings.get("source") == self.source)

    def keep(self, original: Result, stage: Stage, settings: Mapping[str, Any], fallback: int) -> Stage:
        """Put a new run into the store; the stage comes back with the run's number there.

        Parameters
        ----------
        fallback : the number if it cannot be stored.
        """
        store, number = self.store, fallback
        if store is not None:
            try:
                about = {**settings, "source": self.source}
                stages = [*scored(original), *scored(stage.result)]
                run = store.add(stage.network, self.data, stages=stages, settings=about, note=stage.result.about)
                number, self.problem = run.number, ""
            except StoreError as error:
                self.problem = f"Run {fallback} was not stored: {sentence(error)}"
        return Stage(stage.network, replace(stage.result, number=number))

    def keep_all(
        self, original: Result, results: Sequence[Result], network: Network, settings: Mapping[str, Any]
    ) -> int:
        """The same with all stages of a run at once; its number."""
        first = self.keep(original, Stage(network, results[0]), settings, results[0].number).result.number
        for result in results[1:]:
            self.add_stage(Stage(network, replace(result, number=first)), self.runs())
        return first

    def add_stage(self, stage: Stage, known: Iterable[Run]) -> None:
        """Add a stage to a run that is in the store, with its weights unless it is the baseline."""
        store, result = self.store, stage.result
        if store is None or result.number not in {run.number for run in known}:
            return
        try:
            baseline = result.stage == BASELINE
            more = {} if baseline else {"network": stage.network, "note": result.about}
            store.update(result.number, stages=scored(result), **more)  # type: ignore[arg-type]
            self.problem = ""
        except StoreError as error:
            self.problem = f"This stage of run {result.number} was not stored: {sentence(error)}"

    def measured(self, number: int, values: Mapping[str, Any], known: Iterable[Run]) -> None:
        """Add measurements (JSON values by name) to a run that is in the store."""
        if self.store is None or number not in {run.number for run in known}:
            return
        try:
            self.store.update(number, measured=values)
            self.problem = ""
        except StoreError as error:
            self.problem = f"What was measured of run {number} was not stored: {sentence(error)}"

    def load(self, run: Run, original: Network) -> Stage:
        """A run's network again, and its last result.

        Raises
        ------
        StoreError : if it is no longer there, or damaged.
        """
        if self.store is None:
            raise StoreError(self.problem)
        network = self.store.load(run, original)
        last = [result for result in results_of(run) if result.stage != BASELINE]
        return Stage(replace(network, random_weights=original.random_weights), last[-1])

    def delete(self, run: Run) -> None:
        """Take a run out of the store; other kernels may have done so before."""
        if self.store is None:
            return
        try:
            self.store.delete(run)
            self.problem = ""
        except StoreError as error:
            self.problem = sentence(error)


def outcome_results(outcome: Outcome, number: int) -> list[Result]:
    """The stages that a plan of a sweep went through, the original left out."""
    assert outcome.run is not None
    note = outcome.plan.describe()
    return results_of(replace(outcome.run, number=number, note=note))


def scored(result: Result) -> list[Scored]:
    """A result as the store keeps it: one line for each split that it was scored on."""
    both = (("validation", result.validation), ("test", result.test))
    return [Scored(result.stage, split, score) for split, score in both if score is not None]


def results_of(run: Run) -> list[Result]:
    """A stored run's stages as results, the original left out; the other way round."""
    cost = Cost(run.plan.weights, run.plan.macs)
    found: dict[str, dict[str, Any]] = {}
    for stage in run.stages:
        found.setdefault(stage.name, {})[stage.split] = stage.accuracy
    found.pop("original", None)
    return [
        Result(run.number, name, cost, splits.get("validation"), splits.get("test"), run.note)
        for name, splits in (found or {"decomposed": {}}).items()
    ]
