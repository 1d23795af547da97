"""Each part of a network under this machine's roofline."""

from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from workbench.measure.profile import KINDS, Profile
from workbench.measure.roofline import Roofline
from workbench.plot.colors import INK, KIND_MARKS
from workbench.plot.static.base import new_axes
from workbench.tables import count, quantity

MARKERS = {"circle": "o", "square": "s", "triangle-up": "^", "diamond": "D"}
"""Plotly's name of a symbol -> matplotlib's."""


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
        filled = {"color": color, "alpha": 0.85}
        look = {"facecolors": "none", "edgecolors": color} if which == "original" else filled
        areas = [20 + 380 * part.seconds / slowest for part in found]
        x, y = [part.intensity for part in found], [part.rate / 1e9 for part in found]
        axes.scatter(x, y, areas, marker=MARKERS[symbol], label=f"{which}: {KINDS[kind]}", **look)
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
