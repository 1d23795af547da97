"""All layers at a glance: what each costs as it is and as planned. Figures only, no widgets."""

import plotly.graph_objects as go

from workbench.plan.plan import Plan
from workbench.plot.interactive.base import BLUE, GREY, HATCH, VERMILLION, axis, layout
from workbench.plot.interactive.plain import Drawing
from workbench.tables import count, times

MEASURES = {"macs": "MACs per image", "weights": "weights"}


def glance_figure() -> go.Figure:
    """Empty figure for :func:`fill_glance`: two bars a layer, one in front of the other."""
    figure = go.Figure()
    hover = "%{customdata}<extra></extra>"
    behind = {"color": GREY, "pattern": {"shape": "/", "fgcolor": HATCH, "size": 5}}
    figure.add_trace(go.Bar(name="original", marker=behind, hovertemplate=hover, width=0.86))
    figure.add_trace(go.Bar(name="planned", marker={"color": BLUE}, hovertemplate=hover, width=0.5))
    picked = {"symbol": "triangle-down", "color": VERMILLION, "size": 11}
    figure.add_trace(go.Scatter(name="picked layer", mode="markers", marker=picked, hovertemplate=hover))
    figure.update_layout(layout(250, barmode="overlay", margin={"t": 34}, legend={"y": 1.02, "yanchor": "bottom"}))
    figure.update_xaxes(axis("", showgrid=False, tickangle=0, fixedrange=True))
    figure.update_yaxes(axis("", rangemode="tozero", fixedrange=True))
    return figure


def fill_glance(figure: Drawing, plan: Plan | None, selected: str, measure: str) -> None:
    """Cost of every layer, original and planned; the picked one is marked.

    Parameters
    ----------
    measure : "macs" or "weights".
    """
    parts = list(plan or ())
    numbers = list(range(1, len(parts) + 1))
    before = [getattr(part.layer.cost, measure) for part in parts]
    after = [getattr(part.cost, measure) for part in parts]
    words = [
        f"{part.name}<br>{count(old)} → {count(new)} {MEASURES[measure]}"
        + (f" ({times(old / new)} fewer)" if 0 < new < old else "")
        for part, old, new in zip(parts, before, after, strict=True)
    ]
    names = [part.name for part in parts]
    at = [names.index(selected)] if selected in names else []
    top = max(before, default=1) * 1.06
    with figure.batch_update():
        for trace, values in zip(figure.data[:2], (before, after), strict=True):
            trace.x, trace.y, trace.customdata, trace.ids = numbers, values, words, names
        mark = figure.data[2]
        mark.x, mark.y = [numbers[i] for i in at], [max(before[i], after[i]) + 0.05 * top for i in at]
        mark.customdata, mark.ids = [words[i] for i in at], [names[i] for i in at]
        figure.layout.yaxis.title.text = MEASURES[measure]
        figure.layout.yaxis.range = (0, top * 1.08)
        figure.layout.xaxis.range = (0.4, len(parts) + 0.6)
        short = len(parts) <= 12
        figure.layout.xaxis.tickvals = numbers if short else None
        figure.layout.xaxis.ticktext = names if short else None
        figure.layout.xaxis.title.text = "layer" if short else "layer, in the order of the table"
