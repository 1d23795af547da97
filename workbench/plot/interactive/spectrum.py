"""Singular values of both unfoldings of a layer, with what the plan leaves out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.plan.plan import LayerPlan
from workbench.plan.spectrum import Spectrum
from workbench.plot.colors import BLUE, INK, SLATE, VEILED_BLUE, VERMILLION
from workbench.plot.interactive.base import Figure, Trace, axis, bar, figure, scatter

VEIL_OPACITY = 0.62
THRESHOLD_LINE = {"color": VERMILLION, "dash": "dash", "width": 2}
CUT_LINE = {"color": INK, "width": 2}
DOMAINS = ([0.0, 0.455], [0.545, 1.0])
"""Shares of the width that the two unfoldings take."""

Mode = tuple[NDArray[np.float64], float, int, int | None]
"""Singular values of an unfolding, threshold, EVBMF's rank, planned rank."""


def spectrum(spectrum: Spectrum | None, part: LayerPlan | None) -> Figure:
    """Draw the singular values of both unfoldings, EVBMF's threshold, and a veil over what the plan leaves out.

    The ranks of `part` are only in the layout (shapes and titles): the data of one spectrum are always the same, and
    plotly.js redraws a layout far faster than bars.
    """
    data, titles, shapes, axes = [], [], [], {}
    for i, (name, mode) in enumerate(zip(("Input", "Output"), _modes(spectrum, part), strict=True)):
        number = "2" if i else ""
        values, threshold, found, rank = mode or (np.zeros(0), 0.0, 0, None)
        n, place = len(values), {"xaxis": f"x{number}", "yaxis": f"y{number}"}
        hover = "direction %{x}<br>singular value %{y:.3g}<extra></extra>"
        look = {"marker": {"color": BLUE}, "hovertemplate": hover, "showlegend": False, **place}
        data.append(bar(range(1, n + 1), values.tolist(), name=f"{name.lower()} channels", **look))
        line = scatter([0.5, n + 0.5], [threshold, threshold]) if mode else scatter([], [])
        look = {"line": THRESHOLD_LINE, "hovertemplate": "EVBMF threshold %{y:.3g}<extra></extra>", **place}
        data.append({**line, "name": "EVBMF threshold: below it is noise", "showlegend": i == 1, **look})
        note = "not reduced in this layer" if spectrum is not None else ""
        if mode:
            kept = n if rank is None else min(rank, n)
            note = f"{'all ' if rank is None else f'{kept} of '}{n} directions kept; EVBMF finds {found}"
            shapes += _regions(values, threshold, kept, number)
        titles.append(_title(f"{name} channels", note, sum(DOMAINS[i]) / 2))
        across = {"showgrid": False, "anchor": f"y{number}", "domain": DOMAINS[i], "visible": mode is not None}
        up = {"rangemode": "tozero", "anchor": f"x{number}", "visible": mode is not None}
        axes[f"xaxis{number}"] = axis("direction, strongest first", **across)
        axes[f"yaxis{number}"] = axis("" if i else "singular value", **up)
    return figure(
        [*data, *_legend()],
        330,
        bargap=0.12,
        barmode="overlay",
        margin={"t": 50, "b": 76},
        legend={"itemclick": False, "itemdoubleclick": False},
        uirevision=part.name if part else "",  # the zoom stays as long as it is the same layer
        annotations=titles,
        shapes=shapes,
        **axes,
    )


def _modes(spectrum: Spectrum | None, part: LayerPlan | None) -> tuple[Mode | None, Mode | None]:
    """Return what is drawn of the input and of the output unfolding."""
    if spectrum is None or part is None:
        return None, None
    inputs, in_, out = spectrum.singular_in, spectrum.in_, spectrum.out
    reduced = None if inputs is None or in_ is None else (inputs, in_.threshold, in_.rank, part.rank_in)
    return reduced, (spectrum.singular_out, out.threshold, out.rank, part.rank_out)


def _title(text: str, note: str, x: float) -> dict[str, Any]:
    small = f'<br><span style="font-size:12px">{note}</span>' if note else ""
    place = {"x": x, "y": 1.0, "xref": "paper", "yref": "paper", "xanchor": "center", "yanchor": "bottom"}
    return {"text": text + small, "font": {"size": 13}, "showarrow": False, **place}


def _legend() -> list[Trace]:
    """Return traces without points, which only the legend shows."""
    unseen = {"xaxis": "x2", "yaxis": "y2", "hoverinfo": "skip"}
    return [
        bar([None], [None], name="kept", marker={"color": BLUE}, legendrank=1, **unseen),
        bar([None], [None], name="left out", marker={"color": VEILED_BLUE}, legendrank=2, **unseen),
        scatter([None], [None], name="the rank chosen", line=CUT_LINE, legendrank=3, **unseen),
    ]


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
        {"type": "line", **full, "x0": end, "x1": end, "line": CUT_LINE, "visible": kept < n},
    ]
