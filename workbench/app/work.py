"""The compressed networks of a session: made, recovered, compared, and kept in the run store. No widgets."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from traitlets import Dict, Instance, Int, Tuple, Unicode

from workbench.app.history import BASELINE, History, results_of
from workbench.app.jobs import Job, sentence
from workbench.app.results import Result
from workbench.app.steps.plan.model import Planned, Planning
from workbench.app.steps.recover.model import Bench, Stage
from workbench.network.data import Data
from workbench.network.network import Network
from workbench.plan.plan import Plan
from workbench.runs.run import Run


class Worked(Planned):
    """What is made of the open network by its plan.

    Traits
    ------
    network, data : what is open; None until it is.
    misfit : why the network cannot be scored on the data, in a sentence, or "".
    smaller, number : the compressed network that is worked on, and of which run it is; None and 0 before the first.
    results : every measured network of this session, the original first.
    curve : epochs of the current or last fine-tuning.
    runs : what the run store has of this network on these data, from this and earlier sessions.
    unkept : why runs are not kept or not found, in a sentence, or "".
    training : what is being trained and how, {"stage": "fine-tuned" or "from scratch", and the settings}, or empty.
    checkpoint : where training is kept as it goes on; None to keep nothing.
    job : the work in the background.
    """

    network = Instance(Network, allow_none=True)
    data = Instance(Data, allow_none=True)
    misfit = Unicode()
    smaller = Instance(Network, allow_none=True)
    number = Int(0)
    results = Tuple()
    curve = Tuple()
    runs = Tuple()
    unkept = Unicode()
    training = Dict()
    checkpoint = Instance(Path, allow_none=True)
    job = Instance(Job)

    def __init__(self, **traits: object) -> None:
        super().__init__(job=Job(), **traits)
        self._history = History("", "", "")

    @property
    def original(self) -> Result | None:
        """The original network's result, once it has been scored."""
        return self.results[0] if self.results else None

    @property
    def latest(self) -> Result | None:
        """The compressed network's result; the baseline from scratch is another network's."""
        own = (r for r in reversed(self.results) if r.number == self.number and r.stage != BASELINE)
        return next(own, None) if self.number else None

    @property
    def _scored_data(self) -> Data | None:
        """The data, unless the network cannot be scored on them."""
        return None if self.misfit else self.data

    @property
    def untrainable(self) -> str:
        """Why nothing can be fine-tuned on these data, in a sentence, or ""."""
        if self.misfit or self.data is None:
            return self.misfit or "No data are open."
        return "" if len(self.data.train) else f"{self.data.name} has none. Choose other data."

    @property
    def trainable(self) -> bool:
        """Whether there are images to fine-tune on."""
        return not self.untrainable

    @property
    def calibratable(self) -> bool:
        """Whether there are images to calibrate with: not those for the score."""
        data = self.data
        return data is not None and not self.misfit and bool(len(data.train) or len(data.validation))

    @property
    def compressed_as_planned(self) -> bool:
        """Whether the newest compressed network is what the present plan describes."""
        if self.smaller is None or self.smaller.plan is None or self.plan is None:
            return False
        made = [(p.name, p.decision, p.rank_in, p.rank_out) for p in self.smaller.plan]
        return made == [(p.name, p.decision, p.rank_in, p.rank_out) for p in self.plan]

    def _later(self, **traits: object) -> None:
        """Set traits from within the work, all before anybody is told."""

        def change() -> None:
            with self.hold_trait_notifications():
                for name, value in traits.items():
                    self.set_trait(name, value)

        self.job.post(change)

    def _start(self, title: str, work: Callable[[Bench], None]) -> bool:
        def run(job: Job) -> None:
            if self.network is None or self.data is None:
                raise ValueError("open a network first")
            work(Bench(job, self.network, self.data, self._scored_data, self.checkpoint if self.training else None))

        return self.job.start(title, run)

    @property
    def _run(self) -> str:
        return f" run {self.latest.number}" if self.latest else ""

    @property
    def newest(self) -> Stage | None:
        """The compressed network that is worked on, with its last result."""
        return Stage(self.smaller, self.latest) if self.smaller is not None and self.latest is not None else None

    def _next_number(self) -> int:
        numbers = [r.number for r in self.results] + [run.number for run in self.runs]
        return max(numbers, default=0) + 1

    def _begun(self, stage: Stage, number: int, before: tuple[Result, ...] | None = None) -> dict[str, object]:
        """Traits after the first stage of a new run, which is in the store then; `before` are the results until now."""
        history, original = self._history, self.original
        assert original is not None
        stage = history.keep(original, stage, self.planning.used(), number)
        kept = {"runs": history.runs(), "unkept": history.problem}
        results = (*(self.results if before is None else before), stage.result)
        return {"smaller": stage.network, "number": stage.result.number, "results": results, **kept}

    def _with(self, stage: Stage) -> dict[str, object]:
        """Traits after a further stage."""
        return {"smaller": stage.network, "results": (*self.results, stage.result), **self._stored(stage)}

    def _stored(self, stage: Stage) -> dict[str, object]:
        self._history.add_stage(stage, self._history.runs())  # traits may be a step behind
        return {"runs": self._history.runs(), "unkept": self._history.problem}

    def resume(self, number: int) -> bool:
        """Go on with a run of the store, in the background."""

        def work(bench: Bench) -> None:
            run = self._run_of(number)
            stage = self._history.load(run, bench.original)
            shown = [r for r in self.results if r.number != number]
            results = (*shown, *results_of(run))
            plan = replace(stage.network.plan, spectra=self.spectra) if stage.network.plan else self.plan
            self._later(smaller=stage.network, number=number, results=results, curve=())
            self.job.post(lambda: self._plan_of_run(run, plan))

        return self._start(f"Opening run {number}", work)

    def _plan_of_run(self, run: Run, plan: Plan | None) -> None:
        """Its plan and the settings that gave it, if it was kept with them; it can be undone."""
        try:
            planning = Planning.of(run.settings) if "planner" in run.settings else self.planning
        except ValueError:  # of another version, or changed by hand
            planning = self.planning
        self._remember(f"the plan of run {run.number}")
        self._put(planning, plan)

    def forget(self, number: int) -> None:
        """Take a run out of the store for good; what is worked on stays."""
        try:
            self._history.delete(self._run_of(number))
        except ValueError as error:  # a second press, or another tab was quicker
            self._history.problem = sentence(error)
        self.runs, self.unkept = self._history.runs(), self._history.problem

    def keep_measured(self, number: int, measured: Mapping[str, Any]) -> None:
        """Write what was measured of a run beside it in the store, if it is there."""
        self._history.measured(number, measured, self.runs)
        self.runs, self.unkept = self._history.runs(), self._history.problem

    def _run_of(self, number: int) -> Run:
        known = (*self.runs, *self._history.runs())  # another kernel may have stored it since
        found: Run | None = next((run for run in known if run.number == number), None)
        if found is None:
            raise ValueError(f"run {number} is not in the store" if number else "pick a run in the table first")
        return found
