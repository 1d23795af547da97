"""Singular values of both unfoldings of a layer, with what the plan leaves out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.kernels.evbmf import Evbmf
from workbench.plan.plan import LayerPlan
from workbench.plan.spectrum import Spectrum
from workbench.plot.colors import BLUE, INK, SLATE, VEILED_BLUE, VERMILLION
from workbench.plot.interactive.base import Figure, Trace, annotation, axis, bar, figure, line, scatter

VEIL_OPACITY = 0.62
THRESHOLD_LINE = {"color": VERMILLION, "dash": "dash", "width": 2}
CUT_LINE = {"color": INK, "width": 2}
DOMAINS = ([0.0, 0.455], [0.545, 1.0])
"""Shares of the width that the two unfoldings take."""

UNSEEN: Trace = {"xaxis": "x2", "yaxis": "y2", "hoverinfo": "skip"}
LEGEND = (
    bar([None], [None], name="kept", marker={"color": BLUE}, legendrank=1, **UNSEEN),
    bar([None], [None], name="left out", marker={"color": VEILED_BLUE}, legendrank=2, **UNSEEN),
    scatter([None], [None], name="the rank chosen", line=CUT_LINE, legendrank=3, **UNSEEN),
)
"""Traces without points, which only the legend shows."""


def spectrum(spectrum: Spectrum | None, part: LayerPlan | None) -> Figure:
    """Draw the singular values of both unfoldings, EVBMF's threshold, and a veil over what the plan leaves out.

    The ranks of `part` are only in the layout (shapes and titles): the data of one spectrum are always the same, and
    plotly.js redraws a layout far faster than bars.
    """
    sides: list[tuple[NDArray[np.float64] | None, Evbmf | None, int | None]] = [(None, None, None)] * 2
    if spectrum is not None and part is not None:
        sides = [
            (spectrum.singular_in, spectrum.in_, part.rank_in),
            (spectrum.singular_out, spectrum.out, part.rank_out),
        ]
    data, titles, axes = [], [], {}
    shapes: list[Trace] = []
    for i, (name, (singular, found, rank)) in enumerate(zip(("Input", "Output"), sides, strict=True)):
        number = "2" if i else ""
        values = np.zeros(0) if singular is None else singular
        n, place = len(values), {"xaxis": f"x{number}", "yaxis": f"y{number}"}
        hover = "direction %{x}<br>singular value %{y:.3g}<extra></extra>"
        look = {"marker": {"color": BLUE}, "hovertemplate": hover, "showlegend": False, **place}
        data.append(bar(range(1, n + 1), values.tolist(), name=f"{name.lower()} channels", **look))
        ends = [(x, found.threshold) for x in (0.5, n + 0.5)] if found else []
        look = {"line": THRESHOLD_LINE, "hovertemplate": "EVBMF threshold %{y:.3g}<extra></extra>", **place}
        data.append(line(ends, name="EVBMF threshold: below it is noise", showlegend=i == 1, **look))
        note = "" if spectrum is None else "not reduced in this layer"
        if found is not None:
            kept = n if rank is None else min(rank, n)
            note = f"{'all ' if rank is None else f'{kept} of '}{n} directions kept; EVBMF finds {found.rank}"
            shapes += _regions(values, found.threshold, kept, number)
        text = f"{name} channels" + (f'<br><span style="font-size:12px">{note}</span>' if note else "")
        titles.append(annotation(text, sum(DOMAINS[i]) / 2, 1.0, yanchor="bottom", font={"size": 13}))
        across = {"showgrid": False, "anchor": f"y{number}", "domain": DOMAINS[i], "visible": found is not None}
        up = {"rangemode": "tozero", "anchor": f"x{number}", "visible": found is not None}
        axes[f"xaxis{number}"] = axis("direction, strongest first", **across)
        axes[f"yaxis{number}"] = axis("" if i else "singular value", **up)
    layout = {"bargap": 0.12, "barmode": "overlay", "margin": {"t": 50, "b": 80}, "annotations": titles, **axes}
    legend = {"itemclick": False, "itemdoubleclick": False, "yref": "container", "y": 0, "yanchor": "bottom"}
    same = part.name if part else ""  # the zoom stays as long as it is the same layer
    return figure([*data, *LEGEND], 330, legend=legend, uirevision=same, shapes=shapes, **layout)


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
