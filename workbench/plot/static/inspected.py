"""Images with answers, scores against a rank, parts of a network under the roofline, and what a low rank keeps."""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from workbench.inspect.gallery import Gallery
from workbench.inspect.low_rank import LowRankFilters, NoisyDigits
from workbench.inspect.rank_curve import CurvePoint
from workbench.measure.profile import PART_KINDS, Profile
from workbench.measure.roofline import Roofline
from workbench.plot.colors import BLUE, GREY, INK, KIND_MARKS, ORANGE, VERMILLION
from workbench.plot.static.base import NotebookFigure, new_axes
from workbench.plot.static.kernel import SIGNED
from workbench.tables import count, quantity

MARKERS = {"circle": "o", "square": "s", "triangle-up": "^", "diamond": "D"}
"""Plotly's name of a symbol -> matplotlib's."""


def gallery(found: Gallery, title: str = "") -> Figure:
    """Draw images with their true class, and what each network answers, right (✓) or wrong (✗)."""
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


def roofline(profile: Profile, roof: Roofline | None = None, title: str = "") -> Figure:
    """Draw each part of the original (hollow) and the compressed network (filled), as large as the time it takes.

    Parameters
    ----------
    roof : of this machine. A part can lie above it: what is in a cache does not wait for the memory.
    """
    figure, axes = new_axes("multiply-adds for each byte moved", "billion multiply-adds a second", title, 4.6)
    axes.set(xscale="log", yscale="log")
    parts = [part for _, _, found in profile.timed() for part in found]
    slowest = max((part.seconds for part in parts), default=1.0)
    for which, kind, found in profile.timed():
        symbol, color = KIND_MARKS[kind]
        hollow = {"facecolors": "none", "edgecolors": color}
        look = hollow if which == "original" else {"color": color, "alpha": 0.85}
        areas = [20 + 380 * part.seconds / slowest for part in found]
        x, y = [part.intensity for part in found], [part.rate / 1e9 for part in found]
        axes.scatter(x, y, areas, marker=MARKERS[symbol], label=f"{which}: {PART_KINDS[kind]}", **look)
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


def low_rank_filters(shown: LowRankFilters) -> NotebookFigure:
    """Draw the patterns, filters and feature maps at a rank, those of the original, and the digit."""
    figure = NotebookFigure(figsize=(8.6, 4.2), layout="constrained")
    figure.suptitle(shown.summary, fontsize=10)
    grid = figure.add_gridspec(5, 12, height_ratios=(1, 1, 1, 1.4, 1.4))
    full = [strip for name, strip in shown.strips.items() if name.endswith("original")]
    for i, (name, strip) in enumerate(shown.strips.items()):
        axes, original = figure.add_subplot(grid[i, 2:]), full[name.startswith("maps")]
        limit = float(np.nanmax(np.abs(strip if name == "patterns" else original))) or 1.0
        axes.imshow(strip, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set(xlim=(-0.5, original.shape[1] - 0.5), xticks=[], yticks=[])
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        axes.spines[:].set_visible(False)
    axes = figure.add_subplot(grid[3:, 0])
    axes.imshow(shown.picture, cmap="gray_r", interpolation="nearest")
    axes.axis("off")
    return figure


def noisy_digits(shown: NoisyDigits) -> NotebookFigure:
    """Draw singular values beside the free energy, which share an axis: the minimum is as high as the threshold."""
    figure = NotebookFigure(figsize=(9.2, 3.8), layout="constrained")
    figure.suptitle(shown.summary, fontsize=10)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.6, 1, 1))
    middle.sharey(left)
    found, rank = shown.found, shown.found.rank
    index = np.arange(1, len(found.singular_values) + 1)
    left.bar(index[:rank], found.singular_values[:rank], color=BLUE, label=f"signal: rank {rank}")
    left.bar(index[rank:], found.singular_values[rank:], color=GREY, label="noise")
    left.plot(index, shown.clean, ".", color=ORANGE, label="before the noise")
    thresholds, energies = shown.valley()
    middle.plot(energies, thresholds, color=INK, label="free energy")
    middle.plot([0], [found.threshold], "*", color=VERMILLION, markersize=14, label="its minimum")
    left.set(xlabel="direction, strongest first", ylabel="singular value; threshold")
    left.set_ylim(0, 1.1 * max(found.singular_values[0], found.threshold))
    middle.set(xlabel="free energy above its minimum", xlim=(-0.06, 0.6))
    for axes in (left, middle):
        axes.axhline(found.threshold, color=VERMILLION, linestyle="--")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    right.imshow(shown.pictures, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    right.set_title("original, with noise, denoised", fontsize=9)
    right.axis("off")
    return figure
