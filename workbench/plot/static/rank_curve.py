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
        ranks, scores = zip(*scored, strict=True)
        low, high = zip(*(score.interval for score in scores), strict=True)
        axes.plot(ranks, [100 * score.top1 for score in scores], "o-", color=BLUE, label="accuracy")
        band = {"color": BLUE, "alpha": 0.15, "linewidth": 0}
        axes.fill_between(ranks, [100 * x for x in low], [100 * x for x in high], label="95 % interval", **band)
    agreement = [100 * point.agreement.top1 for point in points]
    ranks = [point.rank_out for point in points]
    axes.plot(ranks, agreement, "s:", color=ORANGE, label="same answer as the original")
    axes.set_ylim(0, 105)
    axes.legend(frameon=False)
    return figure
