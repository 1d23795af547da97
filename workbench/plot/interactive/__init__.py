"""Interactive figures: pure functions of results that return {"data": [...], "layout": {...}} for plotly.js."""

from workbench.plot.interactive.energy import energy as energy
from workbench.plot.interactive.energy import power as power
from workbench.plot.interactive.factors import factors as factors
from workbench.plot.interactive.layers import layer_costs as layer_costs
from workbench.plot.interactive.rank_curve import rank_curve as rank_curve
from workbench.plot.interactive.roofline import layer_times as layer_times
from workbench.plot.interactive.roofline import roofline as roofline
from workbench.plot.interactive.spectrum import spectrum as spectrum
from workbench.plot.interactive.tradeoff import stages as stages
from workbench.plot.interactive.tradeoff import tradeoff as tradeoff
from workbench.plot.interactive.training import training_curve as training_curve
