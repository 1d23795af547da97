"""What a rank keeps of filters and feature maps, and what EVBMF finds in pictures with noise."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.inspect.low_rank import LowRankFilters, NoisyDigits
from workbench.plot.colors import BLUE, GREY, INK, ORANGE, VERMILLION
from workbench.plot.interactive.base import Figure, Trace, axis, bar, figure, line, scatter

SIGNED = [[0, VERMILLION], [0.5, "#FFFFFF"], [1, BLUE]]
"""Negative weights orange-red, zero white, positive ones blue."""
LEFT, RIGHT = 0.255, [0.27, 1]
"""Share of the width before the strips of filters: of their names and the digit."""
HIDDEN: dict[str, Any] = {"visible": False, "fixedrange": True}
LIGHT: dict[str, Any] = {"paper_bgcolor": "white", "plot_bgcolor": "white"}  # also on a dark page
SIDES = ("original", "noisy", "denoised")
"""Columns of the pictures."""


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
        data.append(picture_trace(strip, number, colorscale=SIGNED, zmin=-limit, zmax=limit))
        width = original.shape[1]  # patterns are fewer, and as large as filters
        domain = [bottom[i + 1] + 0.012, bottom[i] - 0.012]
        axes |= picture_axes(strip, number, RIGHT, domain, width)
        middle = {"x": LEFT, "y": sum(domain) / 2, "xanchor": "right", "yanchor": "middle"}
        notes.append({"text": name, "showarrow": False, "xref": "paper", "yref": "paper", **middle})
    data.append(picture_trace(shown.picture, "", colorscale=[[0, "#FFFFFF"], [1, INK]]))
    low, high = bottom[-1], bottom[-3]
    axes |= picture_axes(shown.picture, "", [0, 0.075], [low, high], shown.picture.shape[1])
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
        line(zip((0.5, n + 0.5), level, strict=True), name="threshold", line=dash),
        line(zip(energies, thresholds, strict=True), name="free energy", xaxis="x2", line={"color": INK, "width": 2}),
        line(zip((0, 1), level, strict=True), xaxis="x2", line=dash, showlegend=False, hoverinfo="skip"),
        scatter([0], level[:1], "markers", name="its minimum", xaxis="x2", marker=marker, hovertemplate=minimum),
        picture_trace(shown.pictures, "3", colorscale=[[0, "#FFFFFF"], [1, INK]], zmin=0, zmax=1),
    ]
    width = (shown.pictures.shape[1] + 1) / len(SIDES)  # of a picture and the gap beside it
    above = {"showarrow": False, "xref": "x3", "yref": "paper", "y": 1, "yanchor": "bottom", "font": {"size": 10}}
    titles = [{"text": name, "x": i * width + width / 2 - 1, **above} for i, name in enumerate(SIDES)]
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
        **picture_axes(shown.pictures, "3", [0.7, 1], [0, 1], shown.pictures.shape[1]),
    )


def picture_trace(values: NDArray[np.float64], number: str, **more: Any) -> Trace:
    """Return a trace of the values (height, width) as they are, the first row at the top."""
    z = [[None if np.isnan(v) else v for v in row] for row in values.tolist()]
    place = {"xaxis": f"x{number}", "yaxis": f"y{number}", "showscale": False, "hoverongaps": False}
    return {"type": "heatmap", "z": z, "hovertemplate": "%{z:.3g}<extra></extra>", **place, **more}


def picture_axes(
    values: NDArray[np.float64], number: str, x: list[float], y: list[float], width: int
) -> dict[str, Any]:
    """Return hidden axes in this part of the figure, for a picture with square pixels."""
    across = {**HIDDEN, "domain": x, "anchor": f"y{number}", "range": [-0.5, width - 0.5]}
    up = {"range": [len(values) - 0.5, -0.5], "scaleanchor": f"x{number}", "constrain": "domain"}
    return {f"xaxis{number}": across, f"yaxis{number}": {**HIDDEN, "domain": y, "anchor": f"x{number}", **up}}
