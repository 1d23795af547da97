"""The step *Compress and recover*: the current compressed network, and the runs of the session."""

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
from workbench.runs.run import Run, Stage, StageName

Computation = Callable[[Job, Snapshot], None]


class RecoverModel(HasTraits):
    """Decomposes, calibrates, trains and resumes; every result is a run."""

    run = Instance(Run, allow_none=True)  # the current run, with its network; None before the first
    runs = Tuple()  # of this session on the open network and data, each at its newest stage
    curve = Tuple()  # epochs of the current or last training
    start = Instance(Score, allow_none=True)  # score before the first epoch of `curve`; None from scratch
    training = Dict()  # {"stage", and the settings} of the training in progress, or empty
    search_minutes = Float()  # minutes given to `compress_for_me` while it runs, else 0
    store_problem = Unicode()  # why runs are not stored or cannot be read, in a sentence, or ""
    stored = Tuple()  # runs of the store on the open network and data, oldest first

    def __init__(self, worker: Worker, choose: ChooseModel, plan: PlanModel) -> None:
        super().__init__()
        self._worker, self._choose, self._plan = worker, choose, plan
        self.store: StoredRuns | None = None
        self.checkpoint: Path | None = None  # file for the state of training; None to write none
        self._before_training: tuple[Any, ...] = ((), None, None)  # curve, start and run when the training began
        choose.observe(self._reset, "opened")

    def _reset(self, change: dict[str, Any]) -> None:
        """Drop the runs of the network and data that were open before."""
        opened = change["new"]
        self.store = StoredRuns(opened.network, opened.data)
        with self.hold_trait_notifications():
            self.run, self.runs, self.training, self.search_minutes = None, (), {}, 0.0
            self._set_curve((), None)
        self.read_store()

    @property
    def compressed(self) -> CompressedNetwork | None:
        """The network of the current run."""
        return self.run.network if self.run is not None else None

    @property
    def busy(self) -> bool:
        """Whether a job that makes or changes the compressed network waits or runs."""
        return self._worker.busy(*COMPRESSING, JobKind.OPEN, JobKind.RESUME, JobKind.SWEEP)

    @property
    def as_planned(self) -> bool:
        """Whether the current run has the decisions of the current plan."""
        plan = self._plan.plan
        return self.run is not None and plan is not None and self.run.plan.same_decisions(plan)

    def decompose(self) -> Job:
        """Decompose the network by the current plan and score the result."""

        def compute(job: Job, snapshot: Snapshot) -> None:
            progress = part(job.report, 0.0, 0.7, "decomposing")
            compressed = decompose(snapshot.opened.network, snapshot.plan, progress=progress)
            job.report(0.7, "scoring")
            self._post_run(snapshot, snapshot.new_run(compressed, snapshot.plan.describe()))

        return self._submit(JobKind.DECOMPOSE, "Decomposing", compute)

    def calibrate(self) -> Job:
        """Fit the layers of the compressed network to the original's outputs on images without labels."""

        def compute(job: Job, snapshot: Snapshot) -> None:
            run, network = snapshot.current_run("calibrate")
            images = snapshot.opened.data.unlabelled.sample(CALIBRATION_IMAGES)
            calibrated = calibrate(network, images, progress=part(job.report, 0.0, 0.9, "fitting"))
            note = f"{run.note}; calibrated on {len(images)} {images.name} images without labels"
            self._add_stage(job, snapshot, run, calibrated, snapshot.stage(calibrated, StageName.CALIBRATED, note))

        return self._submit(JobKind.CALIBRATE, f"Calibrating{self._label}", compute)

    def finetune(self, **settings: Any) -> Job:
        """Train the compressed network; it is replaced when the training ends, and never by a worse one."""
        training = TrainingSettings(**settings)

        def compute(job: Job, snapshot: Snapshot) -> None:
            run, network = snapshot.current_run("fine-tune")
            if training.learn_from == "original":
                images = snapshot.opened.data.unlabelled
                trained = self._train(job, partial(distill, network, images, epochs=training.epochs))
                name, note = StageName.DISTILLED, "epochs on the original's answers, without labels"
                recipe: dict[str, Any] = {"distilled_epochs": len(trained.history)}
            else:
                trained = self._finetune(job, snapshot, network, training)
                name, note = StageName.FINE_TUNED, f"epochs of fine-tuning from {training}"
                recipe = {**training.recipe, "epochs": len(trained.history), "teacher": training.learn_from == "both"}
            stage = snapshot.stage(trained, name, f"{run.note}; {len(trained.history)} {note}")
            self._add_stage(job, snapshot, replace(run, settings={**run.settings, **recipe}), trained, stage)

        return self._submit_training(JobKind.TRAIN, f"Fine-tuning{self._label}", training, compute)

    def from_scratch(self, **settings: Any) -> Job:
        """Train the same architecture from Gaussian weights; the compressed network is unchanged."""
        training = TrainingSettings(**settings)

        def compute(job: Job, snapshot: Snapshot) -> None:
            run, network = snapshot.current_run("train from scratch")
            trained = self._finetune(job, snapshot, from_scratch(network), training)
            note = f"{len(trained.history)} epochs of training from scratch from {training}"
            stage = snapshot.stage(trained, StageName.FROM_SCRATCH, note)
            self._worker.post(lambda: self._extend(snapshot.store, run.number, stage=stage))

        return self._submit_training(JobKind.FROM_SCRATCH, f"Training from scratch{self._label}", training, compute)

    def compress_for_me(self, minutes: float = COMPRESS_MINUTES) -> Job:
        """Compress and recover by :func:`~workbench.runs.compress.compress`.

        It begins with the current plan if the user has changed that.
        """

        def compute(job: Job, snapshot: Snapshot) -> None:
            plans = [snapshot.plan]
            settings = snapshot.plan_settings.used()
            plan_changed = bool(snapshot.plan.by_hand) or settings != PlanSettings().used()

            def show_stage(run: Run) -> None:
                self._post_run(snapshot, run, instead_of=plans[-1])
                plans.append(run.plan)
                if run.last is not None and run.last.name != StageName.FINE_TUNED:
                    self._worker.post(partial(self._set_curve, (), run.last.score))

            self._worker.post(partial(self.set_trait, "search_minutes", float(minutes)))
            try:
                run = compress(
                    snapshot.opened.network,
                    snapshot.opened.scored_data or without_images(snapshot.opened.data),
                    minutes=minutes,
                    plan=snapshot.plan if plan_changed else None,
                    settings=settings if plan_changed else None,
                    spectra=snapshot.plan.spectra,
                    importance=snapshot.importance,
                    store=snapshot.store.store,
                    checkpoint=snapshot.checkpoint,
                    on_stage=show_stage,
                    on_epoch=self._epoch_callback(job),
                    progress=job.report,
                )
            finally:
                self._worker.post(partial(self.set_trait, "search_minutes", 0.0))
                if snapshot.checkpoint is not None:
                    snapshot.checkpoint.unlink(missing_ok=True)
            epochs = run.network.history if run.network is not None else ()
            start = run.stages[-2].score if epochs else None
            self._worker.post(partial(self._set_curve, epochs, start))  # of the kept try, not of the last one

        name = self._choose.network.name if self._choose.network else ""
        return self._submit(JobKind.AUTOMATIC, f"Compressing {name} for you", compute)

    def sweep(self, ratios: Sequence[float], recovery: str) -> Job:
        """Compress to several budgets of MACs; `recovery` is "none", "calibrate", or "fine-tune" (calibrates first)."""

        def compute(job: Job, snapshot: Snapshot) -> None:
            for run in snapshot.sweep(ratios, recovery, job.report):
                self._post_run(snapshot, run, select=False)

        return self._submit(JobKind.SWEEP, f"Sweeping {len(ratios)} budgets", compute)

    def resume(self, number: int) -> Job:
        """Make a stored run the current one: its network, its plan and the settings that made the plan."""

        def compute(job: Job, snapshot: Snapshot) -> None:
            if not number:
                raise ValueError("pick a run in the table first")
            run, network = snapshot.store.load(number)
            plan, original = replace(network.plan, spectra=snapshot.plan.spectra), snapshot.opened.original
            stages = tuple(original if stage == original else stage for stage in run.stages)  # with results per image
            self._post_run(snapshot, replace(run, network=network, plan=plan, stages=stages), instead_of=plan)

        return self._submit(JobKind.RESUME, f"Opening run {number}", compute)

    def delete(self, number: int) -> None:
        """Delete a run of the store; the current run stays current."""
        if self.store is not None:
            self.store.delete(number)
            self.read_store()

    def read_store(self, problem: str = "") -> None:
        """Read the runs of the store into `stored`, and the last problem into `store_problem`."""
        if self.store is not None:
            problem = problem or self.store.problem  # reading may succeed where writing did not
            self.stored = self.store.runs()
            self.store_problem = problem or self.store.problem

    def store_measured(self, number: int, measured: Mapping[str, Any]) -> None:
        """Store measurements of a run of this session."""
        if self.store is not None:
            self._extend(self.store, number, measured=measured)

    def _extend(self, store: StoredRuns, number: int, **addition: Any) -> None:
        """Add a stage of another network, or measurements, to the newest state of a run."""
        run = next((run for run in self.runs if run.number == number), None)
        if run is not None and self.store is store:  # else another network or other data were opened
            self._update_run(store.extend(run, **addition), select=False)

    @property
    def _label(self) -> str:
        return f" {self.run.label}" if self.run else ""

    def _snapshot(self) -> Snapshot | None:
        opened, plan = self._choose.opened, self._plan
        if opened is None or plan.plan is None or self.store is None:
            return None
        settings = (plan.plan_settings, plan.settings, plan.importance)
        return Snapshot(opened, self.store, plan.plan, *settings, self.run, self.checkpoint)

    def _submit(self, kind: JobKind, title: str, compute: Computation) -> Job:
        snapshot = self._snapshot()

        def compute_if_open(job: Job) -> None:
            if snapshot is None:
                raise ValueError("open a network first")
            compute(job, snapshot)

        return self._worker.submit(kind, title, compute_if_open)

    def _submit_training(self, kind: JobKind, title: str, training: TrainingSettings, compute: Computation) -> Job:
        stage = StageName.FROM_SCRATCH if kind is JobKind.FROM_SCRATCH else StageName.FINE_TUNED
        unlabelled = training.learn_from == "original" and kind is JobKind.TRAIN
        why_untrainable = "" if unlabelled else self._choose.why_untrainable

        def begin() -> None:
            self._before_training = self.curve, self.start, self.run
            last = self.run.last if self.run is not None and stage is not StageName.FROM_SCRATCH else None
            self._set_curve((), last.score if last is not None else None)
            self.training = {"stage": str(stage), **asdict(training)}

        def end() -> None:
            self.training = {}
            curve, start, run = self._before_training
            if self.run is run:  # the training has added no stage
                self._set_curve(curve, start)

        def train(job: Job, snapshot: Snapshot) -> None:
            if why_untrainable:
                raise ValueError(why_untrainable)
            self._worker.post(begin)
            try:
                compute(job, snapshot)
            finally:
                self._worker.post(end)
                resumable = job.exiting and snapshot.run is not None and snapshot.run.number > 0
                if snapshot.checkpoint is not None and not resumable:
                    snapshot.checkpoint.unlink(missing_ok=True)

        return self._submit(kind, title, train)

    def _finetune(
        self, job: Job, snapshot: Snapshot, network: CompressedNetwork, training: TrainingSettings
    ) -> CompressedNetwork:
        teacher = snapshot.opened.network if training.learn_from == "both" else None
        settings = {**training.recipe, "teacher": teacher, "checkpoint": snapshot.checkpoint}
        return self._train(job, partial(finetune, network, snapshot.opened.data, **settings))

    def _train(self, job: Job, train: Callable[..., CompressedNetwork]) -> CompressedNetwork:
        trained = train(on_epoch=self._epoch_callback(job), progress=part(job.report, 0.0, 0.98))
        if not trained.history or job.exiting:
            raise Cancelled  # before the first epoch ended, or to resume from the checkpoint
        return trained

    def _epoch_callback(self, job: Job) -> Callable[[Epoch], None]:
        """Return a callback that adds each epoch to the curve and lets short jobs run after it."""

        def show(epoch: Epoch) -> None:
            self._worker.post(lambda: self._set_curve((*self.curve, epoch), self.start))
            job.let_short_jobs_run()

        return show

    def _set_curve(self, curve: tuple[Epoch, ...], start: Score | None) -> None:
        with self.hold_trait_notifications():
            self.curve, self.start = curve, start

    def _add_stage(self, job: Job, snapshot: Snapshot, run: Run, network: CompressedNetwork, stage: Stage) -> None:
        """Store a further stage of a run, also if the job was cancelled meanwhile."""
        self._post_run(snapshot, snapshot.store.save(run.with_stage(stage, network)))
        job.report(1.0)

    def _post_run(self, snapshot: Snapshot, run: Run, *, select: bool = True, instead_of: Plan | None = None) -> None:
        """Update a run in the loop's thread, unless another network or other data were opened meanwhile.

        The run's plan replaces that of the page if the page still has `instead_of`, or if that is the run's own plan.
        """

        def update() -> None:
            if self._choose.opened is not snapshot.opened:
                return
            self._update_run(run, select=select)
            plan = self._plan.plan
            if plan is None or instead_of is None:
                return
            if instead_of is run.plan or (plan.same_decisions(instead_of) and not plan.same_decisions(run.plan)):
                try:
                    settings = PlanSettings.of(run.settings)
                except ValueError:  # they are of another version, or were edited in the store
                    settings = self._plan.settings
                self._plan.restore(settings, run.plan, f"the plan of {run.label}")

        self._worker.post(update)

    def _update_run(self, run: Run, *, select: bool = True) -> None:
        """Add a run or replace its previous state, and make it the current run if `select`.

        A run that is not stored gets a number below 0, which no stored run has.
        """
        runs = {other.number: other for other in self.runs}
        stages = {id(stage) for stage in run.stages[1:]}  # the first is the original's
        unstored = next((n for n, other in runs.items() if n < 0 and stages & {*map(id, other.stages[1:])}), 0)
        run = replace(run, number=run.number or unstored or min([0, *runs]) - 1)
        previous = runs.pop(unstored or run.number, run)
        baseline = previous.stage(StageName.FROM_SCRATCH)
        if baseline is not None and run.stage(StageName.FROM_SCRATCH) is None:
            run = replace(run, stages=(*run.stages, baseline))
        run = replace(run, measured={**previous.measured, **run.measured})
        with self.hold_trait_notifications():
            self.runs = (*runs.values(), run)
            if select or (self.run is not None and self.run.number == run.number):
                self.run = run
        self.read_store(run.error)
