"""Settings of the planner, and the plan by them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from workbench.plan.budget import Pin, budget_plan
from workbench.plan.evbmf import CHOICES, evbmf_plan
from workbench.plan.importance import Importance
from workbench.plan.layer_times import NetworkTimes
from workbench.plan.plan import Plan, PlanError
from workbench.plan.spectra import Spectra

PLANNERS = {
    "evbmf": "EVBMF: the paper's way",
    "budget": "a budget of work",
    "time": "a budget of time on this machine",
}
"""Planner -> its name on the page."""
MIN_TIME_GAIN = 0.05
"""Share of its time that a layer must save under a budget of time; less is within the error of a measurement."""
COMMON = ("layers", "rank_multiple")
"""Settings of which each planner has its own."""


@dataclass(frozen=True)
class PlanSettings:
    """Settings of the planners; each planner has its own layers and rank multiple.

    Attributes
    ----------
    planner : "evbmf", "budget" or "time".
    evbmf_layers, budget_layers, time_layers : "default", "spatial" or "all".
    strength : factor on EVBMF's thresholds.
    macs_ratio, time_ratio, weights_ratio : budgets, original / compressed; a `weights_ratio` of 1 is no limit.
    budget_rank_multiple, time_rank_multiple : ranks are multiples of it.
    """

    planner: str = "evbmf"
    evbmf_layers: str = "default"
    budget_layers: str = "all"
    time_layers: str = "all"
    strength: float = 1.0
    macs_ratio: float = 2.0
    time_ratio: float = 1.5
    weights_ratio: float = 1.0
    budget_rank_multiple: int = 1
    time_rank_multiple: int = 8

    @property
    def layers(self) -> str:
        """The layers of the present planner."""
        return str(getattr(self, f"{self.planner}_layers"))

    @property
    def rank_multiple(self) -> int:
        """The rank multiple of the present planner."""
        return int(getattr(self, f"{self.planner}_rank_multiple", 1))

    def changed(self, **changes: Any) -> "PlanSettings":
        """Return settings with changes; `layers` and `rank_multiple` are those of the planner that then holds."""
        planner = changes.get("planner", self.planner)
        own = {f"{planner}_{name}": changes.pop(name) for name in COMMON if name in changes}
        known = {field.name for field in fields(self)}
        return replace(self, **changes, **{name: value for name, value in own.items() if name in known})

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "PlanSettings":
        """Return settings from stored ones; those that are absent have their defaults.

        Raises
        ------
        ValueError : if they make no sense.
        """
        names = {field.name for field in fields(cls)} | set(COMMON)
        if values.get("planner", "evbmf") not in PLANNERS:
            raise ValueError("settings of the planner make no sense")
        found = cls().changed(**{name: value for name, value in values.items() if name in names})
        numbers = [found.strength, found.macs_ratio, found.time_ratio, found.weights_ratio]
        numbers += [found.budget_rank_multiple, found.time_rank_multiple]
        layers = {found.evbmf_layers, found.budget_layers, found.time_layers}
        if not all(isinstance(n, int | float) and 0.1 <= n <= 100 for n in numbers) or not layers <= set(CHOICES):
            raise ValueError("settings of the planner make no sense")
        return found

    def used(self) -> dict[str, Any]:
        """Return the settings that the present planner uses, for the store."""
        own = {"evbmf": ("strength",), "budget": ("macs_ratio", "weights_ratio", "rank_multiple")}
        names = ("planner", "layers", *own.get(self.planner, ("time_ratio", "rank_multiple")))
        return {name: getattr(self, name) for name in names}

    def budget(self, importance: Importance | None, edited: Plan | None) -> dict[str, Any]:
        """Return the arguments of a budget plan that keeps the choices by hand in `edited`."""
        pinned: dict[str, Pin] = {
            part.name: "keep" if part.rank_out is None else (part.rank_in, part.rank_out)
            for part in (edited.by_hand if edited else ())
        }
        return {
            "importance": importance,
            "pinned": pinned,
            "rank_multiple": self.rank_multiple,
            "layers": self.layers,
        }

    def plan(
        self,
        spectra: Spectra,
        importance: Importance | None = None,
        edited: Plan | None = None,
        times: NetworkTimes | None = None,
    ) -> Plan:
        """Return the plan by these settings, with the choices by hand in `edited`.

        Raises
        ------
        PlanError : if the budget cannot be met, naming the best that can be reached, or the times are not known yet.
        """
        if self.planner == "evbmf":
            plan = evbmf_plan(spectra, self.layers, strength=self.strength)
        else:
            arguments = self.budget(importance, edited)
            if self.planner == "budget":
                limit = self.weights_ratio if self.weights_ratio > 1 else None
                plan = budget_plan(spectra, self.macs_ratio, weights_ratio=limit, **arguments)
            elif times is None:
                raise PlanError("the layers' times on this machine are not known yet: press Time layers")
            else:
                arguments |= {"time_ratio": self.time_ratio, "times": times, "min_gain": MIN_TIME_GAIN}
                plan = budget_plan(spectra, **arguments)
        return with_hand_edits(plan, edited)


def with_hand_edits(plan: Plan, edited: Plan | None) -> Plan:
    """Return a plan with the choices by hand in another one."""
    for part in edited.by_hand if edited else ():
        plan = plan.with_layer(part)
    return plan
