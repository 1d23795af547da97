"""The session: the linked models of all steps, with a log, saved after each change so that it can be continued."""

import logging
import os
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from traitlets import Bool, HasTraits, Instance, Tuple, Unicode

from workbench.app.debounce import Debounce
from workbench.app.saved_sessions import SavedSession, SavedSessions
from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.compare.model import GalleryModel, PaperModel, RankCurveModel
from workbench.app.steps.compare.preview import PreviewModel
from workbench.app.steps.look.model import LookModel
from workbench.app.steps.plan.model import PlanModel
from workbench.app.steps.plan.settings import PlanSettings
from workbench.app.steps.recover.model import RecoverModel
from workbench.app.steps.recover.settings import TrainingSettings
from workbench.app.steps.speed.model import SpeedModel
from workbench.app.steps.take_home.model import TakeHomeModel
from workbench.app.worker import Job, JobState, Worker
from workbench.catalog.datasets.offered import offered_names
from workbench.network.data import Data
from workbench.network.network import Network
from workbench.plan.plan import Plan
from workbench.runs.scoring import judgement
from workbench.tables import times

log = logging.getLogger(__name__)

MAX_LOG_LINES = 200
SAVE_DELAY_S = 0.4  # from a change to the writing of the file
OTHER_TAB_AFTER_S = 15  # for a closed page's kernel to end; a session still locked then is another tab's
SESSION_SEARCH_S = 300  # a crashed browser's kernel ends only when it is culled


class Session:
    """Composes the models of the steps for a network and data; None for the bundled ones."""

    def __init__(self, network: Network | None = None, data: Data | None = None) -> None:
        self.worker = worker = Worker()
        self.choose = ChooseModel(worker, network, data)
        self.look = LookModel(self.choose)
        self.plan = PlanModel(worker, self.choose)
        self.recover = RecoverModel(worker, self.choose, self.plan)
        self.gallery = GalleryModel(worker, self.choose, self.recover)
        self.preview = PreviewModel(worker, self.choose, self.look, self.plan, self.recover)
        self.rank_curve = RankCurveModel(worker, self.choose, self.look)
        self.paper = PaperModel(worker, self.choose)
        self.speed = SpeedModel(worker, self.choose, self.recover)
        self.take_home = TakeHomeModel(worker, self.choose, self.recover)
        self.history = History(self.choose, self.plan, self.recover)
        self.autosave = Autosave(self)

    def undo(self) -> None:
        """Undo the last edit of the plan, and pick the layer that it changed."""
        if words := self.plan.undoable:
            self.look.pick(self.plan.undo())
            self.history.add(f"Taken back: {words}.")

    def redo(self) -> None:
        """Redo the edit that was undone last, and pick the layer that it changed."""
        self.look.pick(self.plan.redo())


class History(HasTraits):
    """Logs each opened network, edit of the plan, stage of a run, and tried compression ratio."""

    lines = Tuple()  # oldest first, each with its time of day

    def __init__(self, choose: ChooseModel, plan: PlanModel, recover: RecoverModel) -> None:
        super().__init__()
        self._plan = plan
        self._logged: set[tuple[int, str, str]] = set()
        choose.observe(self._log_network, "opened")
        plan.observe(self._log_edit, "undoable")
        recover.observe(self._log_stages, "runs")

    def add(self, text: str) -> None:
        """Add a line."""
        self.lines = (*self.lines, f"{time.strftime('%H:%M')} {text}")[-MAX_LOG_LINES:]

    def _log_network(self, change: dict[str, Any]) -> None:
        self._logged.clear()
        self.add(f"Opened {change['new'].network.name} on {change['new'].data.name}.")

    def _log_edit(self, change: dict[str, Any]) -> None:
        if change["new"] and not self._plan.redoable:  # else it is an undo
            self.add(f"Plan: {change['new']}.")

    def _log_stages(self, change: dict[str, Any]) -> None:
        for run in change["new"]:
            if run.last is None:
                continue
            stage = f"{run.label}, work {times(run.plan.macs_ratio)} less, {run.last.name}: {judgement(run)}"
            for line, score in ((stage, str(run.last.score)), *((line, "") for line in run.tries)):
                if (run.number, line, score) not in self._logged:
                    self._logged.add((run.number, line, score))
                    self.add(f"{line[0].upper()}{line[1:]}.")


class Autosave(HasTraits):
    """Saves a session once its page has sent the browser's id, and restores earlier sessions of that browser."""

    offer = Instance(SavedSession, allow_none=True)  # ended session of this browser, until it is accepted or declined
    elsewhere = Bool(False)  # whether this browser has another session open, in another tab
    problem = Unicode()  # why the session is not saved, or which part of an earlier one is not restored

    def __init__(self, session: "Session") -> None:
        super().__init__()
        self._session, self.sessions, self.browser = session, SavedSessions(), ""
        self._initial = self._state()  # nothing is saved while the state is this one
        self._restore_steps: deque[Callable[[], Job | None]] = deque()
        save = Debounce(self.save, SAVE_DELAY_S)
        session.choose.observe(save, ["choice", "network"])
        session.look.observe(save, ["picked"])
        session.plan.observe(save, ["settings", "plan"])
        session.recover.observe(save, ["run", "training", "search_minutes"])

    def begin(self, browser: object) -> None:
        """Set the browser's id, and search for a session of this browser that has ended."""
        if not isinstance(browser, str) or not re.fullmatch(r"[0-9a-f]{32}", browser) or self.browser:
            return
        self.browser = browser
        self._session.recover.checkpoint = self.sessions.checkpoint
        self._search(OTHER_TAB_AFTER_S if self._session.worker.has_loop else 0)

    def _search(self, wait_s: int) -> None:
        """Offer an ended session; search again each second, as a locked one may belong to a closing page."""
        ended, has_open = self.sessions.find_ended(self.browser)
        self.offer = ended
        self.elsewhere = has_open and ended is None and wait_s <= 0
        is_searching = has_open and ended is None and wait_s > OTHER_TAB_AFTER_S - SESSION_SEARCH_S
        if is_searching and self._session.worker.has_loop:
            self._session.worker.post(lambda: self._search(wait_s - 1) if self.offer is None else None, delay_s=1.0)

    def _state(self) -> SavedSession:
        session, recover = self._session, self._session.recover
        choice, settings, plan = session.choose.choice, session.plan.settings, session.plan.plan
        number = max(0, recover.run.number) if recover.run is not None else 0  # below 0: it is not stored
        return SavedSession(
            browser=self.browser,
            choice={"network": choice.network, "data": choice.data, "weights": choice.weights},
            settings={"planner": settings.planner, **settings.values},
            plan=plan.to_json(indent=None) if plan is not None else "",
            picked=session.look.picked,
            number=number,
            training=dict(recover.training) if number else {},
            minutes=recover.search_minutes,
        )

    def save(self) -> None:
        """Write the session now if it differs from the initial one."""
        plan = self._session.plan.plan
        if not self.browser or plan is None or len(self._restore_steps) > 1:  # one is left while the training runs
            return
        state = self._state()
        has_changed = (state.choice, state.settings) != (self._initial.choice, self._initial.settings)
        if has_changed or plan.by_hand or state.number or state.minutes:
            problem = self.sessions.save(state)
            if problem or self.problem.startswith("This session"):
                self.problem = problem

    def decline(self) -> None:
        """Remove the offered session; its runs stay in the store."""
        if self.offer is not None:
            self.offer.remove()
        self.offer = None

    def accept(self) -> None:
        """Restore the offered session: its network, plan and run, and training from its last checkpoint."""
        saved = self.offer
        if saved is None:
            return
        self.offer, self.problem = None, ""
        if saved.training and saved.checkpoint.exists():
            try:
                os.replace(saved.checkpoint, self.sessions.checkpoint)
            except OSError as error:
                log.warning("the checkpoint cannot be moved: %s", error)
        choice: dict[str, Any] = saved.choice
        is_uploaded = choice["weights"] not in ("default", "random")
        if is_uploaded:
            self.problem = f"{choice['weights']} is not kept by the server: upload it again to find its runs."
            if choice["weights"] == choice["network"]:  # an ONNX file
                return
            choice = {**choice, "weights": "default"}
        if choice["data"] not in {self._initial.choice["data"], *offered_names()}:
            self.problem += f" {choice['data']} are not kept by the server: bring them again."
            choice = {**choice, "data": self._initial.choice["data"]}
        session, has_weights = self._session, not is_uploaded
        self._restore_steps += [
            lambda: session.choose.job if session.choose.opening else None,  # wait for the network that is being opened
            lambda: None if self._state().choice == choice else session.choose.open(**choice),
            lambda: session.recover.resume(saved.number) if saved.number and has_weights else None,
            lambda: self._restore_plan(saved),
            saved.remove,
            lambda: self._restore_training(saved) if (saved.training or saved.minutes) and has_weights else None,
            self.save,
        ]
        self._restore()

    def _restore(self, job: Job | None = None) -> None:
        """Run the remaining steps, each after the job of the step before."""
        while self._restore_steps and (job is None or job.state is JobState.DONE):
            step, job = self._restore_steps.popleft(), None
            try:
                job = step()
            except (ValueError, TypeError, KeyError) as error:
                log.warning("a step of an earlier session was left out: %s", error)
                self.problem = "A part of the earlier session could not be restored; its runs are in the store."
            if job is not None and job.active:
                job.observe(lambda change: self._restore(change.owner) if not change.owner.active else None, "state")
                return
        if job is not None and job.state is not JobState.DONE:
            self._restore_steps.clear()
            self.problem = "The earlier session could not be continued; its runs are in the store."

    def _restore_plan(self, saved: SavedSession) -> None:
        current = self._session.plan.plan
        if current is None:
            return
        plan = Plan.from_json(saved.plan, current.spectra)
        if [part.layer for part in plan] != [part.layer for part in current]:
            raise ValueError("the plan is of another network")
        self._session.plan.restore(PlanSettings.of(saved.settings), plan, "the plan of an earlier session")
        self._session.look.pick(saved.picked)

    def _restore_training(self, saved: SavedSession) -> Job:
        """Continue an interrupted training from its checkpoint, or start it again without one.

        *Compress for me* starts again with the plan that it had reached.
        """
        recover = self._session.recover
        if saved.minutes:
            return recover.compress_for_me(saved.minutes)
        train = recover.from_scratch if saved.is_from_scratch else recover.finetune
        return train(**asdict(TrainingSettings.of(saved.training)))
