"""The plan of a session: how the ranks of the whole network are chosen, and edits by hand. No widgets."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from traitlets import HasTraits, Instance, Unicode, observe

from workbench.app.jobs import sentence
from workbench.app.steps.plan.edits import Edits
from workbench.plan.budget import budget_plan
from workbench.plan.evbmf import CHOICES, evbmf_plan
from workbench.plan.importance import Sensitivities
from workbench.plan.layer_times import Times
from workbench.plan.plan import Plan, PlanError
from workbench.plan.spectra import Spectra

PLANNERS = {
    "evbmf": "EVBMF: the paper's way",
    "budget": "a budget of work",
    "time": "a budget of time on this machine",
}
EXPLAINED = {
    "evbmf": "EVBMF asks each layer by itself how many directions stand out from the noise, and keeps those.",
    "budget": "You say how much work to save, and how many weights if you like; the ranks are shared out over "
    "the layers that you choose so that the least is lost.",
    "time": "You say how much faster it is to be here; ranks go by each layer's measured time, and a layer that would "
    "not be faster stays as it is. The whole network can be a little slower than its layers promise: Measure, in "
    "step 6, tells.",
}
"""Each way in a sentence."""


MIN_GAIN = 0.05
"""Share of its time that a layer must save under a budget of time: less is within what a clock can be wrong by."""


@dataclass(frozen=True)
class Planning:
    """Settings of the planner.

    Attributes
    ----------
    planner : "evbmf", "budget" or "time".
    layers : which ones: "default", "spatial" or "all".
    strength : factor on EVBMF's thresholds.
    macs_ratio : the budget, original / compressed.
    time_ratio : the budget of time, original / compressed.
    weights_ratio : the same for weights; 1 is no limit.
    rank_multiple : ranks are multiples of it; for budgets only.
    """

    planner: str = "evbmf"
    layers: str = "default"
    strength: float = 1.0
    macs_ratio: float = 2.0
    time_ratio: float = 1.5
    weights_ratio: float = 1.0
    rank_multiple: int = 1

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Planning":
        """From what was kept of one; settings that had no say are as they are at first.

        Raises
        ------
        ValueError : if they make no sense.
        """
        names = {field.name for field in fields(cls)}
        found = cls(**{name: value for name, value in values.items() if name in names})
        numbers = (found.strength, found.macs_ratio, found.time_ratio, found.weights_ratio, found.rank_multiple)
        sane = found.planner in list(PLANNERS) and found.layers in list(dict(CHOICES))
        if not sane or not all(isinstance(number, int | float) and 0.1 <= number <= 100 for number in numbers):
            raise ValueError("settings of the planner make no sense")
        return found

    def used(self) -> dict[str, Any]:
        """Those of them that have a say in the plan."""
        own = {"evbmf": ("strength",), "budget": ("macs_ratio", "weights_ratio", "rank_multiple")}
        names = ("planner", "layers", *own.get(self.planner, ("time_ratio", "weights_ratio", "rank_multiple")))
        return {name: getattr(self, name) for name in names}

    def plan(
        self,
        spectra: Spectra,
        measured: Sensitivities | None = None,
        edited: Plan | None = None,
        times: Times | None = None,
    ) -> Plan:
        """The plan by these settings.

        Parameters
        ----------
        measured : what layers matter in the outputs, for budgets; None to go by the weights.
        edited : a plan whose parts chosen by hand stay as they are.
        times : of the layers on this machine, for budgets of time.

        Raises
        ------
        PlanError : if the budget cannot be met, naming the best that can be reached, or the times are not known yet.
        """
        by_hand = [part for part in edited or () if part.by_hand]
        if self.planner == "evbmf":
            plan = evbmf_plan(spectra, self.layers, strength=self.strength)
        else:
            timed = self.planner == "time"
            if timed and times is None:
                raise PlanError("the layers' times on this machine are not known yet: press Time layers")
            pinned = {part.name: "keep" if part.rank_out is None else (part.rank_in, part.rank_out) for part in by_hand}
            plan = budget_plan(
                spectra,
                None if timed else self.macs_ratio,
                weights_ratio=self.weights_ratio if self.weights_ratio > 1 and not timed else None,
                time_ratio=self.time_ratio if timed else None,
                times=times if timed else None,
                min_gain=MIN_GAIN if timed else 0.0,
                images=measured,
                pinned=pinned,
                rank_multiple=self.rank_multiple,
                layers=self.layers,
            )
        for part in by_hand:
            plan = plan.with_layer(part)
        return plan


class Planned(HasTraits):
    """A plan that follows its settings and remembers what was chosen by hand.

    Traits
    ------
    spectra, plan : of the network that is open; None until it is.
    planning : how the ranks of the whole network are chosen.
    measured : what layers matter in the outputs, once that has been measured; None before.
    times : of the layers on this machine, once they have been measured; None before.
    selected : name of the layer that is looked at.
    notice : a sentence about the last edit that could not be made, or "".
    undoable, redoable : what :meth:`undo` and :meth:`redo` would do, in words, or "".
    """

    spectra = Instance(Spectra, allow_none=True)
    plan = Instance(Plan, allow_none=True)
    planning = Instance(Planning, ())
    measured = Instance(Sensitivities, allow_none=True)
    times = Instance(Times, allow_none=True)
    selected = Unicode()
    notice = Unicode()
    undoable = Unicode()
    redoable = Unicode()

    def __init__(self, **traits: object) -> None:
        self._edits: Edits[tuple[Planning, Plan | None]] = Edits()
        self._restoring = False
        super().__init__(**traits)

    def planned(self, spectra: Spectra) -> tuple[Plan, str]:
        """The plan of a network just opened, and a notice; a budget that it cannot meet gives way to EVBMF."""
        try:
            return self.planning.plan(spectra), ""
        except PlanError as error:
            return replace(self.planning, planner="evbmf").plan(spectra), f"{sentence(error)} This is EVBMF's plan."

    @observe("planning", "measured", "times")
    def _replan(self, _: object) -> None:
        if self._restoring:
            return
        if self.spectra is not None and self.plan is not None:
            self._replace_plan(self.plan)  # what somebody chose by hand stays chosen

    def reset_plan(self) -> None:
        """Back to what the planner says of every layer."""
        self._remember("all layers as the planner says")
        self._replace_plan(None)

    def _replace_plan(self, edited: Plan | None) -> None:
        if self.spectra is None:
            return
        try:
            self.plan, self.notice = self.planning.plan(self.spectra, self.measured, edited, self.times), ""
        except PlanError as error:
            self.notice = sentence(error)

    def replan(self, **changes: Any) -> None:
        """Change settings of the planner."""
        planning = replace(self.planning, **changes)
        if planning != self.planning:
            self._remember("another way to plan", f"planning {sorted(changes)}")
            self.planning = planning

    def reset_layer(self) -> None:
        """Back to what EVBMF says of the selected layer."""
        if self.plan is not None and self.spectra is not None and self.selected:
            evbmf = replace(self.planning, planner="evbmf").plan(self.spectra)
            self._remember(f"EVBMF's ranks for {self.selected}")
            self.plan = self.plan.with_layer(evbmf[self.selected])
            self.notice = ""

    def choose_ranks(self, *, rank_in: int | None = None, rank_out: int | None = None) -> None:
        """Set ranks of the selected layer by hand; what cannot be is said in `notice`."""
        if self.plan is None:
            return
        try:
            plan = self.plan.with_ranks(self.selected, rank_in=rank_in, rank_out=rank_out)
            self._remember(f"the ranks of {self.selected}", f"ranks {self.selected}")
            self.plan = plan
            self.notice = ""
        except (PlanError, KeyError) as error:
            self.notice = sentence(error)

    def keep_layer(self) -> None:
        """Leave the selected layer as it is."""
        if self.plan is not None and self.selected:
            plan = self.plan.keep(self.selected)
            self._remember(f"{self.selected} is kept")
            self.plan = plan
            self.notice = ""

    def _remember(self, words: str, key: str = "") -> None:
        self._edits.remember(words, (self.planning, self.plan), key)
        self._say_edits()

    def undo(self) -> None:
        """Take back the last edit of the plan or of its settings."""
        if self._edits.undoable:
            self._restore(*self._edits.undo((self.planning, self.plan)))

    def redo(self) -> None:
        """Make the edit again that was taken back last."""
        if self._edits.redoable:
            self._restore(*self._edits.redo((self.planning, self.plan)))

    def restore(self, planning: Planning, plan: Plan) -> None:
        """Another plan and the settings that it was made by, as of an earlier session; it can be undone."""
        self._remember("the plan of an earlier session")
        self._put(planning, plan)

    def _restore(self, planning: Planning, plan: Plan | None) -> None:
        changed = [a.name for a, b in zip(plan or (), self.plan or (), strict=False) if a != b]
        self._put(planning, plan)
        if len(changed) == 1:
            self.selected = changed[0]  # whoever takes something back wants to see it
        self._say_edits()

    def _put(self, planning: Planning, plan: Plan | None) -> None:
        """A plan, which these settings have given with what was known then."""
        self._restoring = True
        try:
            with self.hold_trait_notifications():
                self.planning, self.plan, self.notice = planning, plan, ""
        finally:
            self._restoring = False

    def _say_edits(self) -> None:
        self.undoable, self.redoable = self._edits.undoable, self._edits.redoable
