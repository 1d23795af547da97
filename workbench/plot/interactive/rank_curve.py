"""Scores against the rank of one layer."""

from collections.abc import Sequence

from workbench.inspect.rank_curve import CurvePoint
from workbench.plot.colors import BLUE, ORANGE
from workbench.plot.interactive.base import Figure, axis, empty, figure, percent, scatter


def rank_curve(layer: str, points: Sequence[CurvePoint]) -> Figure:
    """Draw accuracy with its 95 % interval, and agreement with the original, against the output rank of one layer."""
    if not points:
        return empty("The curve appears here once a layer has been tried.")
    common = {
        **scatter([p.rank_out for p in points], [], "lines+markers"),
        "customdata": [f"ranks {p.rank_in} x {p.rank_out}" if p.rank_in else f"rank {p.rank_out}" for p in points],
        "hovertemplate": "%{customdata}<br>%{y:.1f} %<extra>%{fullData.name}</extra>",
    }
    line = {"color": ORANGE, "dash": "dot", "width": 2}
    agreement = [100 * p.agreement.top1 for p in points]
    data = [{**common, "name": "same answer as the original", "y": agreement, "line": line}]
    scores = [p.accuracy for p in points if p.accuracy is not None]
    if scores:
        line = {"color": BLUE, "dash": "solid", "width": 2}
        data.insert(0, {**common, "name": "accuracy", **percent(scores, color=BLUE, width=4), "line": line})
    return figure(
        data,
        300,
        margin={"t": 30},
        legend={"y": -0.25},
        title={"text": f"only {layer} decomposed", "font": {"size": 13}},
        xaxis=axis("output rank", rangemode="tozero"),
        yaxis=axis(f"share of {points[0].agreement.n} images (%)", range=[0, 105]),
    )
