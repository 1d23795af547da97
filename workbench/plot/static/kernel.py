"""A kernel as a tensor: its filters and its unfoldings."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from workbench.inspect.demonstrations import tiled
from workbench.kernels.unfolding import IN_MODE, OUT_MODE, unfold
from workbench.plot.colors import BLUE, GREEN, INK, ORANGE, PURPLE, VERMILLION
from workbench.plot.static.base import NotebookFigure

Array = NDArray[np.float64]

SIGNED = LinearSegmentedColormap.from_list("signed", [VERMILLION, "white", BLUE])
"""Negative weights orange-red, zero white, positive ones blue."""
OUTPUT_COLORS = (ORANGE, BLUE, GREEN, PURPLE)
"""Colour of each output channel in the picture of the unfoldings."""
MAX_ENTRIES = 200
"""Largest number of a kernel's entries that are still legible."""


def kernel(kernel: Tensor, title: str = "", *, rows: int = 8, columns: int = 16) -> Figure:
    """Draw a kernel as a table of filters, a row for each output channel, a column for each input channel.

    Parameters
    ----------
    kernel : (out_channels, in_channels, height, width)
    rows, columns : largest number of channels, counted from the first.
    """
    k = _four_way(kernel)[:rows, :columns]
    t, s, height, width = k.shape
    figure = NotebookFigure(figsize=(7.6, 1.0 + 6.6 * t / max(s, 8)), layout="constrained")
    axes = figure.subplots()
    limit = float(np.abs(k).max()) or 1.0
    image = axes.imshow(tiled(k), cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest")
    axes.set(xlabel="input channel s", ylabel="output channel t", title=title)
    axes.set_xticks((width + 1) * np.arange(s) + (width - 1) / 2, [str(i) for i in range(s)])
    axes.set_yticks((height + 1) * np.arange(t) + (height - 1) / 2, [str(i) for i in range(t)])
    axes.tick_params(length=0)
    axes.set_facecolor("#D3DAE2")  # of the gaps; white is a weight of zero
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label="weight", shrink=0.8)
    return figure


def unfoldings(kernel: Tensor, title: str = "") -> Figure:
    """Draw the position of every number of a small kernel in its two unfoldings.

    Each output channel has a colour, which is paler for each further input channel.

    Raises
    ------
    ValueError : if the kernel is not four-way, or has more than 4 output channels or `MAX_ENTRIES` numbers.
    """
    k = _four_way(kernel)
    t, s, height, width = k.shape
    if k.size > MAX_ENTRIES or t > len(OUTPUT_COLORS):
        limits = f"at most {len(OUTPUT_COLORS)} output channels and {MAX_ENTRIES} numbers"
        raise ValueError(f"a kernel of shape {k.shape} is too large for this picture: {limits}")
    opacity = np.linspace(0.75, 0.25, s)[:, None]
    shades = np.array([opacity * to_rgb(color) + (1 - opacity) for color in OUTPUT_COLORS[:t]])  # (t, s, 3)
    colors = np.broadcast_to(shades[:, :, None, None], (*k.shape, 3))
    figure = NotebookFigure(figsize=(8.2, 4.0), layout="constrained")
    figure.suptitle(title)
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1, 2.4)).flat
    axes = left.subplots()
    _draw_cells(axes, tiled(k), tiled(colors), f"kernel, {t} x {s} x {height} x {width}")
    axes.set_xticks((width + 1) * np.arange(s) + width / 2, [f"s = {si}" for si in range(s)])
    axes.set_yticks((height + 1) * np.arange(t) + height / 2, [f"t = {ti}" for ti in range(t)])
    modes = ((OUT_MODE, "output", "t"), (IN_MODE, "input", "s"))
    for (mode, name, index), axes in zip(modes, right.subplots(2, 1), strict=True):
        numbers: Array = unfold(kernel.detach().double(), mode).numpy(force=True)
        rows, columns = numbers.shape
        shades = np.moveaxis(colors, mode, 0).reshape(rows, columns, 3)
        _draw_cells(axes, numbers, shades, f"{name} unfolding, {rows} x {columns}")
        axes.set(xlim=(0, k.size / min(t, s)), xticks=[])
        axes.set_yticks(np.arange(rows) + 0.5, [f"{index} = {i}" for i in range(rows)])
    return figure


def _four_way(kernel: Tensor) -> Array:
    if kernel.ndim != 4:
        shape = "(out_channels, in_channels, height, width)"
        raise ValueError(f"this picture is of a kernel of shape {shape}, not {tuple(kernel.shape)}")
    return np.asarray(kernel.detach().double().numpy(force=True))


def _draw_cells(axes: Axes, numbers: Array, colors: Array, title: str) -> None:
    """Draw numbers (rows, columns) on their colours (rows, columns, 3)."""
    axes.pcolormesh(np.nan_to_num(colors, nan=1.0), edgecolors="white")
    for (i, j), number in np.ndenumerate(numbers):
        if np.isfinite(number):
            axes.text(j + 0.5, i + 0.5, f"{number:g}", ha="center", va="center", fontsize=8, color=INK)
    axes.set(aspect="equal", ylim=(len(numbers), 0))
    axes.set_title(title, fontsize=10)
    axes.tick_params(length=0, labelsize=9)
    axes.spines[:].set_visible(False)
