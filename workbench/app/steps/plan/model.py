"""The step *Plan*: how ranks are chosen, and edits by hand."""

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
VERIFY_DELAY_S = 0.6  # after the last change of a budget of time, until the planned network is timed
State = tuple[PlanSettings, Plan | None, PlanSettings]  # settings, plan, and the settings that made it
Edits = deque[tuple[str, State]]
MAX_EDITS = 200  # that can be undone
MERGE_WITHIN_S = 1.5  # edits of one thing that follow each other faster are one, as when a slider is dragged


class PlanModel(HasTraits):
    """Holds the plan, which follows its settings and remembers what was chosen by hand."""

    settings = Instance(PlanSettings, ())
    plan = Instance(Plan, allow_none=True)
    measured = Instance(Importance, allow_none=True)  # on the open images
    importance = Instance(Importance, allow_none=True)  # the same, once plans go by it
    curve = Instance(ForecastCurve, allow_none=True)  # what budgets cost in answers, by what is measured
    times = Instance(NetworkTimes, allow_none=True)
    notice = Unicode()  # a sentence on the last edit that could not be made, or ""
    undoable = Unicode()  # what `undo` would do, in words, or ""
    redoable = Unicode()

    def __init__(self, worker: Worker, choose: ChooseModel) -> None:
        super().__init__()
        self._worker, self._choose = worker, choose
        self.made_by = self.settings  # those that made the plan: others where the settings cannot be met
        self._before: Edits = deque(maxlen=MAX_EDITS)  # the state before each edit, and what the edit did in words
        self._after: Edits = deque()  # the states after edits that were undone
        self._last_edit = ("", 0.0)  # what was edited, and when
        self._verify = Debounce(self._verify_time, VERIFY_DELAY_S)
        self._verification: Job | None = None
        choose.observe(self._forget_images, "data")
        choose.observe(self._start, "spectra")
        self.observe(self._forecast, "measured")

    def _forget_images(self, _: object) -> None:
        """Forget what was measured on images that are no longer open."""
        self.measured = self.importance = self.curve = None

    def _start(self, change: dict[str, Any]) -> None:
        """Plan a network that was just opened; a budget that it cannot meet gives way to EVBMF."""
        self._before.clear()
        self._after.clear()
        spectra, settings, notice = change["new"], self.settings, ""
        try:
            plan = settings.plan(spectra)
        except PlanError as error:
            settings = settings.changed(planner="evbmf")
            plan, notice = settings.plan(spectra), f"{sentence(error)} This is EVBMF's plan."
        with self.hold_trait_notifications():
            self.measured = self.importance = self.curve = self.times = None
            self._put(settings, plan, settings, notice)
        self._tell_edits()

    def replan(self, **changes: Any) -> None:
        """Change settings, and plan anew; choices by hand stay."""
        settings = self.settings.changed(**changes)
        if settings != self.settings:
            self._record("another way to plan", f"planning {sorted(changes)}")
            self.settings = settings
            self._plan_anew(self.plan)

    def reset(self) -> None:
        """Plan all layers by the planner, and drop the choices by hand."""
        self._record("all layers as the planner says")
        self._plan_anew(None)

    def reset_layer(self, layer: str) -> None:
        """Plan a layer by EVBMF."""
        if self.plan is not None and self._choose.spectra is not None and layer:
            evbmf = self.settings.changed(planner="evbmf").plan(self._choose.spectra)
            self._edit(self.plan.with_layer(evbmf[layer]), f"EVBMF's ranks for {layer}")

    def choose_ranks(self, layer: str, *, rank_in: int | None = None, rank_out: int | None = None) -> None:
        """Choose ranks of a layer by hand; `notice` says what cannot be."""
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

    def restore(self, settings: PlanSettings, plan: Plan, words: str) -> None:
        """Take another plan with the settings that made it, as of a run or an earlier session; it can be undone."""
        self._record(words)
        self._put(settings, plan, settings)

    def undo(self) -> str:
        """Undo the last edit; return the only layer that it changed, or ""."""
        return self._move(self._before, self._after)

    def redo(self) -> str:
        """Redo the edit that was undone last; return the only layer that it changed, or ""."""
        return self._move(self._after, self._before)

    def _move(self, source: Edits, target: Edits) -> str:
        if not source:
            return ""
        words, state = source.pop()
        target.append((words, self._state))
        self._last_edit = ("", 0.0)
        changed = [a.name for a, b in zip(state[1] or (), self.plan or (), strict=False) if a != b]
        self._put(*state)
        self._tell_edits()
        return changed[0] if len(changed) == 1 else ""

    def measure_importance(self) -> Job:
        """Measure on unlabelled images how much the outputs suffer from each layer's error, and plan budgets by it."""
        measure = partial(known_importance, self.measured)
        return self._measure(JobKind.IMPORTANCE, "Measuring layers", "importance", measure)

    def forecast(self) -> Job:
        """Draw what budgets are expected to cost in answers; the plan stays what it is."""
        measure = partial(known_importance, self.measured)
        return self._measure(JobKind.IMPORTANCE, "Forecasting", "measured", measure)

    def _forecast(self, _: object) -> None:
        """Forecast budgets by what was measured."""
        network, spectra, measured = self._choose.network, self._choose.spectra, self.measured
        if network is None or spectra is None or measured is None:
            return

        def compute(job: Job) -> ForecastCurve:
            return forecast_curve(network, (), spectra=spectra, measured=measured)

        def done(found: ForecastCurve) -> None:
            if self.measured is measured:
                self.curve = found

        self._worker.submit(JobKind.IMPORTANCE, "Forecasting", compute, done, short=True)

    def time_layers(self) -> Job:
        """Time the layers on this machine, for budgets of time."""

        def measure(opened: Opened, job: Job) -> NetworkTimes:
            return measure_times(opened.network, opened.spectra, progress=part(job.report, 0.0, 1.0, "timing"))

        return self._measure(JobKind.LAYER_TIMES, "Timing layers", "times", measure)

    def _measure(self, kind: JobKind, title: str, trait: str, measure: Callable[[Opened, Job], Any]) -> Job:
        """Measure something of the layers, and plan anew if the planner goes by it."""
        opened, spectra, data = self._choose.opened, self._choose.spectra, self._choose.data

        def compute(job: Job) -> Any:
            if opened is None:
                raise ValueError("open a network first")
            return measure(opened, job)

        def done(found: Any) -> None:
            if self._choose.spectra is not spectra or (trait != "times" and self._choose.data is not data):
                return
            self.set_trait(trait, found)
            if trait == "importance":
                self.measured = found
            if getattr(PLANNERS[self.settings.planner], f"uses_{trait}", False):
                self._record("the plan by what was measured")
                self._plan_anew(self.plan)

        return self._worker.submit(kind, title, compute, done)

    def _verify_time(self) -> None:
        """Replace a plan by the layers' times by one that is as fast when the whole network is timed."""
        network, spectra, times = self._choose.network, self._choose.spectra, self.times
        settings, plan = self.settings, self.plan
        wanted = PLANNERS[settings.planner].uses_times
        if not wanted or network is None or spectra is None or plan is None or times is None:
            return
        arguments = settings.budget(self.importance, plan)

        def make(job: Job) -> Plan:
            ratio = settings["time_ratio"]
            return time_plan(network, spectra, ratio, times=times, progress=job.report, **arguments)

        def done(found: Plan) -> None:
            if self._choose.spectra is not spectra or self.settings != settings:
                return
            if self.plan is plan:
                self._put(settings, with_hand_edits(found, plan), settings)
            else:  # a layer was edited meanwhile
                self._verify()

        if self._verification is not None:
            self._verification.cancel()
        self._verification = self._worker.submit(JobKind.LAYER_TIMES, "Timing the planned network", make, done)

    def _plan_anew(self, edited: Plan | None) -> None:
        if self._choose.spectra is None:
            return
        try:
            plan = self.settings.plan(self._choose.spectra, self.importance, edited, self.times)
        except PlanError as error:
            self.notice = sentence(error)
            return
        self._put(self.settings, plan, self.settings)
        if PLANNERS[self.settings.planner].uses_times:
            self._verify()

    def _edit(self, plan: Plan, words: str, key: str = "") -> None:
        self._record(words, key)
        self._put(self.settings, plan, self.made_by)

    def _put(self, settings: PlanSettings, plan: Plan | None, made_by: PlanSettings, notice: str = "") -> None:
        self.made_by = made_by
        with self.hold_trait_notifications():
            self.settings, self.plan, self.notice = settings, plan, notice

    @property
    def _state(self) -> State:
        return self.settings, self.plan, self.made_by

    def _record(self, words: str, key: str = "") -> None:
        """Record an edit before it is made; quick edits with the same key are undone together, those with "" never."""
        now, (last, when) = time.monotonic(), self._last_edit
        self._last_edit = (key, now)
        self._after.clear()
        same = key and key == last and now - when < MERGE_WITHIN_S
        self._before.append((words, self._before.pop()[1] if same and self._before else self._state))
        self._tell_edits()

    def _tell_edits(self) -> None:
        self.redoable, self.undoable = (edits[-1][0] if edits else "" for edits in (self._after, self._before))


def known_importance(known: Importance | None, opened: Opened, job: Job) -> Importance:
    """Return the importance of the layers; if it is not known, measure it on images without labels."""
    if known is not None:
        return known
    if opened.misfit:
        raise ValueError(opened.misfit)
    images, report = opened.data.unlabelled.sample(IMPORTANCE_IMAGES), part(job.report, 0.0, 1.0, "measuring")
    return importance(opened.network, opened.spectra, images, progress=report)
