"""Demonstrations: a sliding filter, filters and feature maps at a rank, EVBMF on noisy pictures."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.inspect.demonstrations import LowRankFilters, NoisyDigits, SlidingWindow
from workbench.plot.colors import BLUE, EDGE, GREY, INK, ORANGE, VERMILLION
from workbench.plot.interactive.base import HIDDEN, Figure, Trace, annotation, axis, bar, figure, scatter

SIGNED = [[0, VERMILLION], [0.5, "#FFFFFF"], [1, BLUE]]
"""Negative weights orange-red, zero white, positive ones blue."""
NAMES_END, STRIPS = 0.255, [0.27, 1]
"""Right end of the names of the strips, and domain of the strips, as shares of the width."""
WHITE: dict[str, Any] = {"paper_bgcolor": "white", "plot_bgcolor": "white"}  # also on a dark page
PICTURE_COLUMNS = ("original", "noisy", "denoised")
"""Titles of the columns of pictures."""
GREYS = [[0, "#FFFFFF"], [1, INK]]
MAX_PRINTED_NUMBERS = 49
"""Largest number of a filter's numbers that are still legible."""
PART_DOMAINS = ((0, 0.22), (0.255, 0.415), (0.445, 0.605), (0.635, 0.795), (0.83, 1))
"""Domain of each part of the sliding filter, as shares of the width."""


def low_rank_filters(demo: LowRankFilters) -> Figure:
    """Draw the patterns, filters and feature maps at a rank, those of the original, and the digit."""
    data: list[Trace] = []
    axes: dict[str, Any] = {}
    labels = []
    heights = [2.0 if name.startswith("maps") else 1.4 for name in demo.strips]
    bottom = np.cumsum([0, *heights])[::-1] / sum(heights)
    originals = [strip for name, strip in demo.strips.items() if name.endswith("original")]
    for i, (name, strip) in enumerate(demo.strips.items()):
        number, original = str(i + 2), originals[name.startswith("maps")]
        limit = float(np.nanmax(np.abs(strip if name == "patterns" else original))) or 1.0
        data.append(_picture_trace(strip, number, colorscale=SIGNED, zmin=-limit, zmax=limit))
        domain = [bottom[i + 1] + 0.012, bottom[i] - 0.012]
        axes |= _picture_axes(strip, number, STRIPS, domain, original.shape[1])  # patterns are fewer than filters
        labels.append(annotation(name, NAMES_END, sum(domain) / 2, xanchor="right"))
    data.append(_picture_trace(demo.picture, "", colorscale=GREYS))
    axes |= _picture_axes(demo.picture, "", [0, 0.075], [bottom[-1], bottom[-3]])
    return figure(data, 430, margin={"l": 6, "r": 6, "t": 6, "b": 6}, annotations=labels, **WHITE, **axes)


def noisy_digits(demo: NoisyDigits, top: float | None = None) -> Figure:
    """Draw singular values beside the free energy on one axis: the minimum is as high as the threshold.

    `top` is the end of that axis; by default, both fit.
    """
    evbmf, rank = demo.evbmf, demo.evbmf.rank
    values, n = evbmf.singular_values.tolist(), len(evbmf.singular_values)
    index = list(range(1, n + 1))
    y_max = top or 1.1 * max(values[0], evbmf.threshold)
    thresholds, energies = demo.free_energy_curve()
    dash = {"color": VERMILLION, "dash": "dash", "width": 2}
    template = "direction %{x}<br>singular value %{y:.3g}<extra></extra>"
    level = [evbmf.threshold] * 2
    marker = {"symbol": "star", "size": 15, "color": VERMILLION}
    minimum = f"noise variance {evbmf.noise_variance:.3g}<br>threshold {evbmf.threshold:.3g}<extra>minimum</extra>"
    data = [
        bar(index[:rank], values[:rank], name=f"signal: rank {rank}", marker={"color": BLUE}, hovertemplate=template),
        bar(index[rank:], values[rank:], name="noise", marker={"color": GREY}, hovertemplate=template),
        scatter(index, demo.clean, "markers", name="before the noise", marker={"color": ORANGE, "size": 4}),
        scatter((0.5, n + 0.5), level, name="threshold", line=dash),
        scatter(energies, thresholds, name="free energy", xaxis="x2", line={"color": INK, "width": 2}),
        scatter((0, 1), level, xaxis="x2", line=dash, showlegend=False, hoverinfo="skip"),
        scatter([0], level[:1], "markers", name="its minimum", xaxis="x2", marker=marker, hovertemplate=minimum),
        _picture_trace(demo.pictures, "3", colorscale=GREYS, zmin=0, zmax=1),
    ]
    width = (demo.pictures.shape[1] + 1) / len(PICTURE_COLUMNS)  # of a picture and the gap beside it
    above = {"xref": "x3", "yanchor": "bottom", "font": {"size": 10}}
    titles = [annotation(name, i * width + width / 2 - 1, 1, **above) for i, name in enumerate(PICTURE_COLUMNS)]
    return figure(
        data,
        400,
        barmode="overlay",
        bargap=0.12,
        margin={"l": 58, "r": 6, "t": 26},
        annotations=titles,
        xaxis=axis("direction, strongest first", domain=[0, 0.4], showgrid=False, range=[0.5, n + 0.5]),
        yaxis=axis("singular value; threshold", range=[0, y_max]),
        xaxis2=axis("free energy (minimum 0)", domain=[0.42, 0.66], range=[-0.06, 0.6], showgrid=False),
        **WHITE,
        **_picture_axes(demo.pictures, "3", [0.7, 1], [0, 1]),
    )


def sliding_window(demo: SlidingWindow) -> Figure:
    """Draw the picture, the window, the filter, their products, and the feature map up to the filter's position."""
    low, high = float(demo.picture.min()), float(demo.picture.max())
    grey: dict[str, Any] = {"colorscale": GREYS, "zmin": low, "zmax": high if high > low else low + 1}
    data: list[Trace] = []
    axes: dict[str, Any] = {}
    titles = []
    boxes = [_box("", demo.top, demo.left, demo.window.shape), _box("5", demo.row, demo.column, (1, 1))]
    for i, ((title, values), domain) in enumerate(zip(demo.parts.items(), PART_DOMAINS, strict=True)):
        number = str(i + 1) if i else ""
        limit = demo.limit(values)
        colors = grey if i < 2 else {"colorscale": SIGNED, "zmin": -limit, "zmax": limit}
        if 1 <= i <= 3 and values.size <= MAX_PRINTED_NUMBERS:
            colors = {**colors, "texttemplate": "%{z:.2f}", "textfont": {"size": 9}}
        data.append(_picture_trace(values, number, **colors))
        axes |= _picture_axes(values, number, list(domain), [0, 0.9])
        boxes.append(_box(number, 0, 0, values.shape, color=EDGE, thickness=1))
        titles.append(annotation(title, sum(domain) / 2, 1, yanchor="top", font={"size": 11}))
    return figure(data, 230, margin={"l": 6, "r": 6, "t": 6, "b": 6}, annotations=titles, shapes=boxes, **WHITE, **axes)


def _box(
    number: str, top: int, left: int, size: tuple[int, ...], color: str = VERMILLION, thickness: int = 3
) -> dict[str, Any]:
    """Return a frame around some numbers of a picture."""
    height, width = size
    corners = {"x0": left - 0.5, "x1": left + width - 0.5, "y0": top - 0.5, "y1": top + height - 0.5}
    axes = {"xref": f"x{number}", "yref": f"y{number}"}
    return {"type": "rect", "line": {"color": color, "width": thickness}, **axes, **corners}


def _picture_trace(values: NDArray[np.float64], number: str, **settings: Any) -> Trace:
    """Return a heat map of the values (height, width), with the first row at the top."""
    z = [[None if np.isnan(v) else v for v in row] for row in values.tolist()]
    defaults = {"xaxis": f"x{number}", "yaxis": f"y{number}", "showscale": False, "hoverongaps": False}
    return {"type": "heatmap", "z": z, "hovertemplate": "%{z:.3g}<extra></extra>", **defaults, **settings}


def _picture_axes(
    values: NDArray[np.float64], number: str, x: list[float], y: list[float], width: int | None = None
) -> dict[str, Any]:
    """Return hidden axes with these domains, for a picture with square pixels; `width` is the picture's or larger."""
    across = {**HIDDEN, "domain": x, "anchor": f"y{number}", "range": [-0.5, (width or values.shape[1]) - 0.5]}
    up = {"range": [len(values) - 0.5, -0.5], "scaleanchor": f"x{number}", "constrain": "domain"}
    return {f"xaxis{number}": across, f"yaxis{number}": {**HIDDEN, "domain": y, "anchor": f"x{number}", **up}}
