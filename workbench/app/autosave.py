"""Save the session after each change, and offer what an earlier session of the same browser has left."""

import logging
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from traitlets import Bool, HasTraits, Instance, Unicode

from workbench.app.debounce import Debounce
from workbench.app.saved_sessions import LeftSession, SavedSession, SavedSessions, is_browser
from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.look.model import LookModel
from workbench.app.steps.plan.model import PlanModel
from workbench.app.steps.plan.settings import PlanSettings
from workbench.app.steps.recover.model import RecoverModel
from workbench.app.steps.recover.training import TrainingSettings
from workbench.app.worker import Job, JobState, Worker
from workbench.plan.plan import Plan
from workbench.runs.run import StageName

log = logging.getLogger(__name__)

SAVE_DELAY_S = 0.4
"""Seconds after a change until it is written."""
OTHER_TAB_AFTER_S = 15
"""Seconds in which the kernel of a page that was left may end; after them a locked session is another tab's."""
SEARCH_S = 300
"""Seconds in which a left session is searched for: a crashed browser's kernel ends only when it is culled."""


class Autosave(HasTraits):
    """Saves a session once a page has said which browser it is in.

    Traits
    ------
    offer : the session that this browser has left, until it is accepted or declined; None if there is none.
    elsewhere : whether this browser has another session open, in another tab.
    problem : why the session is not saved, or what of an earlier one could not be restored; in a sentence, or "".
    """

    offer = Instance(LeftSession, allow_none=True)
    elsewhere = Bool(False)
    problem = Unicode()

    def __init__(
        self,
        worker: Worker,
        choose: ChooseModel,
        look: LookModel,
        plan: PlanModel,
        recover: RecoverModel,
        sessions: SavedSessions,
    ) -> None:
        super().__init__()
        self._worker, self._choose, self._look, self._plan, self._recover = worker, choose, look, plan, recover
        self.sessions = sessions
        self.browser = ""
        self._first = self._state()  # the state that every session begins with
        self._steps: deque[Callable[[], Job | None]] = deque()
        save = Debounce(self.save, SAVE_DELAY_S)
        for model, names in (
            (choose, ["choice", "network"]),
            (look, ["selected"]),
            (plan, ["settings", "plan"]),
            (recover, ["run", "training"]),
        ):
            model.observe(save, names)

    def begin(self, browser: object) -> None:
        """Take the number of the page's browser, and look for what it has left."""
        if not is_browser(browser) or self.browser:
            return
        self.browser = str(browser)
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
        training = dict(self._recover.training)
        number = run.number if run else 0
        scratch = training.get("stage") == StageName.FROM_SCRATCH
        verb = "Training from scratch" if scratch else "Fine-tuning"
        return SavedSession(
            browser=self.browser,
            choice={"network": choice.network, "data": choice.data, "weights": choice.weights},
            settings=asdict(self._plan.settings),
            plan=plan.to_json(indent=None) if plan is not None else "",
            selected=self._look.selected,
            number=number,
            training=training,
            doing=f"{verb} run {number}" if training else "",
        )

    def save(self) -> None:
        """Write the session now, if there is anything to continue."""
        plan = self._plan.plan
        if not self.browser or plan is None or len(self._steps) > 1:  # the last one waits for the training
            return
        now, first = self._state(), self._first
        if plan.by_hand or now.number or now.settings != first.settings or now.choice != first.choice:
            self.sessions.save(replace(now, when=time.time()))
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
        choice = saved.choice
        uploaded = choice.get("weights") not in ("default", "random")
        if uploaded:
            choice = {**choice, "weights": "default"}
            self.problem = f"{saved.choice.get('weights')} is not kept by the server: upload it again to find its runs."
        self._steps.extend(
            [
                lambda: None if self._is_open(choice) else self._choose.open(**choice),
                lambda: self._recover.resume(saved.number) if saved.number and not uploaded else None,
                lambda: self._restore_plan(saved),
                left.remove,
                lambda: self._restore_training(saved.training) if not uploaded else None,
                self.save,
            ]
        )
        if self._choose.opening:  # what is being opened comes first
            self._steps.appendleft(lambda: self._choose.job)
        self._continue()

    def _is_open(self, choice: dict[str, str]) -> bool:
        now = self._choose.choice
        return (now.network, now.data, now.weights) == tuple(choice.get(k) for k in ("network", "data", "weights"))

    def _continue(self, job: Job | None = None) -> None:
        """Take the next steps, each after the job of the one before."""
        if job is not None and job.active:
            return
        while self._steps and (job is None or job.state is JobState.DONE):
            step, job = self._steps.popleft(), None
            try:
                job = step()
            except (ValueError, TypeError, KeyError) as error:
                log.warning("a step of an earlier session was left out: %s", error)
                self.problem = "A part of the earlier session could not be restored; its runs are in the store."
            if job is not None and job.active:
                job.observe(partial(self._job_changed, job), "state")
                return
        if job is not None and job.state is not JobState.DONE:
            self._steps.clear()
            self.problem = "The earlier session could not be continued; its runs are in the store."

    def _job_changed(self, job: Job, _: object) -> None:
        self._continue(job)

    def _restore_plan(self, saved: SavedSession) -> None:
        spectra, now = self._plan.spectra, self._plan.plan
        if spectra is None or now is None:
            return
        plan = Plan.from_json(saved.plan, spectra)
        if [part.layer for part in plan] != [part.layer for part in now]:
            raise ValueError("the plan is of another network")
        self._plan.restore(PlanSettings.of(saved.settings), plan, "the plan of an earlier session")
        self._look.select(saved.selected)

    def _restore_training(self, saved: dict[str, Any]) -> Job | None:
        """Continue a training that was cut off; without its checkpoint, from where it began."""
        if not saved:
            return None
        settings = TrainingSettings.of(saved)
        scratch = saved.get("stage") == StageName.FROM_SCRATCH
        return self._recover.from_scratch(settings) if scratch else self._recover.finetune(settings)
