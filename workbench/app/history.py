"""Log of a session: networks opened, edits of the plan and their undoing, stages of runs, and tries."""

import time
from typing import Any

from traitlets import HasTraits, Tuple

from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.plan.model import PlanModel
from workbench.app.steps.recover.model import RecoverModel
from workbench.runs.scoring import judgement
from workbench.tables import times

MAX_LINES = 200


class History(HasTraits):
    """Adds a line for each network that is opened, edit of the plan, stage of a run, and try."""

    lines = Tuple()  # the newest last, each with its time of day

    def __init__(self, choose: ChooseModel, plan: PlanModel, recover: RecoverModel) -> None:
        super().__init__()
        self._plan, self._choose = plan, choose
        self._told: set[tuple[int, str, str]] = set()
        choose.observe(self._opened, "opened")
        plan.observe(self._edited, "undoable")
        recover.observe(self._ran, "runs")

    def add(self, text: str) -> None:
        """Add a line."""
        self.lines = (*self.lines, f"{time.strftime('%H:%M')} {text}")[-MAX_LINES:]

    def _opened(self, _: object) -> None:
        network, data = self._choose.network, self._choose.data
        self._told.clear()
        if network is not None and data is not None:
            self.add(f"Opened {network.name} on {data.name}.")

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
