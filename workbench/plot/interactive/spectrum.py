"""Singular values of both unfoldings of a layer, and those that the plan leaves out."""

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
"""Domains of the two unfoldings, as shares of the width."""

LEGEND_ONLY: Trace = {"xaxis": "x2", "yaxis": "y2", "hoverinfo": "skip"}
LEGEND = (
    bar([None], [None], name="kept", marker={"color": BLUE}, legendrank=1, **LEGEND_ONLY),
    bar([None], [None], name="left out", marker={"color": VEILED_BLUE}, legendrank=2, **LEGEND_ONLY),
    scatter([None], [None], name="the rank chosen", line=CUT_LINE, legendrank=3, **LEGEND_ONLY),
)
"""Traces without points, for the legend."""


def spectrum(spectrum: Spectrum | None, part: LayerPlan | None) -> Figure:
    """Draw the singular values of both unfoldings, EVBMF's threshold, and a veil over what the plan leaves out.

    The ranks of `part` change only the layout (shapes and titles), which plotly.js redraws far faster than bars.
    """
    sides: list[tuple[NDArray[np.float64] | None, Evbmf | None, int | None]] = [(None, None, None)] * 2
    if spectrum is not None and part is not None:
        sides = [
            (spectrum.singular_in, spectrum.in_, part.rank_in),
            (spectrum.singular_out, spectrum.out, part.rank_out),
        ]
    data, titles, axes = [], [], {}
    shapes: list[Trace] = []
    for i, (name, (singular, evbmf, rank)) in enumerate(zip(("Input", "Output"), sides, strict=True)):
        suffix = "2" if i else ""
        values = np.zeros(0) if singular is None else singular
        n, axis_names = len(values), {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        template = "direction %{x}<br>singular value %{y:.3g}<extra></extra>"
        style = {"marker": {"color": BLUE}, "hovertemplate": template, "showlegend": False, **axis_names}
        data.append(bar(range(1, n + 1), values.tolist(), name=f"{name.lower()} channels", **style))
        points = [(x, evbmf.threshold) for x in (0.5, n + 0.5)] if evbmf else []
        style = {"line": THRESHOLD_LINE, "hovertemplate": "EVBMF threshold %{y:.3g}<extra></extra>", **axis_names}
        data.append(line(points, name="EVBMF threshold: below it is noise", showlegend=i == 1, **style))
        note = "" if spectrum is None else "not reduced in this layer"
        if evbmf is not None:
            kept = n if rank is None else min(rank, n)
            note = f"{'all ' if rank is None else f'{kept} of '}{n} directions kept; EVBMF finds {evbmf.rank}"
            shapes += _regions(values, evbmf.threshold, kept, suffix)
        text = f"{name} channels" + (f'<br><span style="font-size:12px">{note}</span>' if note else "")
        titles.append(annotation(text, sum(DOMAINS[i]) / 2, 1.0, yanchor="bottom", font={"size": 13}))
        x_axis = {"showgrid": False, "anchor": f"y{suffix}", "domain": DOMAINS[i], "visible": evbmf is not None}
        y_axis = {"rangemode": "tozero", "anchor": f"x{suffix}", "visible": evbmf is not None}
        axes[f"xaxis{suffix}"] = axis("direction, strongest first", **x_axis)
        axes[f"yaxis{suffix}"] = axis("" if i else "singular value", **y_axis)
    layout = {"bargap": 0.12, "barmode": "overlay", "margin": {"t": 50, "b": 80}, "annotations": titles, **axes}
    legend = {"itemclick": False, "itemdoubleclick": False, "yref": "container", "y": 0, "yanchor": "bottom"}
    layer_name = part.name if part else ""  # the zoom stays while the layer is the same
    return figure([*data, *LEGEND], 330, legend=legend, uirevision=layer_name, shapes=shapes, **layout)


def _regions(values: NDArray[np.float64], threshold: float, kept: int, suffix: str) -> list[dict[str, Any]]:
    """Return shapes: a veil over the values that are left out, its edge, the bars' outline and the threshold."""
    n, cut = len(values), kept + 0.5
    full_height = {"xref": f"x{suffix}", "yref": f"y{suffix} domain", "y0": 0, "y1": 1}
    axes = {"xref": f"x{suffix}", "yref": f"y{suffix}"}
    steps = " ".join(f"V{value:.4g} H{k + 1.5}" for k, value in enumerate(values))
    rectangle = {"type": "rect", **full_height, "line": {"width": 0}}
    return [
        {"name": "kept", **rectangle, "x0": 0.5, "x1": cut},
        {"name": "left out", **rectangle, "x0": cut, "x1": n + 0.5, "fillcolor": "white", "opacity": VEIL_OPACITY},
        {"type": "path", **axes, "path": f"M0.5,0 {steps} V0", "line": {"color": SLATE, "width": 1}},
        {"type": "line", **axes, "x0": 0.5, "x1": n + 0.5, "y0": threshold, "y1": threshold, "line": THRESHOLD_LINE},
        {"type": "line", **full_height, "x0": cut, "x1": cut, "line": CUT_LINE, "visible": kept < n},
    ]
