"""Scores against the rank of one layer."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from workbench.inspect.rank_curve import CurvePoint
from workbench.plot.colors import BLUE, ORANGE
from workbench.plot.static.base import new_axes


def rank_curve(points: Sequence[CurvePoint], title: str = "") -> Figure:
    """Draw accuracy with its 95 % interval, and agreement with the original, against the output rank of one layer."""
    count = f" of {points[0].agreement.n} images" if points else ""
    figure, axes = new_axes("output rank", f"share{count} (%)", title)
    scored = [(point.rank_out, point.accuracy) for point in points if point.accuracy is not None]
    if scored:
        ranks, scores = [rank for rank, _ in scored], [score for _, score in scored]
        low, high = ([100 * score.interval[i] for score in scores] for i in (0, 1))
        axes.plot(ranks, [100 * score.top1 for score in scores], "o-", color=BLUE, label="accuracy")
        axes.fill_between(ranks, low, high, color=BLUE, alpha=0.15, linewidth=0, label="95 % interval")
    agreement = [100 * point.agreement.top1 for point in points]
    ranks = [point.rank_out for point in points]
    axes.plot(ranks, agreement, "s:", color=ORANGE, label="same answer as the original")
    axes.set_ylim(0, 105)
    axes.legend(frameon=False)
    return figure
