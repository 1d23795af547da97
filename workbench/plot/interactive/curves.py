"""Curves of scores: by epoch while a network is trained, and by the rank of one layer."""

from collections.abc import Sequence
from math import isfinite

from workbench.inspect.rank_curve import CurvePoint
from workbench.network.scores import Score
from workbench.plot.colors import BLUE, ORANGE
from workbench.plot.interactive.base import Figure, axis, empty, figure, line, percent, scatter
from workbench.recover.checkpoint import Epoch

MAX_ERROR_BARS = 30
"""Points of the curve up to which intervals are drawn; more bars hide the curve (the CSV file has them)."""
MAX_NUMBERED_EPOCHS = 12
"""Epochs up to which each has its number on the axis."""


def training_curve(epochs: Sequence[Epoch], before: Score | None = None) -> Figure:
    """Draw validation score and training loss by epoch; `before` is the score at epoch 0, if `epochs` lack it."""
    if not epochs:
        return empty("The curve appears here while the network is fine-tuned.")
    points = [(epoch.epoch, epoch.validation) for epoch in epochs]
    kind = points[0][1].kind
    if before is not None and before.kind == kind and epochs[0].epoch > 0:
        points.insert(0, (0, before))
    bars = BLUE if len(points) <= MAX_ERROR_BARS else "rgba(0,0,0,0)"
    unit = " %" if points[0][1].is_share else ""
    accuracy = {
        **scatter([x for x, _ in points], [], "lines+markers", name=f"validation {kind}", marker={"size": 7}),
        **percent([score for _, score in points], width=3, color=bars),
        "line": {"color": BLUE, "width": 2.5},
        "hovertemplate": f"epoch %{{x}}<br>validation {kind} %{{y:.4g}}{unit}<extra></extra>",
    }
    loss = {
        **line([(e.epoch, e.loss) for e in epochs if isfinite(e.loss)], name="training loss (right axis)", yaxis="y2"),
        "mode": "lines+markers",
        "line": {"color": ORANGE, "width": 1.5, "dash": "dot"},
        "marker": {"size": 6, "symbol": "diamond"},
        "hovertemplate": "epoch %{x}<br>training loss %{y:.4f}<extra></extra>",
    }
    count = f"<br>of {points[-1][1].n} images"
    step = {"dtick": 1} if len(epochs) <= MAX_NUMBERED_EPOCHS else {}
    right = {"anchor": "x", "overlaying": "y", "side": "right", "tickmode": "auto", "nticks": 6}
    axes = {
        "xaxis": axis("epoch", rangemode="tozero", showgrid=False, domain=[0, 0.94], **step),
        "yaxis": axis(f"validation {kind}{' (%)' if unit else ''}{count}"),
        "yaxis2": axis("training loss", rangemode="tozero", showgrid=False, **right),
    }
    legend = {"y": 1.02, "yanchor": "bottom"}  # below, it would cover the axis where the figure is low
    return figure([accuracy, loss], 330, margin={"l": 74, "r": 64, "t": 30}, legend=legend, **axes)


def rank_curve(layer: str, points: Sequence[CurvePoint]) -> Figure:
    """Draw accuracy with its 95 % interval, and agreement with the original, against the output rank of one layer."""
    if not points:
        return empty("The curve appears here once a layer has been tried.")
    common = {
        **scatter([p.rank_out for p in points], [], "lines+markers"),
        "customdata": [f"ranks {p.rank_in} x {p.rank_out}" if p.rank_in else f"rank {p.rank_out}" for p in points],
        "hovertemplate": "%{customdata}<br>%{y:.1f} %<extra>%{fullData.name}</extra>",
    }
    dotted, solid = {"color": ORANGE, "dash": "dot", "width": 2}, {"color": BLUE, "dash": "solid", "width": 2}
    agreement = [100 * p.agreement.top1 for p in points]
    data = [{**common, "name": "same answer as the original", "y": agreement, "line": dotted}]
    scores = [p.accuracy for p in points if p.accuracy is not None]
    if scores:
        data.insert(0, {**common, "name": "accuracy", **percent(scores, color=BLUE, width=4), "line": solid})
    title = {"text": f"only {layer} decomposed", "font": {"size": 13}}
    x, y = axis("output rank", rangemode="tozero"), axis(f"share of {points[0].agreement.n} images (%)", range=[0, 105])
    return figure(data, 300, margin={"t": 30}, legend={"y": -0.25}, title=title, xaxis=x, yaxis=y)
