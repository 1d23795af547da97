"""A filter at one place of a picture."""

from typing import Any

from workbench.inspect.sliding_window import SlidingWindow
from workbench.plot.colors import EDGE, INK, VERMILLION
from workbench.plot.interactive.base import Figure, Trace, figure
from workbench.plot.interactive.low_rank import LIGHT, SIGNED, picture_axes, picture_trace

GREYS = [[0, "#FFFFFF"], [1, INK]]
MAX_NUMBERS = 49
"""Numbers of a filter that can still be read."""
PARTS = ((0, 0.22), (0.255, 0.415), (0.445, 0.605), (0.635, 0.795), (0.83, 1))
"""Share of the width of each part."""


def sliding_window(shown: SlidingWindow) -> Figure:
    """Draw the picture, the window, the filter, their products, and the feature map as far as the filter has come."""
    low, high = float(shown.picture.min()), float(shown.picture.max())
    grey: dict[str, Any] = {"colorscale": GREYS, "zmin": low, "zmax": high if high > low else low + 1}
    data: list[Trace] = []
    axes: dict[str, Any] = {}
    titles = []
    boxes = [_box("", shown.top, shown.left, shown.window.shape), _box("5", shown.row, shown.column, (1, 1))]
    for i, ((title, values), domain) in enumerate(zip(shown.parts.items(), PARTS, strict=True)):
        number = str(i + 1) if i else ""
        limit = shown.limit(values)
        colors = grey if i < 2 else {"colorscale": SIGNED, "zmin": -limit, "zmax": limit}
        if 1 <= i <= 3 and values.size <= MAX_NUMBERS:
            colors = {**colors, "texttemplate": "%{z:.2f}", "textfont": {"size": 9}}
        data.append(picture_trace(values, number, **colors))
        axes |= picture_axes(values, number, list(domain), [0, 0.9], values.shape[1])
        boxes.append(_box(number, 0, 0, values.shape, color=EDGE, thickness=1))
        place = {"xref": "paper", "yref": "paper", "x": sum(domain) / 2, "y": 1, "yanchor": "top", "xanchor": "center"}
        titles.append({"text": title, "showarrow": False, "font": {"size": 11}, **place})
    return figure(data, 230, margin={"l": 6, "r": 6, "t": 6, "b": 6}, annotations=titles, shapes=boxes, **LIGHT, **axes)


def _box(
    number: str, top: int, left: int, size: tuple[int, ...], color: str = VERMILLION, thickness: int = 3
) -> dict[str, Any]:
    """Return a frame around some numbers of a picture."""
    height, width = size
    corners = {"x0": left - 0.5, "x1": left + width - 0.5, "y0": top - 0.5, "y1": top + height - 0.5}
    axes = {"xref": f"x{number}", "yref": f"y{number}"}
    return {"type": "rect", "line": {"color": color, "width": thickness}, **axes, **corners}
