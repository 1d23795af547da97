"""A kernel as a tensor: its filters, its unfoldings, and itself at low rank."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from workbench.kernels.tucker import relative_error, tucker1
from workbench.kernels.unfolding import IN_MODE, OUT_MODE, unfold
from workbench.plot.colors import BLUE, GREEN, INK, ORANGE, PURPLE, VERMILLION
from workbench.plot.static.base import NotebookFigure

Array = NDArray[np.float64]

SIGNED = LinearSegmentedColormap.from_list("signed", [VERMILLION, "white", BLUE])
"""Negative weights orange-red, zero white, positive ones blue."""
OUTPUT_COLORS = (ORANGE, BLUE, GREEN, PURPLE)
"""Colour of each output channel in the picture of the unfoldings."""
MAX_ENTRIES = 200
"""Entries of a kernel whose numbers can still be read."""


def kernel(kernel: Tensor, title: str = "", *, rows: int = 8, columns: int = 16) -> Figure:
    """Draw a kernel as a table of filters: one row an output channel, one column an input channel.

    Parameters
    ----------
    kernel : (out_channels, in_channels, height, width)
    rows, columns : largest number of channels, counted from the first.
    """
    shown = _four_way(kernel)[:rows, :columns]
    t, s, height, width = shown.shape
    figure = NotebookFigure(figsize=(7.6, 1.0 + 6.6 * t / max(s, 8)), layout="constrained")
    axes = figure.subplots()
    padded = np.pad(shown, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=np.nan)  # gaps between the filters
    picture = padded.transpose(0, 2, 1, 3).reshape(t * (height + 1), s * (width + 1))[:-1, :-1]
    size = float(np.abs(shown).max()) or 1.0
    drawn = axes.imshow(picture, cmap=SIGNED, vmin=-size, vmax=size, interpolation="nearest")
    axes.set(xlabel="input channel s", ylabel="output channel t", title=title)
    axes.set_xticks((width + 1) * np.arange(s) + (width - 1) / 2, [str(i) for i in range(s)])
    axes.set_yticks((height + 1) * np.arange(t) + (height - 1) / 2, [str(i) for i in range(t)])
    axes.tick_params(length=0)
    axes.set_facecolor("#D3DAE2")  # of the gaps; white is a weight of zero
    axes.spines[:].set_visible(False)
    figure.colorbar(drawn, ax=axes, label="weight", shrink=0.8)
    return figure


def unfoldings(kernel: Tensor, title: str = "") -> Figure:
    """Draw where every number of a small kernel goes in its two unfoldings.

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
    colors = np.empty((*k.shape, 3))
    for to, si in product(range(t), range(s)):
        strength = 0.75 - 0.5 * si / max(1, s - 1)
        colors[to, si] = strength * np.array(to_rgb(OUTPUT_COLORS[to])) + (1 - strength)
    figure = NotebookFigure(figsize=(8.2, 4.0), layout="constrained")
    figure.suptitle(title)
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1, 2.4)).flat
    axes, across, down = left.subplots(), width + 0.6, height + 0.6
    axes.set_title(f"kernel, {t} x {s} x {height} x {width}", fontsize=10)
    for to, si, i, j in product(*map(range, k.shape)):
        _draw_cell(axes, si * across + j, to * down + i, k[to, si, i, j], colors[to, si, i, j])
    axes.set_xticks(across * np.arange(s) + width / 2, [f"s = {si}" for si in range(s)])
    axes.set_yticks(down * np.arange(t) + height / 2, [f"t = {to}" for to in range(t)])
    _set_limits(axes, s * across, t * down)
    modes = ((OUT_MODE, "output", "t"), (IN_MODE, "input", "s"))
    for (mode, name, index), axes in zip(modes, right.subplots(2, 1), strict=True):
        numbers: Array = unfold(kernel.detach().double(), mode).numpy(force=True)
        rows, columns = numbers.shape
        shades = np.moveaxis(colors, mode, 0).reshape(rows, columns, 3)
        axes.set_title(f"{name} unfolding, {rows} x {columns}", fontsize=10)
        for i, j in product(range(rows), range(columns)):
            _draw_cell(axes, j, i, numbers[i, j], shades[i, j])
        axes.set_yticks(np.arange(rows) + 0.5, [f"{index} = {i}" for i in range(rows)])
        axes.set_xticks([])
        _set_limits(axes, k.size / min(t, s), rows)
    return figure


def growing_rank(kernel: Tensor, ranks: Sequence[int], title: str = "", *, columns: int = 12) -> Figure:
    """Draw the strongest patterns, the filters made of ever more of them, and the filters themselves.

    Parameters
    ----------
    kernel : (out_channels, in_channels, height, width); of several input channels the first is drawn.
    ranks : of the output unfolding, in the order of the rows.
    columns : largest number of filters, counted from the first.

    Raises
    ------
    ValueError : if a rank does not fit.
    """
    original = _four_way(kernel)[:columns, 0]
    size = 0.7 * float(np.abs(original).max()) or 1.0  # few weights are as large as the largest
    patterns = _four_way(tucker1(kernel.detach(), rank_out=min(max(ranks), columns)).core)[:, 0]
    rows = [("patterns,\nstrongest first", patterns, float(np.abs(patterns).max()) or 1.0)]
    for rank in ranks:
        made = tucker1(kernel.detach(), rank_out=rank)
        share = 1 - relative_error(kernel, made) ** 2
        rows.append((f"rank {rank}\n{100 * share:.0f} % explained", _four_way(made.reconstruct())[:columns, 0], size))
    rows.append(("original", original, size))
    figure = NotebookFigure(figsize=(8.4, 0.62 * len(rows) + 0.4), layout="constrained")
    figure.suptitle(title)
    for (name, images, limit), line in zip(rows, figure.subplots(len(rows), columns + 3, squeeze=False), strict=True):
        for axes in line:
            axes.axis("off")
        line[0].text(0, 0.5, name, fontsize=9, va="center", transform=line[0].transAxes)
        for axes, image in zip(line[3:], images, strict=False):
            axes.imshow(image, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest")
            axes.axis("on")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color("#AEB7C2")
    return figure


def _four_way(kernel: Tensor) -> Array:
    if kernel.ndim != 4:
        shape = "(out_channels, in_channels, height, width)"
        raise ValueError(f"this picture is of a kernel of shape {shape}, not {tuple(kernel.shape)}")
    return np.asarray(kernel.detach().double().numpy(force=True))


def _draw_cell(axes: Axes, x: float, y: float, number: np.float64, color: Array) -> None:
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=tuple(color), edgecolor="white", linewidth=1))
    axes.text(x + 0.5, y + 0.5, f"{number:g}", ha="center", va="center", fontsize=8, color=INK)


def _set_limits(axes: Axes, width: float, height: float) -> None:
    axes.set(xlim=(-0.1, width), ylim=(height + 0.1, -0.1), aspect="equal")
    axes.tick_params(length=0, labelsize=9)
    axes.spines[:].set_visible(False)
