"""What can be done in the background: measure, compress, recover, sweep. Each is a verb of the session. No widgets."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from workbench.app.history import BASELINE, outcome_results
from workbench.app.jobs import Cancelled, Part
from workbench.app.results import Result
from workbench.app.steps.plan.model import Planning
from workbench.app.steps.recover.model import Bench, Stage, Training, calibration_images
from workbench.app.work import Worked
from workbench.measure.layer_times import measure_times
from workbench.plan.importance import sensitivities
from workbench.plan.plan import Plan, PlanError
from workbench.tables import times

SENSED = 48
"""Images on which the layers are compared."""
FOR_ME = "For you: compressing"
ATTEMPTS = 3
"""Runs that are tried, at most, when it is all left to the workbench."""
ENOUGH = 1.0
"""Points of accuracy that may be lost then."""
SOME = 1.05
"""Ratio of MACs under which nothing worth having is saved."""
FINISH = Training(epochs=10, learning_rate=1e-3, schedule="cosine", learn_from="both")
"""How a network is fine-tuned then."""


class Tasks(Worked):
    """The verbs; each returns whether it could begin, and ends as traits of the session."""

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

    def time_layers(self) -> bool:
        """Find out, in the background, how long each layer takes here at any ranks, for budgets of time."""

        def work(bench: Bench) -> None:
            if self.spectra is None:
                raise ValueError("open a network first")
            report = bench.job.report
            found = measure_times(
                bench.original,
                self.spectra,
                progress=lambda share, name: report(share, f"timing {name}" if name else ""),
            )
            self._later(times=found)

        return self._start("Timing layers", work)

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
        start = self.newest

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

        return self._train(f"Fine-tuning{self._run}", work, {"stage": "fine-tuned", **asdict(training)})

    def from_scratch(self, training: Training | None = None, **settings: Any) -> bool:
        """Train the same architecture from Gaussian initialisation; the compressed network stays what it is."""
        training = replace(training or Training(), **settings)

        def work(bench: Bench, start: Stage) -> None:
            stage, stopped = bench.from_scratch(start, training, lambda curve: self._later(curve=curve))
            self._later(results=(*self.results, stage.result), **self._stored(stage))
            if stopped:
                raise Cancelled

        return self._train(f"Training from scratch{self._run}", work, {"stage": BASELINE, **asdict(training)})

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

    def _train(self, title: str, work: Callable[[Bench, Stage], None], training: dict[str, Any]) -> bool:
        start, earlier = self.newest, self.curve

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
            finally:
                if not bench.job.leaving:  # else it is to be gone on with
                    if bench.checkpoint is not None:
                        bench.checkpoint.unlink(missing_ok=True)
                    self._later(training={})

        if self.job.running:
            return False
        self.training = training
        return self._start(title, trained)

    def compress_for_me(self) -> bool:
        """Compress by the present plan and recover, in the background; if much is lost, again by gentler budgets.

        It ends with the first run that is at most :data:`ENOUGH` points below the original, or with the last of
        :data:`ATTEMPTS`; where nothing can be scored, with the first.
        """
        plan, planning = self.plan, self.planning

        def work(bench: Bench) -> None:
            if plan is None or self.spectra is None or self.original is None:
                raise ValueError("open a network first")
            tried, results, number, why = plan, self.results, self._next_number(), "The plan saved nothing"
            budget = replace(planning, planner="budget", layers="all", weights_ratio=1.0)
            if tried.macs_ratio < SOME:  # nothing is saved yet
                tried = self._budgeted(budget := replace(budget, macs_ratio=2.0), plan)
            for attempt in range(ATTEMPTS):
                if tried is not plan:
                    self._foreseen(budget, tried, f"{why}: this one is for MACs {times(tried.macs_ratio)} fewer.")
                part = bench.job.part(attempt / ATTEMPTS, (attempt + 1) / ATTEMPTS, f"try {attempt + 1}")
                results = self._tried(bench, part, tried, number, results)
                lost = self._lost(results[-1])
                gentler = 1 + (tried.macs_ratio - 1) / 2
                if lost is None or lost <= ENOUGH or gentler < SOME:
                    return
                number = max(number, *(r.number for r in results)) + 1
                budget = replace(budget, macs_ratio=gentler)
                tried = self._budgeted(budget, plan)
                why = f"More than {ENOUGH:g} point of accuracy was lost"

        return self._start(f"{FOR_ME} {self.network.name if self.network else ''}", work)

    def _tried(
        self, bench: Bench, part: Part, plan: Plan, number: int, results: tuple[Result, ...]
    ) -> tuple[Result, ...]:
        """One try: decompose, calibrate, and fine-tune if that is not enough; all results until then."""
        stage = replace(bench, job=part.part(0.0, 0.15, "factorising")).decompose(plan, number)
        begun = self._begun(stage, number, results)
        self._later(curve=(), **begun)
        results = (*results, replace(stage.result, number=int(str(begun["number"]))))
        stage = Stage(stage.network, results[-1])
        if self.calibratable:
            stage = replace(bench, job=part.part(0.15, 0.4, "calibrating")).calibrate(stage)
            results = (*results, stage.result)
            self._later(smaller=stage.network, results=results, **self._stored(stage))
        lost = self._lost(stage.result)
        if self.trainable and lost is not None and lost > ENOUGH / 2:
            tuning = replace(bench, job=part.part(0.4, 1.0, "fine-tuning"))
            tuned, stopped = tuning.train(stage, FINISH, lambda curve: self._later(curve=curve))
            if tuned.result.score and stage.result.score and tuned.result.score.top1 >= stage.result.score.top1:
                results = (*results, tuned.result)
                self._later(smaller=tuned.network, results=results, **self._stored(tuned))
            if stopped:
                raise Cancelled
        return results

    def _lost(self, result: Result) -> float | None:
        """Points below the original; None where nothing is scored."""
        before = self.original.score if self.original else None
        return before.top1 - result.score.top1 if before is not None and result.score is not None else None

    def _budgeted(self, budget: Planning, edited: Plan) -> Plan:
        assert self.spectra is not None
        try:
            return budget.plan(self.spectra, self.measured, edited)
        except PlanError:  # what is kept by hand is in the way
            return budget.plan(self.spectra, self.measured)

    def _foreseen(self, planning: Planning, plan: Plan, why: str) -> None:
        """The plan that is tried is the one on the page, with why it is another, and can be undone."""

        def change() -> None:
            self._remember("another way to plan")
            self._put(planning, plan)
            self.notice = why

        self.job.post(change)
