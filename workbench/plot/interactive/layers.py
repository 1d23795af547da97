"""Cost of every layer, original and planned."""

from workbench.plan.plan import Plan
from workbench.plot.colors import BLUE, GREY, HATCH, VERMILLION
from workbench.plot.interactive.base import Figure, axis, bar, figure, hover, scatter
from workbench.tables import count, times

MEASURES = {"macs": "MACs per image", "weights": "weights"}
"""What is counted -> its name on the page."""
MAX_NAMED_LAYERS = 12
"""Layers up to which each has its name on the axis."""


def layer_costs(plan: Plan | None, selected: str = "", measure: str = "macs") -> Figure:
    """Draw two bars a layer, the original's and the planned "macs" or "weights", with a mark on the selected layer."""
    parts = list(plan or ())
    numbers, names = list(range(1, len(parts) + 1)), [part.name for part in parts]
    before = [getattr(part.layer.cost, measure) for part in parts]
    after = [getattr(part.cost, measure) for part in parts]
    texts = [
        f"{name}<br>{count(old)} → {count(new)} {MEASURES[measure]}"
        + (f" ({times(old / new)} fewer)" if 0 < new < old else "")
        for name, old, new in zip(names, before, after, strict=True)
    ]
    top = 1.06 * max(before, default=1)
    each = {**hover(texts), "ids": names}
    behind = {"color": GREY, "pattern": {"shape": "/", "fgcolor": HATCH, "size": 5}}
    at = [i for i, name in enumerate(names) if name == selected]
    marked = {"name": "picked layer", "marker": {"symbol": "triangle-down", "color": VERMILLION, "size": 11}}
    marked |= {**hover(texts[i] for i in at), "ids": [names[i] for i in at]}
    data = [
        bar(numbers, before, name="original", width=0.86, marker=behind, **each),
        bar(numbers, after, name="planned", width=0.5, marker={"color": BLUE}, **each),
        scatter([i + 1 for i in at], [max(before[i], after[i]) + 0.05 * top for i in at], "markers", **marked),
    ]
    named = len(parts) <= MAX_NAMED_LAYERS
    ticks = {"tickvals": numbers, "ticktext": names} if named else {}
    across = {"range": [0.4, len(parts) + 0.6], "showgrid": False, "automargin": True, "fixedrange": True, **ticks}
    x = axis("layer" if named else "layer, in the order of the table", **across)
    y = axis(MEASURES[measure], rangemode="tozero", range=[0, 1.08 * top], fixedrange=True)
    return figure(data, 250, barmode="overlay", legend={"y": 1.02, "yanchor": "bottom"}, xaxis=x, yaxis=y)
