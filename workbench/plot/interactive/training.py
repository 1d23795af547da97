"""The curve of a training: validation score and loss by epoch."""

from collections.abc import Sequence
from math import isfinite

from workbench.network.scores import Score
from workbench.plot.colors import BLUE, ORANGE
from workbench.plot.interactive.base import Figure, axis, empty, figure, percent, scatter
from workbench.recover.checkpoint import Epoch

MAX_ERROR_BARS = 30
"""Points of the curve up to which intervals are drawn; more bars hide the curve (the CSV file has them)."""
MAX_NUMBERED_EPOCHS = 12
"""Epochs up to which each has its number on the axis."""


def training_curve(epochs: Sequence[Epoch], before: Score | None = None) -> Figure:
    """Draw validation score and training loss by epoch; `before` is the score at epoch 0, if `epochs` lack it."""
    if not epochs:
        return empty("The curve appears here while the network is fine-tuned.")
    points = [(epoch.epoch, epoch.validation) for epoch in epochs if epoch.validation is not None]
    if before is not None and epochs[0].epoch > 0:
        points.insert(0, (0, before))
    losses = [(epoch.epoch, epoch.loss) for epoch in epochs if isfinite(epoch.loss)]
    accuracy = {
        **scatter([x for x, _ in points], [], "lines+markers", name="validation accuracy"),
        **percent([score for _, score in points], width=3),
        "line": {"color": BLUE, "width": 2.5},
        "marker": {"size": 7},
        "hovertemplate": "epoch %{x}<br>validation accuracy %{y:.2f} %<extra></extra>",
    }
    accuracy["error_y"]["color"] = BLUE if len(points) <= MAX_ERROR_BARS else "rgba(0,0,0,0)"
    loss = {
        **scatter([x for x, _ in losses], [y for _, y in losses], "lines+markers", name="training loss (right axis)"),
        "yaxis": "y2",
        "line": {"color": ORANGE, "width": 1.5, "dash": "dot"},
        "marker": {"size": 6, "symbol": "diamond"},
        "hovertemplate": "epoch %{x}<br>training loss %{y:.4f}<extra></extra>",
    }
    count = f"<br>of {points[-1][1].n} images" if points else ""
    step = {"dtick": 1} if len(epochs) <= MAX_NUMBERED_EPOCHS else {}
    right = {"anchor": "x", "overlaying": "y", "side": "right", "tickmode": "auto", "nticks": 6}
    return figure(
        [accuracy, loss],
        330,
        margin={"l": 74, "r": 64, "t": 12},
        legend={"y": -0.2},
        xaxis=axis("epoch", rangemode="tozero", showgrid=False, domain=[0, 0.94], **step),
        yaxis=axis(f"validation accuracy (%){count}"),
        yaxis2=axis("training loss", rangemode="tozero", showgrid=False, **right),
    )
