"""Singular values of both unfoldings of a layer, with what the plan leaves out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.plan.plan import LayerPlan
from workbench.plan.spectrum import Spectrum
from workbench.plot.colors import BLUE, INK, SLATE, VEILED_BLUE, VERMILLION
from workbench.plot.interactive.base import Figure, axis, layout

VEIL_OPACITY = 0.62
THRESHOLD_LINE = {"color": VERMILLION, "dash": "dash", "width": 2}
DOMAINS = ([0.0, 0.455], [0.545, 1.0])
"""Shares of the width that the two unfoldings take."""


def spectrum(spectrum: Spectrum | None, part: LayerPlan | None) -> Figure:
    """Draw the singular values of both unfoldings, EVBMF's threshold, and a veil over what the plan leaves out.

    The ranks of `part` are only in the layout (shapes and titles): the data of one spectrum are always the same, and
    plotly.js redraws a layout far faster than bars.
    """
    data: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    titles, axes = [], {}
    for i, (name, mode) in enumerate(_modes(spectrum, part)):
        number = "2" if i else ""
        values, threshold, found, rank = mode or (np.zeros(0), 0.0, 0, None)
        n = len(values)
        place = {"xaxis": f"x{number}", "yaxis": f"y{number}"}
        bars = {
            "type": "bar",
            "name": f"{name.lower()} channels",
            "x": list(range(1, n + 1)),
            "y": values.tolist(),
            "marker": {"color": BLUE},
            "hovertemplate": "direction %{x}<br>singular value %{y:.3g}<extra></extra>",
            "showlegend": False,
        }
        line = {
            "type": "scatter",
            "mode": "lines",
            "name": "EVBMF threshold: below it is noise",
            "x": [0.5, n + 0.5] if mode else [],
            "y": [threshold] * 2 if mode else [],
            "line": THRESHOLD_LINE,
            "hovertemplate": "EVBMF threshold %{y:.3g}<extra></extra>",
            "showlegend": i == 1,
        }
        data += [{**bars, **place}, {**line, **place}]
        note = "" if spectrum is None else "not reduced in this layer"
        if mode:
            kept = n if rank is None else min(rank, n)
            shapes += _regions(values, threshold, kept, number)
            note = f"{'all ' if rank is None else f'{kept} of '}{n} directions kept; EVBMF finds {found}"
        titles.append(_title(f"{name} channels", note, sum(DOMAINS[i]) / 2))
        shown = {"visible": mode is not None}
        across = axis("direction, strongest first", showgrid=False, anchor=f"y{number}", domain=DOMAINS[i], **shown)
        axes[f"xaxis{number}"] = across
        axes[f"yaxis{number}"] = axis("" if i else "singular value", rangemode="tozero", anchor=f"x{number}", **shown)
    return {
        "data": [*data, *_legend()],
        "layout": layout(
            330,
            bargap=0.12,
            barmode="overlay",
            margin={"t": 50, "b": 76},
            legend={"itemclick": False, "itemdoubleclick": False},
            uirevision=part.name if part else "",  # the zoom stays as long as it is the same layer
            annotations=titles,
            shapes=shapes,
            **axes,
        ),
    }


def _modes(
    spectrum: Spectrum | None, part: LayerPlan | None
) -> list[tuple[str, tuple[NDArray[np.float64], float, int, int | None] | None]]:
    """Name, and (singular values, threshold, EVBMF's rank, planned rank) or None, of the two unfoldings."""
    if spectrum is None or part is None:
        return [("Input", None), ("Output", None)]
    in_ = spectrum.in_
    inputs = None
    if in_ is not None and spectrum.singular_in is not None:
        inputs = (spectrum.singular_in, in_.threshold, in_.rank, part.rank_in)
    outputs = (spectrum.singular_out, spectrum.out.threshold, spectrum.out.rank, part.rank_out)
    return [("Input", inputs), ("Output", outputs)]


def _title(text: str, note: str, x: float) -> dict[str, Any]:
    small = f'<br><span style="font-size:12px">{note}</span>' if note else ""
    place = {"x": x, "y": 1.0, "xref": "paper", "yref": "paper", "xanchor": "center", "yanchor": "bottom"}
    return {"text": text + small, "font": {"size": 13}, "showarrow": False, **place}


def _legend() -> list[dict[str, Any]]:
    """Traces without points, which only the legend shows."""
    unseen = {"x": [None], "y": [None], "xaxis": "x2", "yaxis": "y2", "hoverinfo": "skip"}
    bars = [
        {"type": "bar", "name": name, "marker": {"color": color}, "legendrank": rank, **unseen}
        for rank, (name, color) in enumerate((("kept", BLUE), ("left out", VEILED_BLUE)), 1)
    ]
    cut = {"type": "scatter", "mode": "lines", "name": "the rank chosen", "line": {"color": INK, "width": 2}}
    return [*bars, {**cut, "legendrank": 3, **unseen}]


def _regions(values: NDArray[np.float64], threshold: float, kept: int, number: str) -> list[dict[str, Any]]:
    """Return a veil over what is left out and, above it, its edge, the bars' outline and the threshold."""
    n, end = len(values), kept + 0.5
    full = {"xref": f"x{number}", "yref": f"y{number} domain", "y0": 0, "y1": 1}
    free = {"xref": f"x{number}", "yref": f"y{number}"}
    steps = " ".join(f"V{value:.4g} H{k + 1.5}" for k, value in enumerate(values))
    rect = {"type": "rect", **full, "line": {"width": 0}}
    return [
        {"name": "kept", **rect, "x0": 0.5, "x1": end},
        {"name": "left out", **rect, "x0": end, "x1": n + 0.5, "fillcolor": "white", "opacity": VEIL_OPACITY},
        {"type": "path", **free, "path": f"M0.5,0 {steps} V0", "line": {"color": SLATE, "width": 1}},
        {"type": "line", **free, "x0": 0.5, "x1": n + 0.5, "y0": threshold, "y1": threshold, "line": THRESHOLD_LINE},
        {"type": "line", **full, "x0": end, "x1": end, "line": {"color": INK, "width": 2}, "visible": kept < n},
    ]
