"""The compressed networks of a session: made, recovered, compared, and kept in the run store. No widgets."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from traitlets import Instance, Int, Tuple, Unicode

from workbench.app.history import BASELINE, History, outcome_results, results_of
from workbench.app.jobs import Cancelled, Job
from workbench.app.planning import Planned
from workbench.app.recovery import Bench, Stage, Training, calibration_images
from workbench.app.results import Result
from workbench.compression.data import Data
from workbench.compression.network import Network
from workbench.compression.plan import Plan, PlanError
from workbench.compression.sensitivities import sensitivities
from workbench.run import Run

SENSED = 48
"""Images on which the layers are compared."""


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

    def measure_layers(self) -> bool:
        """Find out, in the background, what each layer's ranks cost in the outputs, for budgets."""

        def work(bench: Bench) -> None:
            if self.spectra is None:
                raise ValueError("open a network first")
            images = calibration_images(bench.data, SENSED)
            report = bench.job.report
            found = sensitivities(
                bench.original, images, self.spectra, progress=lambda share, name: report(share, f"measuring {name}")
            )
            self._later(measured=found)

        return self._start("Measuring layers", work)

    def compress(self) -> bool:
        """Decompose by the present plan and score the result, in the background."""
        plan = self.plan

        def work(bench: Bench) -> None:
            if plan is None:
                raise ValueError("open a network first")
            number = self._next_number()
            self._later(curve=(), **self._begun(bench.decompose(plan, number), number))

        return self._start("Compressing", work)

    def calibrate(self) -> bool:
        """Refit the newest compressed network's layers on images without labels, in the background."""
        start = self._newest()

        def work(bench: Bench) -> None:
            if start is None:
                raise ValueError("compress the network first: there is nothing to calibrate yet")
            self._later(**self._with(bench.calibrate(start)))

        return self._start(f"Calibrating{self._run}", work)

    def finetune(self, training: Training | None = None, **settings: Any) -> bool:
        """Train the newest compressed network in the background; what was there stays until it ends.

        Parameters
        ----------
        training : all settings, or some of them by name.
        """
        training = replace(training or Training(), **settings)

        def work(bench: Bench, start: Stage) -> None:
            stage, stopped = bench.train(start, training, lambda curve: self._later(curve=curve))
            self._later(**self._with(stage))
            if stopped:
                raise Cancelled

        return self._train(f"Fine-tuning{self._run}", work)

    def from_scratch(self, training: Training | None = None, **settings: Any) -> bool:
        """Train the same architecture from Gaussian initialisation; the compressed network stays what it is."""
        training = replace(training or Training(), **settings)

        def work(bench: Bench, start: Stage) -> None:
            stage, stopped = bench.from_scratch(start, training, lambda curve: self._later(curve=curve))
            self._later(results=(*self.results, stage.result), **self._stored(stage))
            if stopped:
                raise Cancelled

        return self._train(f"Training from scratch{self._run}", work)

    def sweep(self, ratios: Sequence[float], recover: str = "calibrate", training: Training | None = None) -> bool:
        """Compress to several budgets, one after the other, and recover each; the points come as they are ready.

        Parameters
        ----------
        ratios : original / compressed MACs of each budget; those out of reach are left out, and said so.
        recover : "none", "calibrate", or "fine-tune" after that.
        training : settings of the latter.
        """
        history = self._history

        def work(bench: Bench) -> None:
            if self.spectra is None or self.original is None:
                raise ValueError("open a network first")
            plans, beyond = self._budgets(ratios)
            if not plans:
                raise ValueError(f"none of these budgets can be met: {beyond}")
            failed = [beyond] if beyond else []
            found = [*self.results]
            for outcome in bench.sweep(plans, recover, training or Training()):
                if outcome.network is None or outcome.run is None:
                    failed.append(outcome.error)
                    continue
                results = outcome_results(outcome, max(r.number for r in found) + 1)
                number = history.keep_all(self.original, results, outcome.network, {"sweep": recover})
                found += [replace(r, number=number) for r in results]
                self._later(results=tuple(found), runs=history.runs(), unkept=history.problem)
            if bench.job.cancelled():
                raise Cancelled
            if failed:
                raise ValueError("; ".join(failed))

        return self._start(f"Sweeping {len(ratios)} budgets", work)

    def _budgets(self, ratios: Sequence[float]) -> tuple[list[Plan], str]:
        """Plans for each ratio, and a sentence on those that are out of reach."""
        assert self.spectra is not None
        plans, problems = [], []
        for ratio in ratios:
            budget = replace(self.planning, planner="budget", layers="all", macs_ratio=ratio, weights_ratio=1.0)
            try:
                plans.append(budget.plan(self.spectra, self.measured))
            except PlanError as error:
                problems.append(str(error))
        return plans, problems[-1] if problems else ""

    def _train(self, title: str, work: Callable[[Bench, Stage], None]) -> bool:
        start, earlier = self._newest(), self.curve

        def trained(bench: Bench) -> None:
            if start is None:
                raise ValueError("compress the network first: there is nothing to fine-tune yet")
            count = len(self.results)
            self._later(curve=())
            try:
                work(bench, start)
            except (ValueError, Cancelled):
                # the network stays what it was, and so does what is shown of it
                bench.job.post(lambda: self.set_trait("curve", earlier) if len(self.results) == count else None)
                raise

        return self._start(title, trained)

    def _start(self, title: str, work: Callable[[Bench], None]) -> bool:
        def run(job: Job) -> None:
            if self.network is None or self.data is None:
                raise ValueError("open a network first")
            work(Bench(job, self.network, self.data, self._scored_data))

        return self.job.start(title, run)

    @property
    def _run(self) -> str:
        return f" run {self.latest.number}" if self.latest else ""

    def _newest(self) -> Stage | None:
        return Stage(self.smaller, self.latest) if self.smaller is not None and self.latest is not None else None

    def _next_number(self) -> int:
        numbers = [r.number for r in self.results] + [run.number for run in self.runs]
        return max(numbers, default=0) + 1

    def _begun(self, stage: Stage, number: int) -> dict[str, object]:
        """Traits after the first stage of a new run, which is in the store then."""
        history, original = self._history, self.original
        assert original is not None
        stage = history.keep(original, stage, asdict(self.planning), number)
        kept = {"runs": history.runs(), "unkept": history.problem}
        results = (*self.results, stage.result)
        return {"smaller": stage.network, "number": stage.result.number, "results": results, **kept}

    def _with(self, stage: Stage) -> dict[str, object]:
        """Traits after a further stage."""
        return {"smaller": stage.network, "results": (*self.results, stage.result), **self._stored(stage)}

    def _stored(self, stage: Stage) -> dict[str, object]:
        self._history.add_stage(stage, self.runs)
        return {"runs": self._history.runs(), "unkept": self._history.problem}

    def resume(self, number: int) -> bool:
        """Go on with a run of the store, in the background."""

        def work(bench: Bench) -> None:
            run = self._run_of(number)
            stage = self._history.load(run, bench.original)
            shown = [r for r in self.results if r.number != number]
            results = (*shown, *results_of(run))
            plan = replace(stage.network.plan, spectra=self.spectra) if stage.network.plan else self.plan
            self._later(smaller=stage.network, number=number, results=results, plan=plan, curve=())

        return self._start(f"Opening run {number}", work)

    def forget(self, number: int) -> None:
        """Take a run out of the store for good; what is worked on stays."""
        self._history.delete(self._run_of(number))
        self.runs, self.unkept = self._history.runs(), self._history.problem

    def _run_of(self, number: int) -> Run:
        found: Run | None = next((run for run in self.runs if run.number == number), None)
        if found is None:
            raise ValueError(f"run {number} is not in the store")
        return found
