"""Forecast how many answers change at each budget of MACs, before anything is compressed."""

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
"""Bounds of the search for a ratio of original / compressed MACs."""
RATIO_STEP = 1.01
"""The search ends when the quotient of its bounds is below this."""
RATIOS = (1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0)
"""Original / compressed MACs at which a curve is computed."""


@dataclass(frozen=True, repr=False)
class ForecastCurve(Table):
    """Plans to budgets of MACs and their forecasts, by growing ratio."""

    network: str
    plans: tuple[Plan, ...]
    forecasts: tuple[Forecast, ...]

    headers = ("MACs", "weights", "answers that stay", "from", "to", "outputs' change")
    left = ()

    @property
    def caption(self) -> str:
        """Title of the table."""
        return f"Forecast for {self.network} after calibration"

    @property
    def rows(self) -> list[list[str]]:
        """One line per plan."""
        rows = []
        for plan, forecast in zip(self.plans, self.forecasts, strict=True):
            shares = (forecast.agreement, forecast.low, forecast.high)
            texts = ["-" if share is None else f"{share:.1%}" for share in shares]
            rows.append([f"x{plan.macs_ratio:.2f}", f"x{plan.weights_ratio:.2f}", *texts, f"{forecast.lost:.2%}"])
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
    images : 48 or more, as the data hold them (before preprocessing); labels are ignored.
    ratios : original / compressed MACs; those that the network cannot reach are left out.
    spectra, measured : spectra and importance of the network; None to compute them. Measuring the importance takes
        several passes over the images, all else is arithmetic.
    progress : called during the measurement; raising `Cancelled` ends it.

    Raises
    ------
    PlanError : if importance and spectra are of different networks.
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
    forecasts = (plan.forecast(network, images, importance=measured) for plan in plans)
    return ForecastCurve(network.name, tuple(plans), tuple(forecasts))


def largest_ratio(spectra: Spectra, measured: Importance, max_loss: float) -> float | None:
    """Return the largest original / compressed MACs with an expected loss of accuracy (a share) up to `max_loss`.

    It is 1.05 if any ratio loses more; None if no plan reaches 1.05, or the outputs are no classes.
    """

    def accuracy_lost(ratio: float) -> float:
        try:
            forecast = measured.forecast(budget_plan(spectra, ratio, importance=measured).ranks)
        except PlanError:
            return 1.0
        return forecast.accuracy_lost or 0.0

    low, high = MIN_RATIO, MAX_RATIO
    if measured.leading is None or accuracy_lost(low) == 1:
        return None
    while high > low * RATIO_STEP:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if accuracy_lost(middle) <= max_loss else (low, middle)
    return low
