"""A kernel as a tensor -> matplotlib figures: its filters, its unfoldings, its spectrum, and itself at low rank."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from workbench.kernels.tucker import relative_error, tucker1
from workbench.kernels.unfolding import IN_MODE, OUT_MODE, unfold
from workbench.plan.spectrum import Spectrum
from workbench.plot.interactive.base import BLUE, GREEN, INK, ORANGE, PURPLE, VERMILLION
from workbench.plot.static.results import Print

Array = NDArray[np.float64]

SIGNED = LinearSegmentedColormap.from_list("signed", [VERMILLION, "white", BLUE])
"""Negative weights orange-red, zero white, positive ones blue."""

MOST = 200
"""Entries of a kernel whose numbers can still be read."""


def plot_kernel(kernel: Tensor, title: str = "", *, rows: int = 8, columns: int = 16) -> Print:
    """A kernel as a table of little filters: one row an output channel, one column an input channel.

    Parameters
    ----------
    kernel : (out_channels, in_channels, height, width)
    rows, columns : how many channels to show at most, from the first.
    """
    shown = _four_way(kernel)[:rows, :columns]
    figure = Print(figsize=(7.6, 1.0 + 6.6 * shown.shape[0] / max(shown.shape[1], 8)), layout="constrained")
    axes = figure.subplots()
    picture, (down, across) = _table(shown)
    size = float(np.abs(shown).max()) or 1.0
    drawn = axes.imshow(picture, cmap=SIGNED, vmin=-size, vmax=size, interpolation="nearest")
    axes.set(xlabel="input channel s", ylabel="output channel t", title=title)
    axes.set_xticks(*_numbered(shown.shape[1], across))
    axes.set_yticks(*_numbered(shown.shape[0], down))
    axes.tick_params(length=0)
    axes.set_facecolor("#D3DAE2")  # what is between the filters; white is a weight of zero
    axes.spines[:].set_visible(False)
    figure.colorbar(drawn, ax=axes, label="weight", shrink=0.8)
    return figure


def plot_unfoldings(kernel: Tensor, title: str = "") -> Print:
    """Where every number of a small kernel goes in its two unfoldings.

    A colour is an output channel, its strength an input channel.

    Raises
    ------
    ValueError : if the kernel is not four-way, or has too many numbers to be read.
    """
    k = _four_way(kernel)
    if k.size > MOST or k.shape[0] > 4:
        raise ValueError(
            f"a kernel of shape {k.shape} is too large for this picture: at most 4 output channels and {MOST} numbers"
        )
    t, s, height, width = k.shape
    colors = _colors(k.shape)
    figure = Print(figsize=(8.2, 4.0), layout="constrained")
    figure.suptitle(title)
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1, 2.4)).flat
    axes = left.subplots()
    axes.set_title(f"kernel, {t} x {s} x {height} x {width}", fontsize=10)
    for to, si, i, j in product(*map(range, k.shape)):
        _cell(axes, si * (width + 0.6) + j, to * (height + 0.6) + i, k[to, si, i, j], colors[to, si, i, j])
    axes.set_xticks([si * (width + 0.6) + width / 2 for si in range(s)], [f"s = {si}" for si in range(s)])
    axes.set_yticks([to * (height + 0.6) + height / 2 for to in range(t)], [f"t = {to}" for to in range(t)])
    _finish(axes, s * (width + 0.6), t * (height + 0.6))
    names = {OUT_MODE: ("output", "t"), IN_MODE: ("input", "s")}
    for (mode, (name, index)), axes in zip(names.items(), right.subplots(2, 1), strict=True):
        numbers: Array = unfold(kernel.detach().double(), mode).numpy(force=True)
        shades = np.moveaxis(colors, mode, 0).reshape(*numbers.shape, 3)
        axes.set_title(f"{name} unfolding, {numbers.shape[0]} x {numbers.shape[1]}", fontsize=10)
        for i, j in product(*map(range, numbers.shape)):
            _cell(axes, j, i, numbers[i, j], shades[i, j])
        axes.set_yticks(np.arange(numbers.shape[0]) + 0.5, [f"{index} = {i}" for i in range(numbers.shape[0])])
        axes.set_xticks([])
        _finish(axes, k.size / min(t, s), numbers.shape[0])
    return figure


def plot_energy(spectrum: Spectrum, title: str = "") -> Print:
    """Singular values of both unfoldings, and the share of the energy that the strongest directions capture."""
    figure = Print(figsize=(8.2, 3.5), layout="constrained")
    figure.suptitle(title or spectrum.layer.name)
    values, energy = figure.subplots(1, 2)
    modes: list[tuple[str, Array, str, str]] = [("output channels", spectrum.singular_out, BLUE, "o-")]
    if spectrum.singular_in is not None:
        modes.append(("input channels", spectrum.singular_in, ORANGE, "s-"))
    for name, singular, color, style in modes:
        captured = 100 * np.concatenate([[0.0], np.cumsum(singular**2)]) / (float(np.sum(singular**2)) or 1.0)
        look = {"color": color, "markersize": 3, "linewidth": 1.2}
        values.plot(range(1, len(singular) + 1), singular, style, label=name, **look)
        energy.plot(range(len(singular) + 1), captured, style, **look)
    values.set(xlabel="direction, strongest first", ylabel="singular value")
    values.set_ylim(bottom=0)
    energy.set(xlabel="directions kept", ylabel="energy captured (%)", ylim=(0, 103))
    values.legend(frameon=False)
    energy.grid(axis="y", color="#E4E9F0")
    for axes in (values, energy):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def plot_growing_rank(kernel: Tensor, ranks: Sequence[int], title: str = "", *, columns: int = 12) -> Print:
    """Filters made of ever more patterns: the patterns, then the filters at each rank, then the filters themselves.

    Parameters
    ----------
    kernel : (out_channels, in_channels, height, width); of several input channels the first is shown.
    ranks : of the output unfolding, in the order of the rows.
    columns : how many filters to show at most, from the first.

    Raises
    ------
    ValueError : if a rank does not fit.
    """
    original = _four_way(kernel)[:columns, 0]
    rows: list[tuple[str, Array, float]] = []
    size = 0.7 * float(np.abs(original).max()) or 1.0  # few weights are as large as the largest
    for rank in ranks:
        made = tucker1(kernel.detach(), rank_out=rank)
        energy = 100 * (1 - relative_error(kernel, made) ** 2)
        rows.append((f"rank {rank}\n{energy:.0f} % of energy", _four_way(made.reconstruct())[:columns, 0], size))
    rows.append(("original", original, size))
    patterns = _four_way(tucker1(kernel.detach(), rank_out=min(max(ranks), columns)).core)[:, 0]
    rows.insert(0, ("patterns,\nstrongest first", patterns, float(np.abs(patterns).max()) or 1.0))
    figure = Print(figsize=(8.4, 0.62 * len(rows) + 0.4), layout="constrained")
    figure.suptitle(title)
    for (name, images, most), line in zip(rows, figure.subplots(len(rows), columns + 3, squeeze=False), strict=True):
        for axes in line:
            axes.axis("off")
        line[0].text(0, 0.5, name, fontsize=9, va="center", transform=line[0].transAxes)
        for axes, image in zip(line[3:], images, strict=False):
            axes.imshow(image, cmap=SIGNED, vmin=-most, vmax=most, interpolation="nearest")
            axes.axis("on")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color("#AEB7C2")
    return figure


def _four_way(kernel: Tensor) -> Array:
    if kernel.ndim != 4:
        raise ValueError(
            "this picture is of a kernel of shape (out_channels, in_channels, height, width), "
            f"not {tuple(kernel.shape)}"
        )
    return np.asarray(kernel.detach().double().numpy(force=True))


def _table(kernel: Array) -> tuple[Array, tuple[int, int]]:
    """All filters in one image with gaps between them, and the steps from one to the next."""
    t, s, height, width = kernel.shape
    padded = np.pad(kernel, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=np.nan)
    picture = padded.transpose(0, 2, 1, 3).reshape(t * (height + 1), s * (width + 1))[:-1, :-1]
    return picture, (height + 1, width + 1)


def _numbered(channels: int, step: int) -> tuple[list[float], list[str]]:
    """Where the numbers of the channels stand: in the middle of each filter."""
    return [step * i + step / 2 - 1 for i in range(channels)], [str(i) for i in range(channels)]


def _colors(shape: tuple[int, ...]) -> Array:
    """(*shape, 3): a colour for each output channel, paler for each further input channel."""
    colors = np.empty((*shape, 3))
    for to, si in product(range(shape[0]), range(shape[1])):
        strength = 0.75 - 0.5 * si / max(1, shape[1] - 1)
        base = np.array(to_rgb((ORANGE, BLUE, GREEN, PURPLE)[to]))
        colors[to, si] = strength * base + (1 - strength)
    return colors


def _cell(axes: Axes, x: float, y: float, number: np.float64, color: Array) -> None:
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=tuple(color), edgecolor="white", linewidth=1))
    axes.text(x + 0.5, y + 0.5, f"{number:g}", ha="center", va="center", fontsize=8, color=INK)


def _finish(axes: Axes, width: float, height: float) -> None:
    axes.set(xlim=(-0.1, width), ylim=(height + 0.1, -0.1), aspect="equal")
    axes.tick_params(length=0, labelsize=9)
    axes.spines[:].set_visible(False)
