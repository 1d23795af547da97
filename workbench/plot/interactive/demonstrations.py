"""A sliding filter, what a rank keeps of filters and feature maps, and what EVBMF finds in pictures with noise."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.inspect.demonstrations import LowRankFilters, NoisyDigits, SlidingWindow
from workbench.plot.colors import BLUE, EDGE, GREY, INK, ORANGE, VERMILLION
from workbench.plot.interactive.base import HIDDEN, Figure, Trace, annotation, axis, bar, figure, scatter

SIGNED = [[0, VERMILLION], [0.5, "#FFFFFF"], [1, BLUE]]
"""Negative weights orange-red, zero white, positive ones blue."""
LEFT, RIGHT = 0.255, [0.27, 1]
"""Share of the width before the strips of filters: of their names and the digit."""
LIGHT: dict[str, Any] = {"paper_bgcolor": "white", "plot_bgcolor": "white"}  # also on a dark page
SIDES = ("original", "noisy", "denoised")
"""Columns of the pictures."""
GREYS = [[0, "#FFFFFF"], [1, INK]]
MAX_NUMBERS = 49
"""Numbers of a filter that can still be read."""
PARTS = ((0, 0.22), (0.255, 0.415), (0.445, 0.605), (0.635, 0.795), (0.83, 1))
"""Share of the width of each part of the sliding filter."""


def low_rank_filters(shown: LowRankFilters) -> Figure:
    """Draw the patterns, filters and feature maps at a rank, those of the original, and the digit."""
    data: list[Trace] = []
    axes: dict[str, Any] = {}
    notes = []
    heights = [2.0 if name.startswith("maps") else 1.4 for name in shown.strips]
    bottom = np.cumsum([0, *heights])[::-1] / sum(heights)
    full = [strip for name, strip in shown.strips.items() if name.endswith("original")]
    for i, (name, strip) in enumerate(shown.strips.items()):
        number, original = str(i + 2), full[name.startswith("maps")]
        limit = float(np.nanmax(np.abs(strip if name == "patterns" else original))) or 1.0
        data.append(_picture_trace(strip, number, colorscale=SIGNED, zmin=-limit, zmax=limit))
        domain = [bottom[i + 1] + 0.012, bottom[i] - 0.012]
        axes |= _picture_axes(strip, number, RIGHT, domain, original.shape[1])  # patterns are fewer than filters
        notes.append(annotation(name, LEFT, sum(domain) / 2, xanchor="right"))
    data.append(_picture_trace(shown.picture, "", colorscale=GREYS))
    axes |= _picture_axes(shown.picture, "", [0, 0.075], [bottom[-1], bottom[-3]])
    return figure(data, 430, margin={"l": 6, "r": 6, "t": 6, "b": 6}, annotations=notes, **LIGHT, **axes)


def noisy_digits(shown: NoisyDigits, top: float | None = None) -> Figure:
    """Draw singular values beside the free energy, which share an axis: the minimum is as high as the threshold.

    `top` is the end of that axis; by default it has room for what is drawn.
    """
    found, rank = shown.found, shown.found.rank
    values, n = found.singular_values.tolist(), len(found.singular_values)
    index = list(range(1, n + 1))
    end = top or 1.1 * max(values[0], found.threshold)
    thresholds, energies = shown.valley()
    dash = {"color": VERMILLION, "dash": "dash", "width": 2}
    hover = "direction %{x}<br>singular value %{y:.3g}<extra></extra>"
    level = [found.threshold] * 2
    marker = {"symbol": "star", "size": 15, "color": VERMILLION}
    minimum = f"noise variance {found.noise_variance:.3g}<br>threshold {found.threshold:.3g}<extra>minimum</extra>"
    data = [
        bar(index[:rank], values[:rank], name=f"signal: rank {rank}", marker={"color": BLUE}, hovertemplate=hover),
        bar(index[rank:], values[rank:], name="noise", marker={"color": GREY}, hovertemplate=hover),
        scatter(index, shown.clean, "markers", name="before the noise", marker={"color": ORANGE, "size": 4}),
        scatter((0.5, n + 0.5), level, name="threshold", line=dash),
        scatter(energies, thresholds, name="free energy", xaxis="x2", line={"color": INK, "width": 2}),
        scatter((0, 1), level, xaxis="x2", line=dash, showlegend=False, hoverinfo="skip"),
        scatter([0], level[:1], "markers", name="its minimum", xaxis="x2", marker=marker, hovertemplate=minimum),
        _picture_trace(shown.pictures, "3", colorscale=GREYS, zmin=0, zmax=1),
    ]
    width = (shown.pictures.shape[1] + 1) / len(SIDES)  # of a picture and the gap beside it
    above = {"xref": "x3", "yanchor": "bottom", "font": {"size": 10}}
    titles = [annotation(name, i * width + width / 2 - 1, 1, **above) for i, name in enumerate(SIDES)]
    return figure(
        data,
        400,
        barmode="overlay",
        bargap=0.12,
        margin={"l": 58, "r": 6, "t": 26},
        annotations=titles,
        xaxis=axis("direction, strongest first", domain=[0, 0.4], showgrid=False, range=[0.5, n + 0.5]),
        yaxis=axis("singular value; threshold", range=[0, end]),
        xaxis2=axis("free energy (minimum 0)", domain=[0.42, 0.66], range=[-0.06, 0.6], showgrid=False),
        **LIGHT,
        **_picture_axes(shown.pictures, "3", [0.7, 1], [0, 1]),
    )


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
        data.append(_picture_trace(values, number, **colors))
        axes |= _picture_axes(values, number, list(domain), [0, 0.9])
        boxes.append(_box(number, 0, 0, values.shape, color=EDGE, thickness=1))
        titles.append(annotation(title, sum(domain) / 2, 1, yanchor="top", font={"size": 11}))
    return figure(data, 230, margin={"l": 6, "r": 6, "t": 6, "b": 6}, annotations=titles, shapes=boxes, **LIGHT, **axes)


def _box(
    number: str, top: int, left: int, size: tuple[int, ...], color: str = VERMILLION, thickness: int = 3
) -> dict[str, Any]:
    """Return a frame around some numbers of a picture."""
    height, width = size
    corners = {"x0": left - 0.5, "x1": left + width - 0.5, "y0": top - 0.5, "y1": top + height - 0.5}
    axes = {"xref": f"x{number}", "yref": f"y{number}"}
    return {"type": "rect", "line": {"color": color, "width": thickness}, **axes, **corners}


def _picture_trace(values: NDArray[np.float64], number: str, **more: Any) -> Trace:
    """Return a trace of the values (height, width) as they are, the first row at the top."""
    z = [[None if np.isnan(v) else v for v in row] for row in values.tolist()]
    place = {"xaxis": f"x{number}", "yaxis": f"y{number}", "showscale": False, "hoverongaps": False}
    return {"type": "heatmap", "z": z, "hovertemplate": "%{z:.3g}<extra></extra>", **place, **more}


def _picture_axes(
    values: NDArray[np.float64], number: str, x: list[float], y: list[float], width: int | None = None
) -> dict[str, Any]:
    """Return hidden axes in this part of the figure, for a picture with square pixels; `width` is its own or larger."""
    across = {**HIDDEN, "domain": x, "anchor": f"y{number}", "range": [-0.5, (width or values.shape[1]) - 0.5]}
    up = {"range": [len(values) - 0.5, -0.5], "scaleanchor": f"x{number}", "constrain": "domain"}
    return {f"xaxis{number}": across, f"yaxis{number}": {**HIDDEN, "domain": y, "anchor": f"x{number}", **up}}
