"""Interactive figures: pure functions of results that return {"data": [...], "layout": {...}} for plotly.js."""

from workbench.plot.interactive.energy import energy, power
from workbench.plot.interactive.factors import factors
from workbench.plot.interactive.layers import layer_costs
from workbench.plot.interactive.rank_curve import rank_curve
from workbench.plot.interactive.roofline import layer_times, roofline
from workbench.plot.interactive.spectrum import spectrum
from workbench.plot.interactive.tradeoff import stages, tradeoff
from workbench.plot.interactive.training import training_curve

__all__ = [
    "energy",
    "factors",
    "layer_costs",
    "layer_times",
    "power",
    "rank_curve",
    "roofline",
    "spectrum",
    "stages",
    "tradeoff",
    "training_curve",
]
