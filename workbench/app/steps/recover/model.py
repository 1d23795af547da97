"""The step *Compress and recover*: the compressed network that is worked on, and the runs of the session."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from traitlets import Dict, Float, HasTraits, Instance, Tuple, Unicode

from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.plan.model import PlanModel
from workbench.app.steps.plan.settings import PlanSettings
from workbench.app.steps.recover.settings import COMPRESS_MINUTES, TrainingSettings
from workbench.app.steps.recover.snapshot import Snapshot, without_images
from workbench.app.stored_runs import StoredRuns
from workbench.app.worker import COMPRESSING, Job, JobKind, Worker
from workbench.network.scores import Score
from workbench.plan.compressed import CompressedNetwork
from workbench.plan.plan import Plan
from workbench.progress import Cancelled, part
from workbench.recover.calibrate import CALIBRATION_IMAGES, calibrate
from workbench.recover.checkpoint import Epoch
from workbench.recover.decompose import decompose
from workbench.recover.distill import distill
from workbench.recover.finetune import finetune, from_scratch
from workbench.runs.compress import compress
from workbench.runs.run import Run, StageName

Computation = Callable[[Job, Snapshot], None]


class RecoverModel(HasTraits):
    """Decomposes, calibrates, trains and resumes; every result is a run."""

    run = Instance(Run, allow_none=True)  # the one that is worked on, with its network; None before the first
    runs = Tuple()  # of this session on the open network and data, each at its newest stage
    curve = Tuple()  # epochs of the present or last training
    start = Instance(Score, allow_none=True)  # that training's epoch 0; None from scratch, or if there is none
    training = Dict()  # {"stage", and the settings} of the training in progress, or empty
    search_minutes = Float()  # of `compress_for_me` while that is in progress, else 0
    store_problem = Unicode()  # why runs are not stored or cannot be read, in a sentence, or ""
    stored = Tuple()  # runs of the store on the open network and data, oldest first

    def __init__(self, worker: Worker, choose: ChooseModel, plan: PlanModel) -> None:
        super().__init__()
        self._worker, self._choose, self._plan = worker, choose, plan
        self.store: StoredRuns | None = None
        self.checkpoint: Path | None = None  # file for the state of training; None to write none
        self._before: tuple[Any, ...] = ((), None, None)  # curve, start and run when the training began
        choose.observe(self._start, "opened")

    def _start(self, change: dict[str, Any]) -> None:
        """Forget the runs of what was open before."""
        opened = change["new"]
        self.store = StoredRuns(opened.network, opened.data)
        with self.hold_trait_notifications():
            self.run, self.runs, self.training, self.search_minutes = None, (), {}, 0.0
            self._draw((), None)
        self.read_store()

    @property
    def compressed(self) -> CompressedNetwork | None:
        """The compressed network that is worked on."""
        return self.run.network if self.run is not None else None

    @property
    def busy(self) -> bool:
        """Whether the compressed network is being made or changed."""
        return self._worker.busy(*COMPRESSING, JobKind.OPEN, JobKind.RESUME, JobKind.SWEEP)

    @property
    def as_planned(self) -> bool:
        """Whether the compressed network is what the present plan describes."""
        plan = self._plan.plan
        return self.run is not None and plan is not None and self.run.plan.same_decisions(plan)

    def decompose(self) -> Job:
        """Decompose the network by the present plan and score the result."""

        def compute(job: Job, now: Snapshot) -> None:
            made = decompose(now.opened.network, now.plan, progress=part(job.report, 0.0, 0.7, "decomposing"))
            job.report(0.7, "scoring")
            self._take(now, now.new_run(made, now.plan.describe()))

        return self._submit(JobKind.DECOMPOSE, "Decomposing", compute)

    def calibrate(self) -> Job:
        """Fit the layers of the compressed network to the original's outputs on images without labels."""

        def compute(job: Job, now: Snapshot) -> None:
            run, network = now.worked_on("calibrate")
            images = now.opened.data.unlabelled.sample(CALIBRATION_IMAGES)
            made = calibrate(network, images, progress=part(job.report, 0.0, 0.9, "fitting"))
            note = f"{run.note}; calibrated on {len(images)} {images.name} images without labels"
            self._reach(job, now, run, StageName.CALIBRATED, made, note)

        return self._submit(JobKind.CALIBRATE, f"Calibrating{self._label}", compute)

    def finetune(self, **settings: Any) -> Job:
        """Train the compressed network; what it was stays until the training ends, and is never replaced by worse."""
        training = TrainingSettings(**settings)

        def compute(job: Job, now: Snapshot) -> None:
            run, network = now.worked_on("fine-tune")
            if training.learn_from == "original":
                images, show, report = now.opened.data.unlabelled, self._epochs(job), part(job.report, 0.0, 0.98)
                made = distill(network, images, epochs=training.epochs, on_epoch=show, progress=report)
                if not made.history or job.exiting:
                    raise Cancelled
                name, what = StageName.DISTILLED, "epochs on the original's answers, without labels"
                used: dict[str, Any] = {"distilled_epochs": len(made.history)}
            else:
                made = self._tuned(job, now, network, training)
                name, what = StageName.FINE_TUNED, f"epochs of fine-tuning from {training}"
                used = {**training.recipe, "epochs": len(made.history), "teacher": training.learn_from == "both"}
            run = replace(run, settings={**run.settings, **used})
            self._reach(job, now, run, name, made, f"{run.note}; {len(made.history)} {what}")

        return self._train(JobKind.TRAIN, f"Fine-tuning{self._label}", training, compute)

    def from_scratch(self, **settings: Any) -> Job:
        """Train the same architecture from Gaussian weights; the compressed network stays what it is."""
        training = TrainingSettings(**settings)

        def compute(job: Job, now: Snapshot) -> None:
            run, network = now.worked_on("train from scratch")
            made = self._tuned(job, now, from_scratch(network), training)
            note = f"{len(made.history)} epochs of training from scratch from {training}"
            stage = now.stage(made, StageName.FROM_SCRATCH, note)
            self._worker.post(lambda: self._extend(now.store, run.number, stage=stage))

        return self._train(JobKind.FROM_SCRATCH, f"Training from scratch{self._label}", training, compute)

    def compress_for_me(self, minutes: float = COMPRESS_MINUTES) -> Job:
        """Compress and recover by :func:`~workbench.runs.compress.compress`.

        It begins with the present plan, unless that is the one which the page opened with.
        """

        def compute(job: Job, now: Snapshot) -> None:
            shown = [now.plan]
            chosen = bool(now.plan.by_hand) or now.made_by.used() != PlanSettings().used()

            def reached(run: Run) -> None:
                self._take(now, run, instead_of=shown[-1])
                shown.append(run.plan)
                if run.last is not None and run.last.name != StageName.FINE_TUNED:
                    self._worker.post(partial(self._draw, (), run.last.score))

            self._worker.post(partial(self.set_trait, "search_minutes", float(minutes)))
            try:
                kept = compress(
                    now.opened.network,
                    now.opened.scored_data or without_images(now.opened.data),
                    minutes=minutes,
                    plan=now.plan if chosen else None,
                    settings=now.made_by.used() if chosen else None,
                    spectra=now.plan.spectra,
                    importance=now.importance,
                    store=now.store.store,
                    checkpoint=now.checkpoint,
                    on_stage=reached,
                    on_epoch=self._epochs(job),
                    progress=job.report,
                )
            finally:
                self._worker.post(partial(self.set_trait, "search_minutes", 0.0))
                if now.checkpoint is not None:
                    now.checkpoint.unlink(missing_ok=True)
            epochs = kept.network.history if kept.network is not None else ()
            start = kept.stages[-2].score if epochs else None
            self._worker.post(partial(self._draw, epochs, start))  # not those of the last try

        name = self._choose.network.name if self._choose.network else ""
        return self._submit(JobKind.AUTOMATIC, f"Compressing {name} for you", compute)

    def sweep(self, ratios: Sequence[float], recovery: str) -> Job:
        """Compress to several budgets of MACs, with recovery "none", "calibrate", or "fine-tune" after that."""

        def compute(job: Job, now: Snapshot) -> None:
            for run in now.sweep(ratios, recovery, job.report):
                self._take(now, run, select=False)

        return self._submit(JobKind.SWEEP, f"Sweeping {len(ratios)} budgets", compute)

    def resume(self, number: int) -> Job:
        """Go on with a run of the store: its network, its plan and the settings that made the plan."""

        def compute(job: Job, now: Snapshot) -> None:
            if not number:
                raise ValueError("pick a run in the table first")
            run, network = now.store.load(number)
            plan, original = replace(network.plan, spectra=now.plan.spectra), now.opened.original
            stages = tuple(original if stage == original else stage for stage in run.stages)  # with each image's result
            self._take(now, replace(run, network=network, plan=plan, stages=stages), instead_of=plan)

        return self._submit(JobKind.RESUME, f"Opening run {number}", compute)

    def delete(self, number: int) -> None:
        """Delete a run of the store; what is worked on stays."""
        if self.store is not None:
            self.store.delete(number)
            self.read_store()

    def read_store(self, problem: str = "") -> None:
        """Show the runs of the store, and what went wrong last."""
        if self.store is not None:
            problem = problem or self.store.problem  # reading may succeed where writing did not
            self.stored = self.store.runs()
            self.store_problem = problem or self.store.problem

    def store_measured(self, number: int, measured: Mapping[str, Any]) -> None:
        """Store what was measured of a run of this session."""
        if self.store is not None:
            self._extend(self.store, number, measured=measured)

    def _extend(self, store: StoredRuns, number: int, **more: Any) -> None:
        """Add a stage of another network, or measurements, to the newest state of a run."""
        run = next((run for run in self.runs if run.number == number), None)
        if run is not None and self.store is store:  # there is one for each opening
            self._put(store.extend(run, **more), select=False)

    @property
    def _label(self) -> str:
        return f" {self.run.label}" if self.run else ""

    def _snapshot(self) -> Snapshot | None:
        opened, plan = self._choose.opened, self._plan
        if opened is None or plan.plan is None or self.store is None:
            return None
        settings = (plan.made_by, plan.settings, plan.importance)
        return Snapshot(opened, self.store, plan.plan, *settings, self.run, self.checkpoint)

    def _submit(self, kind: JobKind, title: str, compute: Computation) -> Job:
        now = self._snapshot()

        def function(job: Job) -> None:
            if now is None:
                raise ValueError("open a network first")
            compute(job, now)

        return self._worker.submit(kind, title, function)

    def _train(self, kind: JobKind, title: str, training: TrainingSettings, compute: Computation) -> Job:
        stage = StageName.FROM_SCRATCH if kind is JobKind.FROM_SCRATCH else StageName.FINE_TUNED
        unlabelled = training.learn_from == "original" and kind is JobKind.TRAIN
        why_untrainable = "" if unlabelled else self._choose.why_untrainable

        def begin() -> None:
            self._before = self.curve, self.start, self.run
            last = self.run.last if self.run is not None and stage is not StageName.FROM_SCRATCH else None
            self._draw((), last.score if last is not None else None)
            self.training = {"stage": str(stage), **asdict(training)}

        def end() -> None:
            self.training = {}
            *drawn, run = self._before
            if self.run is run:  # nothing was reached, and so the curve before is shown again
                self._draw(*drawn)

        def trained(job: Job, now: Snapshot) -> None:
            if why_untrainable:
                raise ValueError(why_untrainable)
            self._worker.post(begin)
            try:
                compute(job, now)
            finally:
                self._worker.post(end)
                continued = job.exiting and now.run is not None and now.run.number > 0
                if now.checkpoint is not None and not continued:
                    now.checkpoint.unlink(missing_ok=True)

        return self._submit(kind, title, trained)

    def _tuned(self, job: Job, now: Snapshot, network: CompressedNetwork, by: TrainingSettings) -> CompressedNetwork:
        made = finetune(
            network,
            now.opened.data,
            **by.recipe,
            teacher=now.opened.network if by.learn_from == "both" else None,
            checkpoint=now.checkpoint,
            on_epoch=self._epochs(job),
            progress=part(job.report, 0.0, 0.98),
        )
        if not made.history or job.exiting:
            raise Cancelled  # before one whole epoch, or to go on from the checkpoint
        return made

    def _epochs(self, job: Job) -> Callable[[Epoch], None]:
        """Return a callback that shows each epoch and lets short jobs run after it."""

        def show(epoch: Epoch) -> None:
            self._worker.post(lambda: self._draw((*self.curve, epoch), self.start))
            job.let_short_jobs_run()

        return show

    def _draw(self, curve: tuple[Epoch, ...], start: Score | None) -> None:
        """Show a training curve and the score that it begins with."""
        with self.hold_trait_notifications():
            self.curve, self.start = curve, start

    def _reach(self, job: Job, now: Snapshot, run: Run, name: StageName, made: CompressedNetwork, note: str) -> None:
        """Score and store a further stage of a run; what was reached before a cancellation is kept."""
        self._take(now, now.store.save(run.with_stage(now.stage(made, name, note), made)))
        job.report(1.0)

    def _take(self, now: Snapshot, run: Run, *, select: bool = True, instead_of: Plan | None = None) -> None:
        """Have the loop's thread take a run, if what is open is still what it was made from.

        Its plan takes the place of the plan `instead_of`, if the user has not changed that; its own stands for any.
        """

        def take() -> None:
            if self._choose.opened is not now.opened:
                return
            self._put(run, select=select)
            page = self._plan.plan
            if page is None or instead_of is None:
                return
            if instead_of is run.plan or (page.same_decisions(instead_of) and not page.same_decisions(run.plan)):
                try:
                    settings = PlanSettings.of(run.settings)
                except ValueError:  # of another version, or changed by hand
                    settings = self._plan.settings
                self._plan.restore(settings, run.plan, f"the plan of {run.label}")

        self._worker.post(take)

    def _put(self, run: Run, *, select: bool = True) -> None:
        """Take a run's newest state, and make it the current run if `select`.

        Runs that are not stored have numbers below 0, so that no stored run has the same.
        """
        known = {other.number: other for other in self.runs}
        own = {id(stage) for stage in run.stages[1:]}  # the first is the original's
        unstored = next((n for n, other in known.items() if n < 0 and own & {*map(id, other.stages[1:])}), 0)
        run = replace(run, number=run.number or unstored or min([0, *known]) - 1)
        before = known.pop(unstored or run.number, run)
        baseline = before.stage(StageName.FROM_SCRATCH)
        if baseline is not None and run.stage(StageName.FROM_SCRATCH) is None:
            run = replace(run, stages=(*run.stages, baseline))
        run = replace(run, measured={**before.measured, **run.measured})
        with self.hold_trait_notifications():
            self.runs = (*known.values(), run)
            if select or (self.run is not None and self.run.number == run.number):
                self.run = run
        self.read_store(run.error)
