"""Forecast what budgets of MACs will cost in answers, before anything is compressed."""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.network.inputs import Images
from workbench.network.network import Network
from workbench.plan.budget import budget_plan
from workbench.plan.importance import Forecast, Importance, importance
from workbench.plan.plan import Plan, PlanError
from workbench.plan.spectra import Spectra, analyze
from workbench.progress import Progress
from workbench.tables import Table

MIN_RATIO, MAX_RATIO = 1.05, 30.0
"""Smallest and largest original / compressed MACs that are looked at for a tolerated loss."""
RATIO_STEP = 1.01
"""Quotient of two ratios of MACs below which their forecasts are taken as equal."""
RATIOS = (1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0)
"""Original / compressed MACs of the curve's points."""


@dataclass(frozen=True, repr=False)
class ForecastCurve(Table):
    """Forecasts for plans to budgets of MACs, from the smallest ratio to the largest that the network allows."""

    network: str
    plans: tuple[Plan, ...]
    forecasts: tuple[Forecast, ...]

    headers = ("MACs", "weights", "answers that stay", "from", "to", "outputs' change")
    left = ()

    @property
    def caption(self) -> str:
        """Name of the network, and what is forecast."""
        return f"Forecast for {self.network} after calibration"

    @property
    def rows(self) -> list[list[str]]:
        """One line a plan."""
        rows = []
        for plan, found in zip(self.plans, self.forecasts, strict=True):
            shares = ["-" if v is None else f"{v:.1%}" for v in (found.agreement, found.low, found.high)]
            rows.append([f"x{plan.macs_ratio:.2f}", f"x{plan.weights_ratio:.2f}", *shares, f"{found.lost:.2%}"])
        return rows


def forecast_curve(
    network: Network,
    images: Images,
    *,
    ratios: Sequence[float] = RATIOS,
    spectra: Spectra | None = None,
    measured: Importance | None = None,
    progress: Progress | bool | None = None,
) -> ForecastCurve:
    """Forecast the agreement with the original after calibration, for budgets of MACs.

    Parameters
    ----------
    images : as the data hold them; labels are not looked at. 48 or more.
    ratios : original / compressed MACs; those beyond what the network allows are left out.
    spectra, measured : of the network, if they are known: its importance is measured in several passes over the
        images, and all else is arithmetic.
    progress : called during the measurement; raising `Cancelled` ends it.

    Raises
    ------
    PlanError : if the importance is not of the network of the spectra.
    """
    spectra = spectra or analyze(network)
    measured = measured or importance(network, spectra, images, progress=progress)
    if measured.network != spectra.network:
        raise PlanError(f"this importance is of {measured.network}, the spectra of {spectra.network}")
    plans = []
    for ratio in sorted(ratios):
        try:
            plans.append(budget_plan(spectra, ratio, importance=measured))
        except PlanError:
            break
    found = (plan.forecast(network, images, importance=measured) for plan in plans)
    return ForecastCurve(network.name, tuple(plans), tuple(found))


def largest_ratio(spectra: Spectra, measured: Importance, max_loss: float) -> float | None:
    """Return the largest original / compressed MACs at which at most a share `max_loss` of accuracy should be lost.

    It is 1.05 if more is lost at any ratio; None if there is no plan for that, or the outputs are no classes.
    """

    def lost(ratio: float) -> float:
        try:
            found = measured.forecast(budget_plan(spectra, ratio, importance=measured).ranks)
        except PlanError:
            return 1.0
        return found.accuracy_lost or 0.0

    low, high = MIN_RATIO, MAX_RATIO
    if measured.leading is None or lost(low) == 1:
        return None
    while high > low * RATIO_STEP:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if lost(middle) <= max_loss else (low, middle)
    return low
