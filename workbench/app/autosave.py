"""Save the session after each change, and offer what an earlier session of the same browser has left."""

import logging
import os
import re
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from traitlets import Bool, HasTraits, Instance, Unicode

from workbench.app.debounce import Debounce
from workbench.app.saved_sessions import LeftSession, SavedSession, SavedSessions
from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.look.model import LookModel
from workbench.app.steps.plan.model import PlanModel
from workbench.app.steps.plan.settings import PlanSettings
from workbench.app.steps.recover.model import RecoverModel
from workbench.app.steps.recover.snapshot import TrainingSettings
from workbench.app.worker import Job, JobState, Worker
from workbench.plan.plan import Plan

log = logging.getLogger(__name__)

SAVE_DELAY_S = 0.4
"""Seconds after a change until it is written."""
OTHER_TAB_AFTER_S = 15
"""Seconds in which the kernel of a page that was left may end; after them a locked session is another tab's."""
SEARCH_S = 300
"""Seconds in which a left session is searched for: a crashed browser's kernel ends only when it is culled."""


class Autosave(HasTraits):
    """Saves a session once a page has said which browser it is in."""

    offer = Instance(LeftSession, allow_none=True)  # what this browser has left, until it is accepted or declined
    elsewhere = Bool(False)  # whether this browser has another session open, in another tab
    problem = Unicode()  # why the session is not saved, or what of an earlier one could not be restored

    def __init__(
        self, worker: Worker, choose: ChooseModel, look: LookModel, plan: PlanModel, recover: RecoverModel
    ) -> None:
        super().__init__()
        self._worker, self._choose, self._look, self._plan, self._recover = worker, choose, look, plan, recover
        self.sessions = SavedSessions()
        self.browser = ""
        self._first = self._state()  # the state that every session begins with
        self._steps: deque[Callable[[], Job | None]] = deque()
        save = Debounce(self.save, SAVE_DELAY_S)
        choose.observe(save, ["choice", "network"])
        look.observe(save, ["picked"])
        plan.observe(save, ["settings", "plan"])
        recover.observe(save, ["run", "training"])

    def begin(self, browser: object) -> None:
        """Take the number of the page's browser, and look for what it has left."""
        if not isinstance(browser, str) or not re.fullmatch(r"[0-9a-f]{32}", browser) or self.browser:
            return
        self.browser = browser
        self._recover.keep_training_in(self.sessions.checkpoint)
        self._look_for(OTHER_TAB_AFTER_S if self._worker.has_loop else 0)

    def _look_for(self, seconds: int) -> None:
        """Offer what was left; what is still locked may be the session of a page that is just being left."""
        found, open_ = self.sessions.left_by(self.browser)
        self.offer = found
        self.elsewhere = open_ and found is None and seconds <= 0
        loop = self._worker.loop
        if found is None and open_ and seconds > OTHER_TAB_AFTER_S - SEARCH_S and self._worker.has_loop and loop:
            loop.call_later(1.0, lambda: self._look_for(seconds - 1) if self.offer is None else None)

    def _state(self) -> SavedSession:
        choice, plan, run = self._choose.choice, self._plan.plan, self._recover.run
        return SavedSession(
            browser=self.browser,
            choice={"network": choice.network, "data": choice.data, "weights": choice.weights},
            settings=self._plan.settings.to_dict(),
            plan=plan.to_json(indent=None) if plan is not None else "",
            picked=self._look.picked,
            number=run.number if run else 0,
            training=dict(self._recover.training),
        )

    def save(self) -> None:
        """Write the session now, if there is anything to continue."""
        plan = self._plan.plan
        if not self.browser or plan is None or len(self._steps) > 1:  # the last one waits for the training
            return
        now, first = self._state(), self._first
        if plan.by_hand or now.number or now.settings != first.settings or now.choice != first.choice:
            self.sessions.save(now)
            if self.sessions.problem or self.problem.startswith("This session"):
                self.problem = self.sessions.problem

    def decline(self) -> None:
        """Remove what was left; its runs stay in the store."""
        if self.offer is not None:
            self.offer.remove()
        self.offer = None

    def accept(self) -> None:
        """Continue what was left: the network, the plan, the run, and training from its last checkpoint."""
        left = self.offer
        if left is None:
            return
        saved, self.offer, self.problem = left.saved, None, ""
        if saved.training and left.checkpoint.exists():
            try:
                os.replace(left.checkpoint, self.sessions.checkpoint)
            except OSError as error:
                log.warning("the checkpoint cannot be moved: %s", error)
        choice: dict[str, Any] = saved.choice
        uploaded = choice.get("weights") not in ("default", "random")
        if uploaded:
            self.problem = f"{choice.get('weights')} is not kept by the server: upload it again to find its runs."
            choice = {**choice, "weights": "default"}
        self._steps.extend(
            [
                lambda: None if self._state().choice == choice else self._choose.open(**choice),
                lambda: self._recover.resume(saved.number) if saved.number and not uploaded else None,
                lambda: self._restore_plan(saved),
                left.remove,
                lambda: self._restore_training(saved) if saved.training and not uploaded else None,
                self.save,
            ]
        )
        if self._choose.opening:  # what is being opened comes first
            self._steps.appendleft(lambda: self._choose.job)
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
        spectra, now = self._plan.spectra, self._plan.plan
        if spectra is None or now is None:
            return
        plan = Plan.from_json(saved.plan, spectra)
        if [part.layer for part in plan] != [part.layer for part in now]:
            raise ValueError("the plan is of another network")
        self._plan.restore(PlanSettings.of(saved.settings), plan, "the plan of an earlier session")
        self._look.pick(saved.picked)

    def _restore_training(self, saved: SavedSession) -> Job:
        """Continue a training that was cut off; without its checkpoint, from where it began."""
        settings = asdict(TrainingSettings.of(saved.training))
        return self._recover.from_scratch(**settings) if saved.scratch else self._recover.finetune(**settings)
