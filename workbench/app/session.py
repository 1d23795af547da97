"""A session: the models of all steps, linked; it has a log, is saved after each change, and can be continued."""

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

MAX_LINES = 200  # of the log
SAVE_DELAY_S = 0.4  # after a change, until it is written
OTHER_TAB_AFTER_S = 15  # in which the kernel of a page that was left may end: then a locked session is another tab's
SESSION_SEARCH_S = 300  # for one that was left: a crashed browser's kernel ends only when it is culled


class Session:
    """Composes the models of the steps, with the user's network and data, or else the bundled ones."""

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
    """Adds a line for each network that is opened, edit of the plan, stage of a run, and try."""

    lines = Tuple()  # the newest last, each with its time of day

    def __init__(self, choose: ChooseModel, plan: PlanModel, recover: RecoverModel) -> None:
        super().__init__()
        self._plan = plan
        self._told: set[tuple[int, str, str]] = set()
        choose.observe(self._opened, "opened")
        plan.observe(self._edited, "undoable")
        recover.observe(self._ran, "runs")

    def add(self, text: str) -> None:
        """Add a line."""
        self.lines = (*self.lines, f"{time.strftime('%H:%M')} {text}")[-MAX_LINES:]

    def _opened(self, change: dict[str, Any]) -> None:
        self._told.clear()
        self.add(f"Opened {change['new'].network.name} on {change['new'].data.name}.")

    def _edited(self, change: dict[str, Any]) -> None:
        if change["new"] and not self._plan.redoable:  # else it is what an undo has left
            self.add(f"Plan: {change['new']}.")

    def _ran(self, change: dict[str, Any]) -> None:
        for run in change["new"]:
            if run.last is None:
                continue
            stage = f"{run.label}, work {times(run.plan.macs_ratio)} less, {run.last.name}: {judgement(run)}"
            for line, score in ((stage, str(run.last.score)), *((line, "") for line in run.tries)):
                if (run.number, line, score) not in self._told:
                    self._told.add((run.number, line, score))
                    self.add(f"{line[0].upper()}{line[1:]}.")


class Autosave(HasTraits):
    """Saves a session once a page has said which browser it is in."""

    offer = Instance(SavedSession, allow_none=True)  # what this browser has left, until it is accepted or declined
    elsewhere = Bool(False)  # whether this browser has another session open, in another tab
    problem = Unicode()  # why the session is not saved, or what of an earlier one could not be restored

    def __init__(self, session: "Session") -> None:
        super().__init__()
        self._session, self.sessions, self.browser = session, SavedSessions(), ""
        self._first = self._state()  # the state that every session begins with
        self._steps: deque[Callable[[], Job | None]] = deque()
        save = Debounce(self.save, SAVE_DELAY_S)
        session.choose.observe(save, ["choice", "network"])
        session.look.observe(save, ["picked"])
        session.plan.observe(save, ["settings", "plan"])
        session.recover.observe(save, ["run", "training", "search_minutes"])

    def begin(self, browser: object) -> None:
        """Take the number of the page's browser, and look for what it has left."""
        if not isinstance(browser, str) or not re.fullmatch(r"[0-9a-f]{32}", browser) or self.browser:
            return
        self.browser = browser
        self._session.recover.checkpoint = self.sessions.checkpoint
        self._look_for(OTHER_TAB_AFTER_S if self._session.worker.has_loop else 0)

    def _look_for(self, seconds: int) -> None:
        """Offer what was left; what is still locked may be the session of a page that is just being left."""
        found, open_ = self.sessions.left_by(self.browser)
        self.offer = found
        self.elsewhere = open_ and found is None and seconds <= 0
        searching = open_ and found is None and seconds > OTHER_TAB_AFTER_S - SESSION_SEARCH_S
        if searching and self._session.worker.has_loop:
            self._session.worker.post(lambda: self._look_for(seconds - 1) if self.offer is None else None, delay_s=1.0)

    def _state(self) -> SavedSession:
        s = self._session
        choice, settings, plan, run = s.choose.choice, s.plan.settings, s.plan.plan, s.recover.run
        number = max(0, run.number) if run is not None else 0  # below 0: it is not stored
        return SavedSession(
            browser=self.browser,
            choice={"network": choice.network, "data": choice.data, "weights": choice.weights},
            settings={"planner": settings.planner, **settings.values},
            plan=plan.to_json(indent=None) if plan is not None else "",
            picked=s.look.picked,
            number=number,
            training=dict(s.recover.training) if number else {},
            minutes=s.recover.search_minutes,
        )

    def save(self) -> None:
        """Write the session now, if there is anything to continue."""
        plan = self._session.plan.plan
        if not self.browser or plan is None or len(self._steps) > 1:  # the last one waits for the training
            return
        now, first = self._state(), self._first
        if plan.by_hand or now.number or now.minutes or now.settings != first.settings or now.choice != first.choice:
            problem = self.sessions.save(now)
            if problem or self.problem.startswith("This session"):
                self.problem = problem

    def decline(self) -> None:
        """Remove what was left; its runs stay in the store."""
        if self.offer is not None:
            self.offer.remove()
        self.offer = None

    def accept(self) -> None:
        """Continue what was left: the network, the plan, the run, and training from its last checkpoint."""
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
        uploaded = choice["weights"] not in ("default", "random")
        if uploaded:
            self.problem = f"{choice['weights']} is not kept by the server: upload it again to find its runs."
            if choice["weights"] == choice["network"]:  # an ONNX file
                return
            choice = {**choice, "weights": "default"}
        if choice["data"] not in {self._first.choice["data"], *offered_names()}:
            self.problem += f" {choice['data']} are not kept by the server: bring them again."
            choice = {**choice, "data": self._first.choice["data"]}
        session, kept = self._session, not uploaded
        self._steps += [
            lambda: session.choose.job if session.choose.opening else None,  # what is being opened comes first
            lambda: None if self._state().choice == choice else session.choose.open(**choice),
            lambda: session.recover.resume(saved.number) if saved.number and kept else None,
            lambda: self._restore_plan(saved),
            saved.remove,
            lambda: self._restore_training(saved) if (saved.training or saved.minutes) and kept else None,
            self.save,
        ]
        self._continue()

    def _continue(self, job: Job | None = None) -> None:
        """Take the next steps, each after the job of the one before."""
        while self._steps and (job is None or job.state is JobState.DONE):
            step, job = self._steps.popleft(), None
            try:
                job = step()
            except (ValueError, TypeError, KeyError) as error:
                log.warning("a step of an earlier session was left out: %s", error)
                self.problem = "A part of the earlier session could not be restored; its runs are in the store."
            if job is not None and job.active:
                job.observe(lambda change: self._continue(change.owner) if not change.owner.active else None, "state")
                return
        if job is not None and job.state is not JobState.DONE:
            self._steps.clear()
            self.problem = "The earlier session could not be continued; its runs are in the store."

    def _restore_plan(self, saved: SavedSession) -> None:
        now = self._session.plan.plan
        if now is None:
            return
        plan = Plan.from_json(saved.plan, now.spectra)
        if [part.layer for part in plan] != [part.layer for part in now]:
            raise ValueError("the plan is of another network")
        self._session.plan.restore(PlanSettings.of(saved.settings), plan, "the plan of an earlier session")
        self._session.look.pick(saved.picked)

    def _restore_training(self, saved: SavedSession) -> Job:
        """Continue a training that was cut off; without its checkpoint, from where it began.

        *Compress for me* begins again, with the plan that it had reached.
        """
        recover = self._session.recover
        if saved.minutes:
            return recover.compress_for_me(saved.minutes)
        train = recover.from_scratch if saved.scratch else recover.finetune
        return train(**asdict(TrainingSettings.of(saved.training)))
