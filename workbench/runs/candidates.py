"""Choose the plans that the automatic compression tries, by what is expected of budgets of MACs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.plan.budget import Pin, budget_plan
from workbench.plan.evbmf import evbmf_plan
from workbench.plan.forecast import largest_ratio
from workbench.plan.importance import Importance
from workbench.plan.plan import Plan, PlanError
from workbench.plan.spectra import Spectra
from workbench.tables import times

FIRST_MACS_RATIO = 2.0
"""Original / compressed MACs of the first plan if the given one saves nothing."""
MAX_CORRECTION = 4.0
"""Largest factor by which the forecast loss is corrected after a try."""


@dataclass(frozen=True)
class Candidates:
    """The plans to try for a network.

    Parameters
    ----------
    importance : of the layers; None to measure errors in the weights.
    max_drop : points of accuracy that may be lost; None if nothing can be forecast of the loss.
    """

    spectra: Spectra
    importance: Importance | None
    max_drop: float | None

    def first(self, plan: Plan | None, settings: Mapping[str, Any] | None) -> tuple[Plan, dict[str, Any], str]:
        """Return the first plan, the settings that made it, and why it is not the given one in words, or ""."""
        ratio = self.expected_ratio() if plan is None else None
        given = plan or evbmf_plan(self.spectra)
        if ratio is not None and self.importance is not None:
            found, used = self.budget(ratio, given)
            return found, used, f"MACs {times(found.macs_ratio)} fewer: {self.importance.forecast(found.ranks)}"
        if given.saves_nothing:
            found, used = self.budget(FIRST_MACS_RATIO, given)
            return found, used, f"The plan saved nothing: this one is for MACs {times(found.macs_ratio)} fewer"
        default = {"planner": "evbmf", "layers": "default", "strength": 1.0} if plan is None else {}
        return given, dict(settings or default), ""

    def expected_ratio(self, tried: Plan | None = None, lost: float = 0.0) -> float | None:
        """Return the largest ratio of MACs that is expected to lose little enough; None if nothing can be forecast.

        After a plan was `tried` and `lost` that many points, forecasts are corrected by the factor found there.
        """
        if self.importance is None or self.max_drop is None:
            return None
        correction = 1.0
        if tried is not None:
            expected = 100 * (self.importance.forecast(tried.ranks).accuracy_lost or 0.0)
            correction = min(max(expected / max(lost, 1e-9), 1 / MAX_CORRECTION), MAX_CORRECTION)
        return largest_ratio(self.spectra, self.importance, correction * self.max_drop / 100)

    def budget(self, macs_ratio: float, plan: Plan) -> tuple[Plan, dict[str, Any]]:
        """Return a plan for a budget of MACs and its settings; layers set by hand in `plan` stay so if that can be met.

        Raises PlanError if there is no plan for the budget.
        """
        by_hand: dict[str, Pin] = {part.name: part for part in plan.by_hand}
        try:
            found = budget_plan(self.spectra, macs_ratio, importance=self.importance, pinned=by_hand)
        except PlanError:  # the budget cannot be met with the layers set by hand
            found = budget_plan(self.spectra, macs_ratio, importance=self.importance)
        settings = {"planner": "budget", "layers": "all", "macs_ratio": macs_ratio}
        return found, {**settings, "weights_ratio": 1.0, "rank_multiple": 1}
