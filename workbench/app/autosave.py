"""Keeps what a session is doing, and offers what an earlier one has left. No widgets."""

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

from traitlets import Bool, HasTraits, Instance, Unicode

from workbench.app.history import BASELINE
from workbench.app.saved_sessions import Left, Saved, Sessions, is_browser
from workbench.app.state import State
from workbench.app.steps.plan.model import Planning
from workbench.app.steps.recover.model import LESSONS, SCHEDULES, Training
from workbench.plan.plan import Plan, PlanError

log = logging.getLogger(__name__)

SOON = 0.4
"""Seconds after a change until it is written: a slider that is dragged is written once."""
PATIENCE = 15
"""Seconds in which the kernel of a page that was left may end; only then its session is said to be another tab's."""
CRASHED = 300
"""Seconds in which one is looked for after that: the kernel of a browser that crashed ends only when it is missed."""


class Keeper(HasTraits):
    """One session's memory. It begins when a page says whose it is; without a page nothing is kept.

    Traits
    ------
    offer : what this browser has left, until it is gone on with or declined; None if there is nothing.
    elsewhere : whether this browser has another session open, in another tab.
    problem : why the session is not kept, or what of an earlier one could not be had again; in a sentence, or "".
    """

    offer = Instance(Left, allow_none=True)
    elsewhere = Bool(False)
    problem = Unicode()

    def __init__(self, state: State, sessions: Sessions | None = None) -> None:
        super().__init__()
        self.state = state
        self.sessions = sessions or Sessions()
        self.browser = ""
        self._first = self._now()  # what nobody needs to be offered
        self._soon: asyncio.TimerHandle | None = None
        self._todo: deque[Callable[[], object]] = deque()
        state.observe(self._changed, ["choice", "planning", "plan", "selected", "number", "training", "network"])
        state.job.observe(self._go_on, ["running"])

    def arrived(self, browser: object) -> None:
        """A page has come, of the browser with that number; called again by a page that is drawn again."""
        if not is_browser(browser) or self.browser:
            return
        self.browser = str(browser)
        self.state.checkpoint = self.sessions.checkpoint
        self._look(PATIENCE if self.state.job.loop is not None else 0)

    def _look(self, patience: int) -> None:
        """Offer what has been left; what is still locked may be that of a page which is just being left."""
        found, open_ = self.sessions.left_by(self.browser)
        self.offer = found
        loop = self.state.job.loop
        self.elsewhere = open_ and found is None and patience <= 0
        if found is None and open_ and patience > PATIENCE - CRASHED and loop is not None:
            loop.call_later(1.0, lambda: self._look(patience - 1) if self.offer is None else None)

    def _now(self) -> Saved:
        state = self.state
        return Saved(
            browser=self.browser,
            choice={"network": state.choice.network, "data": state.choice.data, "weights": state.choice.weights},
            planning=asdict(state.planning),
            plan=state.plan.to_json(indent=None) if state.plan is not None else "",
            selected=state.selected,
            number=state.number,
            training=dict(state.training),
            doing=f"{_verb(state.training['stage'])} run {state.number}" if state.training else "",
        )

    def _changed(self, _: object = None) -> None:
        if not self.browser:
            return
        loop = self.state.job.loop
        if loop is None:
            self.keep()
        elif self._soon is None:
            self._soon = loop.call_later(SOON, self.keep)

    def keep(self) -> None:
        """Write the session now, if there is anything to go on with."""
        self._soon = None
        state, now = self.state, self._now()
        if not self.browser or state.plan is None or self._todo:
            return
        by_hand = any(part.by_hand for part in state.plan)
        if not (by_hand or now.number or now.planning != self._first.planning or now.choice != self._first.choice):
            return
        self.sessions.keep(Saved(**{**asdict(now), "when": time.time()}))
        if self.sessions.problem or self.problem.startswith("This session"):
            self.problem = self.sessions.problem

    def decline(self) -> None:
        """Begin anew: what was left is removed; its runs stay in the store."""
        if self.offer is not None:
            self.offer.remove()
        self.offer = None

    def accept(self) -> None:
        """Go on with what was left: the network, the plan, the run, and training from its last checkpoint."""
        left, state = self.offer, self.state
        if left is None or (state.job.running and not state.opening):
            return
        saved, self.offer, self.problem = left.saved, None, ""
        checkpoint = self.sessions.checkpoint
        if saved.training and left.checkpoint.exists():
            try:
                os.replace(left.checkpoint, checkpoint)
            except OSError as error:
                log.warning("the checkpoint cannot be had: %s", error)
        choice = saved.choice
        uploaded = choice.get("weights") not in ("default", "random")
        if uploaded:
            choice = {**choice, "weights": "default"}
            self.problem = f"{saved.choice.get('weights')} is not kept by the server: upload it again to find its runs."
        self._todo.extend(
            [
                lambda: self._is_open(choice) or state.open(**choice),
                lambda: state.resume(saved.number) if saved.number and not uploaded else None,
                lambda: self._put_plan(saved),
                lambda: self._train(saved.training) if not uploaded else None,
                left.remove,
                self.keep,
            ]
        )
        if not state.job.running:
            self._go_on()
        elif not self._is_open(choice):
            state.open(**choice)

    def _is_open(self, choice: dict[str, str]) -> bool:
        """Whether that is open, or is being opened."""
        now = self.state.choice
        chosen = choice.get("network"), choice.get("data"), choice.get("weights")
        return (now.network, now.data, now.weights) == chosen

    def _go_on(self, _: object = None) -> None:
        """Take the next steps, as far as none of them has work in the background."""
        job = self.state.job
        while self._todo and not job.running:
            if job.error:
                self._todo.clear()
                self.problem = "The earlier session could not be gone on with; its runs are in the store."
                return
            step = self._todo.popleft()
            try:
                step()
            except (ValueError, TypeError, KeyError) as error:
                log.warning("a step of an earlier session was left out: %s", error)
                self.problem = "A part of the earlier session could not be had again; its runs are in the store."

    def _put_plan(self, saved: Saved) -> None:
        state = self.state
        if state.spectra is None:
            return
        planning = Planning.of(saved.planning)
        try:
            plan = Plan.from_json(saved.plan, state.spectra)
        except PlanError as error:
            raise ValueError(str(error)) from None
        if [part.layer for part in plan] != [part.layer for part in state.plan or ()]:
            raise ValueError("the plan is of another network")
        state.restore(planning, plan)
        if saved.selected in {part.name for part in plan}:
            state.selected = saved.selected

    def _train(self, saved: dict[str, Any]) -> None:
        """Go on with training that was cut off; without its checkpoint, from where it began."""
        if not saved:
            return
        values = {field.name: saved[field.name] for field in fields(Training)}
        training = Training(**values)
        sane = training.schedule in SCHEDULES and training.learn_from in LESSONS
        if not sane or not 1 <= training.epochs <= 500 or not 0 < training.learning_rate <= 1:
            raise ValueError("settings of training make no sense")
        if saved.get("stage") == BASELINE:
            self.state.from_scratch(training)
        else:
            self.state.finetune(training)


def _verb(stage: str) -> str:
    return "Training from scratch" if stage == BASELINE else "Fine-tuning"
