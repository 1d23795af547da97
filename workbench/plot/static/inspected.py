"""Images with what the networks answer, and scores against a rank."""

from collections.abc import Sequence
from itertools import zip_longest

from matplotlib.figure import Figure

from workbench.inspect.gallery import Gallery
from workbench.inspect.rank_curve import CurvePoint
from workbench.plot.colors import BLUE, ORANGE
from workbench.plot.static.base import NotebookFigure, new_axes


def gallery(found: Gallery, title: str = "") -> Figure:
    """Draw images with their true class, and what each network answers, right (✓) or wrong (✗)."""
    columns = min(6, len(found.pictures))
    rows = -(-len(found.pictures) // columns)
    figure = NotebookFigure(figsize=(1.9 * columns, 2.4 * rows), layout="constrained")
    figure.suptitle(title)
    for axes, picture in zip_longest(figure.subplots(rows, columns, squeeze=False).flat, found.pictures):
        axes.axis("off")
        if picture is None:
            continue
        axes.imshow(picture.image, interpolation="nearest")
        axes.set_title("\n".join(picture.lines), fontsize=8, loc="left")
    return figure


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
