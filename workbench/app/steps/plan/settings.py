"""The planners that a user can choose from, and their settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from workbench.plan.budget import budget_plan
from workbench.plan.evbmf import evbmf_plan
from workbench.plan.importance import Importance
from workbench.plan.layer_choice import CHOICES
from workbench.plan.layer_times import NetworkTimes
from workbench.plan.plan import Plan, PlanError
from workbench.plan.spectra import Spectra

MIN_TIME_GAIN = 0.05  # share of its time that a layer must save; less is within the error of a measurement
COMMON = ("layers", "rank_multiple")  # settings of every planner, each with its own value


@dataclass(frozen=True)
class Number:
    """A number that a user sets by a slider from `minimum` to `maximum`."""

    text: str
    default: float
    minimum: float
    maximum: float
    label: int = 132  # pixels of the text


@dataclass(frozen=True)
class Planner:
    """A way to choose ranks, as the page offers it."""

    name: str
    explanation: str
    numbers: Mapping[str, Number]
    plan: Callable[..., Plan]  # (settings, spectra, times, **arguments of a budget plan)
    layers: str = "all"
    rank_multiple: int | None = None  # None: ranks are not rounded
    uses_importance: bool = True
    uses_times: bool = False


def _plan_by_evbmf(settings: "PlanSettings", spectra: Spectra, times: object, **budget: Any) -> Plan:
    return evbmf_plan(spectra, settings["layers"], strength=settings["strength"])


def _plan_by_work(settings: "PlanSettings", spectra: Spectra, times: object, **budget: Any) -> Plan:
    limit = settings["weights_ratio"] if settings["weights_ratio"] > 1 else None
    return budget_plan(spectra, settings["macs_ratio"], weights_ratio=limit, **budget)


def _plan_by_time(settings: "PlanSettings", spectra: Spectra, times: NetworkTimes | None, **budget: Any) -> Plan:
    if times is None:
        raise PlanError("the layers' times on this machine are not known yet: press Time layers")
    return budget_plan(spectra, time_ratio=settings["time_ratio"], times=times, min_gain=MIN_TIME_GAIN, **budget)


PLANNERS = {
    "evbmf": Planner(
        "EVBMF: the paper's way",
        "EVBMF finds in each layer how many directions stand out from the noise, and keeps those. A strength above 1 "
        "cuts harder than the paper, one below 1 more gently.",
        {"strength": Number("EVBMF strength", 1.0, 0.3, 2.0)},
        _plan_by_evbmf,
        layers="default",
        uses_importance=False,
    ),
    "budget": Planner(
        "a budget of work",
        "The layers share the saving so that the least is lost.",
        {  # weights_ratio 1 is no limit
            "macs_ratio": Number("fewer MACs, times", 2.0, 1.1, 10.0),
            "weights_ratio": Number("fewer weights, times", 1.0, 1.0, 10.0, label=146),
        },
        _plan_by_work,
        rank_multiple=1,
    ),
    "time": Planner(
        "a budget of time on this machine",
        "You choose how much faster the network is to be here; ranks go by each layer's measured time, and a layer "
        "that would not be faster stays as it is.",
        {"time_ratio": Number("times as fast", 1.5, 1.05, 6.0)},
        _plan_by_time,
        rank_multiple=8,
        uses_times=True,
    ),
}
NUMBERS = {name: number for planner in PLANNERS.values() for name, number in planner.numbers.items()}


def _defaults() -> dict[str, Any]:
    values: dict[str, Any] = {name: number.default for name, number in NUMBERS.items()}
    for name, planner in PLANNERS.items():
        values |= {f"{name}_layers": planner.layers, f"{name}_rank_multiple": planner.rank_multiple or 1}
    return values


@dataclass(frozen=True)
class PlanSettings:
    """The chosen planner, and the settings of all; keys of `COMMON` in `values` are "evbmf_layers" and so on."""

    planner: str = "evbmf"
    values: Mapping[str, Any] = field(default_factory=_defaults)

    def __getitem__(self, name: str) -> Any:
        return self.values[f"{self.planner}_{name}" if name in COMMON else name]

    def changed(self, *, planner: str | None = None, **changes: Any) -> "PlanSettings":
        """Return settings with changes; `layers` and `rank_multiple` change for the new planner only."""
        planner = planner or self.planner
        values = {f"{planner}_{name}" if name in COMMON else name: value for name, value in changes.items()}
        return replace(self, planner=planner, values={**self.values, **values})

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "PlanSettings":
        """Return settings from stored values and defaults; raise ValueError if one is out of range."""
        names = {*_defaults(), *COMMON, "planner"}
        settings = cls().changed(**{name: value for name, value in values.items() if name in names})
        checks = [settings.planner in PLANNERS]
        for name, number in NUMBERS.items():  # a notebook may go ten times beyond the slider's ends
            value = settings[name]
            checks.append(isinstance(value, int | float) and number.minimum / 10 <= value <= 10 * number.maximum)
        for name in PLANNERS:
            multiple = settings.values[f"{name}_rank_multiple"]
            checks += [settings.values[f"{name}_layers"] in CHOICES, isinstance(multiple, int) and 1 <= multiple <= 100]
        if not all(checks):
            raise ValueError("settings of the planner make no sense")
        return settings

    def used(self) -> dict[str, Any]:
        """Return the settings of the chosen planner, for the store."""
        planner = PLANNERS[self.planner]
        names = ["layers", *planner.numbers, *(["rank_multiple"] if planner.rank_multiple else [])]
        return {"planner": self.planner, **{name: self[name] for name in names}}

    def budget(self, importance: Importance | None, edited: Plan | None) -> dict[str, Any]:
        """Return the arguments of a budget plan that keeps the choices by hand in `edited`."""
        pinned = {part.name: part for part in (edited.by_hand if edited else ())}
        return {"importance": importance, "pinned": pinned, **{name: self[name] for name in COMMON}}

    def plan(
        self,
        spectra: Spectra,
        importance: Importance | None = None,
        edited: Plan | None = None,
        times: NetworkTimes | None = None,
    ) -> Plan:
        """Return the plan by these settings with the choices by hand in `edited`; PlanError if they cannot be met."""
        plan = PLANNERS[self.planner].plan(self, spectra, times, **self.budget(importance, edited))
        return with_hand_edits(plan, edited)


def with_hand_edits(plan: Plan, edited: Plan | None) -> Plan:
    """Return a plan with the choices by hand of another plan."""
    for part in edited.by_hand if edited else ():
        plan = plan.with_layer(part)
    return plan
