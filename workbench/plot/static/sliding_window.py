"""A filter at one place of a picture."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from workbench.inspect.sliding_window import SlidingWindow
from workbench.plot.colors import VERMILLION
from workbench.plot.static.base import NotebookFigure
from workbench.plot.static.kernel import SIGNED


def sliding_window(shown: SlidingWindow) -> NotebookFigure:
    """Draw the picture, the window, the filter, their products, and the feature map as far as the filter has come."""
    figure = NotebookFigure(figsize=(9.2, 2.3), layout="constrained")
    figure.suptitle(shown.summary, fontsize=10)
    low, high = float(shown.picture.min()), float(shown.picture.max())
    panels = figure.subplots(1, len(shown.parts))
    for i, (axes, (title, values)) in enumerate(zip(panels, shown.parts.items(), strict=True)):
        limit = shown.limit(values)
        colors: dict[str, Any] = {"cmap": SIGNED, "vmin": -limit, "vmax": limit}
        if i < 2:
            colors = {"cmap": "gray_r", "vmin": low, "vmax": high}
        axes.imshow(values, interpolation="nearest", **colors)
        axes.set_title(title, fontsize=9)
        axes.set(xticks=[], yticks=[])
    _frame(panels[0], shown.top, shown.left, *shown.window.shape)
    _frame(panels[-1], shown.row, shown.column, 1, 1)
    return figure


def _frame(axes: Axes, top: int, left: int, height: int, width: int) -> None:
    corner = (left - 0.5, top - 0.5)
    axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=VERMILLION, linewidth=2))
