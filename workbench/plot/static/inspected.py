"""Images with answers, scores against a rank, and parts of a network under the roofline."""

from collections.abc import Sequence
from itertools import zip_longest

from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from workbench.inspect.gallery import Gallery
from workbench.inspect.rank_curve import CurvePoint
from workbench.measure.profile import PART_KINDS, Profile
from workbench.measure.roofline import Roofline
from workbench.plot.colors import BLUE, INK, KIND_MARKS, ORANGE
from workbench.plot.static.base import NotebookFigure, new_axes
from workbench.tables import count, quantity

MARKERS = {"circle": "o", "square": "s", "triangle-up": "^", "diamond": "D"}
"""Plotly's name of a symbol -> matplotlib's."""


def gallery(found: Gallery, title: str = "") -> Figure:
    """Draw images with their true class and each network's answer, right (✓) or wrong (✗)."""
    columns = min(6, len(found.pictures))
    rows = -(-len(found.pictures) // columns)
    figure = NotebookFigure(figsize=(1.9 * columns, 2.4 * rows), layout="constrained")
    figure.suptitle(title)
    for axes, picture in zip_longest(figure.subplots(rows, columns, squeeze=False).flat, found.pictures):
        axes.axis("off")
        if picture is not None:
            axes.imshow(picture.image, interpolation="nearest")
            axes.set_title("\n".join(picture.lines), fontsize=8, loc="left")
    return figure


def rank_curve(points: Sequence[CurvePoint], title: str = "") -> Figure:
    """Draw accuracy with its 95 % interval, and agreement with the original, against the output rank of one layer."""
    images_text = f" of {points[0].agreement.n} images" if points else ""
    figure, axes = new_axes("output rank", f"share{images_text} (%)", title)
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


def roofline(profile: Profile, roof: Roofline | None = None, title: str = "") -> Figure:
    """Draw each part of the original (hollow) and of the compressed network (filled); its area is its time.

    Parameters
    ----------
    roof : of this machine. A part can lie above it, since data in a cache do not wait for the memory.
    """
    figure, axes = new_axes("multiply-adds for each byte moved", "billion multiply-adds a second", title, 4.6)
    axes.set(xscale="log", yscale="log")
    parts = [part for _, _, group in profile.timed() for part in group]
    slowest = max((part.seconds for part in parts), default=1.0)
    for network, kind, group in profile.timed():
        symbol, color = KIND_MARKS[kind]
        hollow = {"facecolors": "none", "edgecolors": color}
        style = hollow if network == "original" else {"color": color, "alpha": 0.85}
        areas = [20 + 380 * part.seconds / slowest for part in group]
        x, y = [part.intensity for part in group], [part.rate / 1e9 for part in group]
        axes.scatter(x, y, areas, marker=MARKERS[symbol], label=f"{network}: {PART_KINDS[kind]}", **style)
    if roof is not None:
        line = roof.line([part.intensity for part in parts])
        axes.plot(*zip(*line, strict=True), color=INK, linewidth=2, label="this machine's roof")
        text = f"{quantity(roof.bandwidth, 'B/s')}, {count(roof.peak)} MAC/s"
        axes.annotate(text, line[1], (0, 6), textcoords="offset points", fontsize=8)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    legend = axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set_sizes([40])
    return figure
