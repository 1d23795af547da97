"""Cost of every layer, original and planned."""

from workbench.plan.plan import Plan
from workbench.plot.colors import BLUE, GREY, HATCH, VERMILLION
from workbench.plot.interactive.base import HOVER, Figure, axis, layout
from workbench.tables import count, times

MEASURES = {"macs": "MACs per image", "weights": "weights"}
"""What is counted -> its name on the page."""
MAX_NAMED_LAYERS = 12
"""Layers up to which each has its name on the axis."""


def layer_costs(plan: Plan | None, selected: str = "", measure: str = "macs") -> Figure:
    """Draw two bars a layer, original and planned, with a mark on the selected layer.

    Parameters
    ----------
    selected : name of a layer.
    measure : "macs" or "weights".
    """
    parts = list(plan or ())
    numbers = list(range(1, len(parts) + 1))
    names = [part.name for part in parts]
    before = [getattr(part.layer.cost, measure) for part in parts]
    after = [getattr(part.cost, measure) for part in parts]
    hovers = [
        f"{name}<br>{count(old)} → {count(new)} {MEASURES[measure]}"
        + (f" ({times(old / new)} fewer)" if 0 < new < old else "")
        for name, old, new in zip(names, before, after, strict=True)
    ]
    at = [names.index(selected)] if selected in names else []
    top = 1.06 * max(before, default=1)
    common = {"hovertemplate": HOVER}
    bars = {"type": "bar", "x": numbers, "customdata": hovers, "ids": names, **common}
    behind = {"color": GREY, "pattern": {"shape": "/", "fgcolor": HATCH, "size": 5}}
    mark = {
        "type": "scatter",
        "name": "picked layer",
        "mode": "markers",
        "x": [numbers[i] for i in at],
        "y": [max(before[i], after[i]) + 0.05 * top for i in at],
        "customdata": [hovers[i] for i in at],
        "ids": [names[i] for i in at],
        "marker": {"symbol": "triangle-down", "color": VERMILLION, "size": 11},
        **common,
    }
    named = len(parts) <= MAX_NAMED_LAYERS
    across = axis("layer" if named else "layer, in the order of the table", showgrid=False, tickangle=0)
    ticks = {"tickvals": numbers, "ticktext": names} if named else {}
    fixed = {"fixedrange": True}
    return {
        "data": [
            {**bars, "name": "original", "y": before, "marker": behind, "width": 0.86},
            {**bars, "name": "planned", "y": after, "marker": {"color": BLUE}, "width": 0.5},
            mark,
        ],
        "layout": layout(
            250,
            barmode="overlay",
            legend={"y": 1.02, "yanchor": "bottom"},
            xaxis={**across, **ticks, **fixed, "range": [0.4, len(parts) + 0.6]},
            yaxis=axis(MEASURES[measure], rangemode="tozero", range=[0, 1.08 * top], **fixed),
        ),
    }
