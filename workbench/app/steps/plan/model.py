"""The step *Plan*: the plan, the settings of its planner, edits by hand, and undo."""

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from traitlets import HasTraits, Instance, Unicode

from workbench.app.debounce import Debounce
from workbench.app.errors import sentence
from workbench.app.steps.choose.model import ChooseModel, Opened
from workbench.app.steps.plan.settings import PLANNERS, PlanSettings, with_hand_edits
from workbench.app.worker import Job, JobKind, Worker
from workbench.measure.layer_times import measure_times
from workbench.measure.time_plan import time_plan
from workbench.plan.forecast import ForecastCurve, forecast_curve
from workbench.plan.importance import Importance, importance
from workbench.plan.layer_times import NetworkTimes
from workbench.plan.plan import Plan, PlanError
from workbench.progress import part

IMPORTANCE_IMAGES = 48
VERIFY_DELAY_S = 0.6  # between the last change of a budget of time and the timing of the planned network
State = tuple[PlanSettings, Plan | None, PlanSettings]  # settings, plan, and the settings that made it
Edits = deque[tuple[str, State]]  # description of each edit, and the state to return to
MAX_EDITS = 200  # edits that can be undone
MERGE_WITHIN_S = 1.5  # edits with one key that follow each other faster are one, as when a slider is dragged


class PlanModel(HasTraits):
    """Holds the plan, which follows its settings and keeps the choices by hand."""

    settings = Instance(PlanSettings, ())
    plan = Instance(Plan, allow_none=True)
    measured = Instance(Importance, allow_none=True)  # importance of the layers on the open images
    importance = Instance(Importance, allow_none=True)  # the same, once the planner uses it
    curve = Instance(ForecastCurve, allow_none=True)  # forecast of the answers that each budget costs, from `measured`
    times = Instance(NetworkTimes, allow_none=True)
    notice = Unicode()  # a sentence on the last edit that could not be made, or ""
    undoable = Unicode()  # the edit that `undo` would undo, in words, or ""
    redoable = Unicode()

    def __init__(self, worker: Worker, choose: ChooseModel) -> None:
        super().__init__()
        self._worker, self._choose = worker, choose
        self.plan_settings = self.settings  # settings that made the plan; not `settings` if those cannot be met
        self._undo_edits: Edits = deque(maxlen=MAX_EDITS)  # with the states before them
        self._redo_edits: Edits = deque()  # with the states after them
        self._last_edit = ("", 0.0)  # its key, and when it was made
        self._verify = Debounce(self._verify_time, VERIFY_DELAY_S)
        self._verification: Job | None = None
        choose.observe(self._reset_measured, "data")
        choose.observe(self._plan_opened, "spectra")
        self.observe(self._forecast, "measured")

    def _reset_measured(self, _: object) -> None:
        """Drop measurements on images that are no longer open."""
        self.measured = self.importance = self.curve = None

    def _plan_opened(self, change: dict[str, Any]) -> None:
        """Plan a network that was just opened, by EVBMF if it cannot meet the budget."""
        self._undo_edits.clear()
        self._redo_edits.clear()
        spectra, settings, notice = change["new"], self.settings, ""
        try:
            plan = settings.plan(spectra)
        except PlanError as error:
            settings = settings.changed(planner="evbmf")
            plan, notice = settings.plan(spectra), f"{sentence(error)} This is EVBMF's plan."
        with self.hold_trait_notifications():
            self.measured = self.importance = self.curve = self.times = None
            self._set_state((settings, plan, settings), notice)
        self._describe_edits()

    def replan(self, **changes: Any) -> None:
        """Change settings and plan again; choices by hand stay."""
        settings = self.settings.changed(**changes)
        if settings != self.settings:
            self._record_edit("another way to plan", f"planning {sorted(changes)}")
            self.settings = settings
            self._replan(self.plan)

    def reset(self) -> None:
        """Plan all layers by the planner, and drop the choices by hand."""
        self._record_edit("all layers as the planner says")
        self._replan(None)

    def reset_layer(self, layer: str) -> None:
        """Plan a layer by EVBMF."""
        if self.plan is not None and self._choose.spectra is not None and layer:
            evbmf = self.settings.changed(planner="evbmf").plan(self._choose.spectra)
            self._edit(self.plan.with_layer(evbmf[layer]), f"EVBMF's ranks for {layer}")

    def choose_ranks(self, layer: str, *, rank_in: int | None = None, rank_out: int | None = None) -> None:
        """Choose ranks of a layer by hand; if that fails, `notice` says why."""
        if self.plan is None:
            return
        try:
            plan = self.plan.with_ranks(layer, rank_in=rank_in, rank_out=rank_out)
        except (PlanError, KeyError) as error:
            self.notice = sentence(error)
        else:
            self._edit(plan, f"the ranks of {layer}", f"ranks {layer}")

    def keep_layer(self, layer: str) -> None:
        """Leave a layer as it is."""
        if self.plan is not None and layer:
            self._edit(self.plan.keep(layer), f"{layer} is kept")

    def restore(self, settings: PlanSettings, plan: Plan, description: str) -> None:
        """Set the plan of a run or an earlier session, with the settings that made it; this can be undone."""
        self._record_edit(description)
        self._set_state((settings, plan, settings))

    def undo(self) -> str:
        """Undo the last edit; return the only layer that it changed, or ""."""
        return self._restore_last(self._undo_edits, self._redo_edits)

    def redo(self) -> str:
        """Redo the edit that was undone last; return the only layer that it changed, or ""."""
        return self._restore_last(self._redo_edits, self._undo_edits)

    def _restore_last(self, source: Edits, target: Edits) -> str:
        """Return to the last state of `source`, and add the current one to `target`."""
        if not source:
            return ""
        description, state = source.pop()
        target.append((description, self._state))
        self._last_edit = ("", 0.0)
        changed = [a.name for a, b in zip(state[1] or (), self.plan or (), strict=False) if a != b]
        self._set_state(state)
        self._describe_edits()
        return changed[0] if len(changed) == 1 else ""

    def measure_importance(self) -> Job:
        """Measure the importance of each layer on unlabelled images, and plan budgets by it."""
        measure = partial(measured_importance, self.measured)
        return self._submit_measurement(JobKind.IMPORTANCE, "Measuring layers", "importance", measure)

    def forecast(self) -> Job:
        """Forecast the answers that each budget costs; the plan is unchanged."""
        measure = partial(measured_importance, self.measured)
        return self._submit_measurement(JobKind.IMPORTANCE, "Forecasting", "measured", measure)

    def _forecast(self, _: object) -> None:
        """Compute the forecast from the measured importance."""
        network, spectra, measured = self._choose.network, self._choose.spectra, self.measured
        if network is None or spectra is None or measured is None:
            return

        def compute(job: Job) -> ForecastCurve:
            return forecast_curve(network, (), spectra=spectra, measured=measured)

        def done(curve: ForecastCurve) -> None:
            if self.measured is measured:
                self.curve = curve

        self._worker.submit(JobKind.IMPORTANCE, "Forecasting", compute, done, short=True)

    def time_layers(self) -> Job:
        """Time the layers on this machine, for budgets of time."""

        def measure(opened: Opened, job: Job) -> NetworkTimes:
            return measure_times(opened.network, opened.spectra, progress=part(job.report, 0.0, 1.0, "timing"))

        return self._submit_measurement(JobKind.LAYER_TIMES, "Timing layers", "times", measure)

    def _submit_measurement(self, kind: JobKind, title: str, trait: str, measure: Callable[[Opened, Job], Any]) -> Job:
        """Measure the layers into a trait, and plan again if the planner uses it."""
        opened, spectra, data = self._choose.opened, self._choose.spectra, self._choose.data

        def compute(job: Job) -> Any:
            if opened is None:
                raise ValueError("open a network first")
            return measure(opened, job)

        def done(measurement: Any) -> None:
            if self._choose.spectra is not spectra or (trait != "times" and self._choose.data is not data):
                return
            self.set_trait(trait, measurement)
            if trait == "importance":
                self.measured = measurement
            if getattr(PLANNERS[self.settings.planner], f"uses_{trait}", False):
                self._record_edit("the plan by what was measured")
                self._replan(self.plan)

        return self._worker.submit(kind, title, compute, done)

    def _verify_time(self) -> None:
        """Replace a plan made by the layers' times by one that meets its budget when the whole network is timed."""
        network, spectra, times = self._choose.network, self._choose.spectra, self.times
        settings, plan = self.settings, self.plan
        uses_times = PLANNERS[settings.planner].uses_times
        if not uses_times or network is None or spectra is None or plan is None or times is None:
            return
        arguments = settings.budget(self.importance, plan)

        def compute(job: Job) -> Plan:
            ratio = settings["time_ratio"]
            return time_plan(network, spectra, ratio, times=times, progress=job.report, **arguments)

        def done(verified: Plan) -> None:
            if self._choose.spectra is not spectra or self.settings != settings:
                return
            if self.plan is plan:
                self._set_state((settings, with_hand_edits(verified, plan), settings))
            else:  # a layer was edited meanwhile
                self._verify()

        if self._verification is not None:
            self._verification.cancel()
        self._verification = self._worker.submit(JobKind.LAYER_TIMES, "Timing the planned network", compute, done)

    def _replan(self, edited: Plan | None) -> None:
        if self._choose.spectra is None:
            return
        try:
            plan = self.settings.plan(self._choose.spectra, self.importance, edited, self.times)
        except PlanError as error:
            self.notice = sentence(error)
            return
        self._set_state((self.settings, plan, self.settings))
        if PLANNERS[self.settings.planner].uses_times:
            self._verify()

    def _edit(self, plan: Plan, description: str, key: str = "") -> None:
        self._record_edit(description, key)
        self._set_state((self.settings, plan, self.plan_settings))

    def _set_state(self, state: State, notice: str = "") -> None:
        settings, plan, self.plan_settings = state
        with self.hold_trait_notifications():
            self.settings, self.plan, self.notice = settings, plan, notice

    @property
    def _state(self) -> State:
        return self.settings, self.plan, self.plan_settings

    def _record_edit(self, description: str, key: str = "") -> None:
        """Record an edit before it is made; quick edits with the same key are undone together, unless it is ""."""
        now, (last_key, last_s) = time.monotonic(), self._last_edit
        self._last_edit = (key, now)
        self._redo_edits.clear()
        merge = key and key == last_key and now - last_s < MERGE_WITHIN_S and self._undo_edits
        self._undo_edits.append((description, self._undo_edits.pop()[1] if merge else self._state))
        self._describe_edits()

    def _describe_edits(self) -> None:
        self.redoable, self.undoable = (edits[-1][0] if edits else "" for edits in (self._redo_edits, self._undo_edits))


def measured_importance(measured: Importance | None, opened: Opened, job: Job) -> Importance:
    """Return the importance of the layers, measured on images without labels unless it is `measured` already."""
    if measured is not None:
        return measured
    if opened.misfit:
        raise ValueError(opened.misfit)
    images, report = opened.data.unlabelled.sample(IMPORTANCE_IMAGES), part(job.report, 0.0, 1.0, "measuring")
    return importance(opened.network, opened.spectra, images, progress=report)
