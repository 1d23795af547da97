"""Demonstrations: a sliding filter, filters and feature maps at a rank, EVBMF on noisy pictures."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from workbench.inspect.demonstrations import LowRankFilters, NoisyDigits, SlidingWindow
from workbench.plot.colors import BLUE, GREY, INK, ORANGE, VERMILLION
from workbench.plot.static.base import NotebookFigure
from workbench.plot.static.kernel import SIGNED


def low_rank_filters(demo: LowRankFilters) -> NotebookFigure:
    """Draw the patterns, filters and feature maps at a rank, those of the original, and the digit."""
    figure = NotebookFigure(figsize=(8.6, 4.2), layout="constrained")
    figure.suptitle(demo.summary, fontsize=10)
    grid = figure.add_gridspec(5, 12, height_ratios=(1, 1, 1, 1.4, 1.4))
    originals = [strip for name, strip in demo.strips.items() if name.endswith("original")]
    for i, (name, strip) in enumerate(demo.strips.items()):
        axes, original = figure.add_subplot(grid[i, 2:]), originals[name.startswith("maps")]
        limit = float(np.nanmax(np.abs(strip if name == "patterns" else original))) or 1.0
        axes.imshow(strip, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set(xlim=(-0.5, original.shape[1] - 0.5), xticks=[], yticks=[])
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        axes.spines[:].set_visible(False)
    axes = figure.add_subplot(grid[3:, 0])
    axes.imshow(demo.picture, cmap="gray_r", interpolation="nearest")
    axes.axis("off")
    return figure


def noisy_digits(demo: NoisyDigits) -> NotebookFigure:
    """Draw singular values beside the free energy on one axis: the minimum is as high as the threshold."""
    figure = NotebookFigure(figsize=(9.2, 3.8), layout="constrained")
    figure.suptitle(demo.summary, fontsize=10)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.6, 1, 1))
    middle.sharey(left)
    evbmf, rank = demo.evbmf, demo.evbmf.rank
    index = np.arange(1, len(evbmf.singular_values) + 1)
    left.bar(index[:rank], evbmf.singular_values[:rank], color=BLUE, label=f"signal: rank {rank}")
    left.bar(index[rank:], evbmf.singular_values[rank:], color=GREY, label="noise")
    left.plot(index, demo.clean, ".", color=ORANGE, label="before the noise")
    thresholds, energies = demo.free_energy_curve()
    middle.plot(energies, thresholds, color=INK, label="free energy")
    middle.plot([0], [evbmf.threshold], "*", color=VERMILLION, markersize=14, label="its minimum")
    left.set(xlabel="direction, strongest first", ylabel="singular value; threshold")
    left.set_ylim(0, 1.1 * max(evbmf.singular_values[0], evbmf.threshold))
    middle.set(xlabel="free energy above its minimum", xlim=(-0.06, 0.6))
    for axes in (left, middle):
        axes.axhline(evbmf.threshold, color=VERMILLION, linestyle="--")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    right.imshow(demo.pictures, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    right.set_title("original, with noise, denoised", fontsize=9)
    right.axis("off")
    return figure


def sliding_window(demo: SlidingWindow) -> NotebookFigure:
    """Draw the picture, the window, the filter, their products, and the feature map up to the filter's position."""
    figure = NotebookFigure(figsize=(9.2, 2.3), layout="constrained")
    figure.suptitle(demo.summary, fontsize=10)
    low, high = float(demo.picture.min()), float(demo.picture.max())
    panels = figure.subplots(1, len(demo.parts))
    for i, (axes, (title, values)) in enumerate(zip(panels, demo.parts.items(), strict=True)):
        limit = demo.limit(values)
        colors: dict[str, Any] = {"cmap": SIGNED, "vmin": -limit, "vmax": limit}
        if i < 2:
            colors = {"cmap": "gray_r", "vmin": low, "vmax": high}
        axes.imshow(values, interpolation="nearest", **colors)
        axes.set_title(title, fontsize=9)
        axes.set(xticks=[], yticks=[])
    _frame(panels[0], demo.top, demo.left, *demo.window.shape)
    _frame(panels[-1], demo.row, demo.column, 1, 1)
    return figure


def _frame(axes: Axes, top: int, left: int, height: int, width: int) -> None:
    corner = (left - 0.5, top - 0.5)
    axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=VERMILLION, linewidth=2))
