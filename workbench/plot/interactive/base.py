"""Results -> plotly figures. Each figure is made once and then filled; nothing here shows anything.

A `fill_...` function takes the figure and puts a result into its traces. Colours are after Okabe and Ito, which
colour-blind people can tell apart, some darker so that each stands out from white 3:1; what matters is told by shape
or position too. Figures are made for a light page; `DARK` says what a dark one shows instead.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.network.data import Accuracy
from workbench.plan.plan import LayerPlan
from workbench.plan.spectrum import Spectrum
from workbench.plot.interactive.plain import Drawing

BLUE, ORANGE, GREEN, VERMILLION, PURPLE = "#0072B2", "#C98500", "#009E73", "#B84A00", "#B8609A"
SKY = "#56B4E9"
GREY, EDGE, HATCH, SLATE, INK = "#C3CAD3", "#7B8794", "#8A94A2", "#52606D", "#1F2933"
FONT = {"family": "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif", "size": 12, "color": INK}
GRID = "#E4E9F0"
VEIL, VEILED = 0.62, "#9EC9E2"
"""How far white covers what is left out, and blue under it."""
DARK = {
    BLUE: "#56B4E9",
    ORANGE: "#E69F00",
    GREEN: "#00A678",
    VERMILLION: "#E8713A",
    PURPLE: "#CC6FA8",
    SKY: "#F0E442",
    GREY: "#6B7986",
    EDGE: "#8694A2",
    SLATE: "#D5DCE3",
    INK: "#E6EBF0",
    GRID: "#303B46",
    "white": "#1B232C",
    VEILED: "#315A74",
}
"""Colour of a figure -> what it is on a dark page; colours that are not here stay as they are."""
EMPTY = 96
"""Height, in pixels, of a figure that waits for somebody to ask for its content."""
MODES = (("Input channels", "in"), ("Output channels", "out"))
INTERVALS = 30
"""Epochs up to which each has its interval on the curve; more of them are a fence."""
THRESHOLD = {"color": VERMILLION, "dash": "dash", "width": 2}


def layout(height: int, **more: object) -> dict[str, object]:
    """Layout that all figures have in common; `more` goes over it."""
    base: dict[str, object] = {
        "height": height,
        "autosize": True,
        "template": "none",
        "font": FONT,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 58, "r": 16, "t": 34, "b": 46},
        "legend": {"orientation": "h", "x": 0, "y": -0.24, "yanchor": "top"},
        "modebar": {"orientation": "v", "bgcolor": "rgba(0,0,0,0)", "color": EDGE, "activecolor": INK},
        "hoverlabel": {"font": FONT, "bgcolor": "white", "bordercolor": EDGE, "align": "left"},
        "meta": height,
    }
    for key, value in more.items():
        known = base.get(key)
        base[key] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    return base


def axis(title: str, **more: object) -> dict[str, object]:
    """What all axes have in common; `more` goes over it."""
    return {
        "title": {"text": title, "standoff": 8},
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": GREY,
        "ticks": "outside",
        "tickcolor": GREY,
        **more,
    }


def spectrum_figure() -> go.Figure:
    """Empty figure for :func:`fill_spectrum`: the two unfoldings side by side, a bar for each direction."""
    figure = make_subplots(rows=1, cols=2, subplot_titles=[title for title, _ in MODES], horizontal_spacing=0.09)
    for column, (title, _) in enumerate(MODES, 1):
        place = {"row": 1, "col": column}
        hover = "direction %{x}<br>singular value %{y:.3g}<extra></extra>"
        bars = {"marker": {"color": BLUE}, "hovertemplate": hover, "showlegend": False}
        figure.add_trace(go.Bar(name=title.lower(), **bars), **place)
        hover = "EVBMF threshold %{y:.3g}<extra></extra>"
        line = {"mode": "lines", "line": THRESHOLD, "hovertemplate": hover, "showlegend": column == 2}
        figure.add_trace(go.Scatter(name="EVBMF threshold: below it is noise", **line), **place)
    for rank, (name, color) in enumerate((("kept", BLUE), ("left out", VEILED)), 1):  # the legend's alone
        one = go.Bar(name=name, x=[None], y=[None], marker={"color": color}, hoverinfo="skip", legendrank=rank)
        figure.add_trace(one, row=1, col=2)
    cut = {"mode": "lines", "line": {"color": INK, "width": 2}, "hoverinfo": "skip", "legendrank": 3}
    figure.add_trace(go.Scatter(name="the rank chosen", x=[None], y=[None], **cut), row=1, col=2)
    legend = {"itemclick": False, "itemdoubleclick": False}
    figure.update_layout(layout(330, bargap=0.12, barmode="overlay", margin={"t": 50, "b": 76}, legend=legend))
    figure.update_annotations(font_size=13, yanchor="bottom")
    figure.update_xaxes(axis("direction, strongest first", showgrid=False))
    figure.update_yaxes(axis("singular value", rangemode="tozero"))
    figure.update_yaxes(title=None, col=2)
    return figure


def fill_spectrum(figure: Drawing, spectrum: Spectrum | None, part: LayerPlan | None) -> None:
    """Singular values of both unfoldings: those that the plan keeps, those it leaves out, and EVBMF's threshold.

    Ranks are in the figure's shapes and titles only, which are redrawn far faster than bars: a hand moves them.
    """
    modes: list[tuple[np.ndarray | None, float, int, int | None]] = []
    if spectrum is None or part is None:
        modes = [(None, 0.0, 0, None)] * 2
    else:
        threshold = spectrum.in_.threshold if spectrum.in_ else 0.0
        found_in = spectrum.in_.rank if spectrum.in_ else 0
        modes.append((spectrum.singular_in, threshold, found_in, part.rank_in))
        modes.append((spectrum.singular_out, spectrum.out.threshold, spectrum.out.rank, part.rank_out))
    shapes: list[dict[str, object]] = []
    with figure.batch_update():
        figure.layout.uirevision = part.name if part else ""  # what is zoomed in on stays, while it is the same layer
        for i, (values, threshold, found, rank) in enumerate(modes):
            bars, line = figure.data[2 * i : 2 * i + 2]
            title = MODES[i][0]
            if values is None:
                bars.x = bars.y = line.x = line.y = ()
                note = "" if spectrum is None else _two_lines("not reduced in this layer")
                figure.layout.annotations[i].text = title + note
                _show_axes(figure, i, shown=False)
                continue
            _show_axes(figure, i, shown=True)
            n = len(values)
            shown = n if rank is None else min(rank, n)
            bars.x, bars.y = list(range(1, n + 1)), values.tolist()  # lists, which plotly.js can tell to be the same
            line.x, line.y = [0.5, n + 0.5], [threshold, threshold]
            shapes += _regions(values, threshold, shown, "2" if i else "")
            chosen = f"all {n} directions kept" if rank is None else f"{shown} of {n} directions kept"
            figure.layout.annotations[i].text = title + _two_lines(f"{chosen}; EVBMF finds {found}")
        figure.layout.shapes = shapes


def _regions(values: np.ndarray, threshold: float, kept: int, axes: str) -> list[dict[str, object]]:
    """A veil over what is left out, and what must stand out from it: where it begins, outline, and threshold."""
    n, end = len(values), kept + 0.5
    over = {"xref": f"x{axes}", "yref": f"y{axes} domain", "y0": 0, "y1": 1}
    free = {"xref": f"x{axes}", "yref": f"y{axes}"}
    steps = " ".join(f"V{value:.4g} H{k + 1.5}" for k, value in enumerate(values))
    return [
        {"name": "kept", "type": "rect", **over, "x0": 0.5, "x1": end, "line": {"width": 0}},
        {
            "name": "left out",
            "type": "rect",
            **over,
            "x0": end,
            "x1": n + 0.5,
            "line": {"width": 0},
            "fillcolor": "white",
            "opacity": VEIL,
        },
        {"type": "path", **free, "path": f"M0.5,0 {steps} V0", "line": {"color": SLATE, "width": 1}},
        {"type": "line", **free, "x0": 0.5, "x1": n + 0.5, "y0": threshold, "y1": threshold, "line": THRESHOLD},
        {"type": "line", **over, "x0": end, "x1": end, "line": {"color": INK, "width": 2}, "visible": kept < n},
    ]


def _two_lines(text: str) -> str:
    return f'<br><span style="font-size:12px">{text}</span>'


def _show_axes(figure: Drawing, column: int, *, shown: bool) -> None:
    for name in ("xaxis", "yaxis"):
        figure.layout[name + ("2" if column else "")].visible = shown


def curve_figure() -> go.Figure:
    """Empty figure for :func:`fill_curve`."""
    figure = make_subplots(specs=[[{"secondary_y": True}]])
    accuracy = go.Scatter(
        name="validation accuracy",
        mode="lines+markers",
        line={"color": BLUE, "width": 2.5},
        marker={"size": 7},
        hovertemplate="epoch %{x}<br>validation accuracy %{y:.2f} %<extra></extra>",
        error_y={"symmetric": False, "color": BLUE, "thickness": 1, "width": 3},
    )
    loss = go.Scatter(
        name="training loss (right axis)",
        mode="lines+markers",
        line={"color": ORANGE, "width": 1.5, "dash": "dot"},
        marker={"size": 6, "symbol": "diamond"},
        hovertemplate="epoch %{x}<br>training loss %{y:.4f}<extra></extra>",
    )
    figure.add_trace(accuracy, secondary_y=False)
    figure.add_trace(loss, secondary_y=True)
    figure.update_layout(layout(330, margin={"l": 74, "r": 64, "t": 12}, legend={"y": -0.2}))
    figure.update_xaxes(axis("epoch", rangemode="tozero", dtick=1, showgrid=False))
    figure.update_yaxes(axis("validation accuracy (%)"), secondary_y=False)
    figure.update_yaxes(
        axis("training loss", showgrid=False, rangemode="tozero", tickmode="auto", nticks=6), secondary_y=True
    )
    return figure


class Trained(Protocol):
    """What the curve needs of an epoch."""

    @property
    def epoch(self) -> int: ...  # noqa: D102
    @property
    def loss(self) -> float: ...  # noqa: D102
    @property
    def validation(self) -> Accuracy | None: ...  # noqa: D102


def fill_curve(figure: Drawing, epochs: Sequence[Trained], before: Accuracy | None = None) -> None:
    """Validation accuracy and training loss by epoch; `before` is the accuracy that fine-tuning began with."""
    scores = [(0, before)] if epochs else []
    points = [(x, score) for x, score in [*scores, *((e.epoch, e.validation) for e in epochs)] if score is not None]
    with figure.batch_update():
        accuracy = figure.data[0]
        accuracy.x = [x for x, _ in points]
        accuracy.y = [score.top1 for _, score in points]
        accuracy.error_y.color = BLUE if len(points) <= INTERVALS else "rgba(0,0,0,0)"  # the CSV file has them
        accuracy.error_y.array = [score.interval[1] - score.top1 for _, score in points]
        accuracy.error_y.arrayminus = [score.top1 - score.interval[0] for _, score in points]
        count = f"<br>of {points[-1][1].n} images" if points else ""
        figure.layout.yaxis.title.text = f"validation accuracy (%){count}"
        figure.data[1].x = [e.epoch for e in epochs]
        figure.data[1].y = [e.loss for e in epochs]
        figure.layout.xaxis.dtick = 1 if len(epochs) <= 12 else None
        say_if_empty(figure, not epochs, "The curve appears here while the network is fine-tuned.")


def say_if_empty(figure: Drawing, empty: bool, text: str, *, small: bool = True) -> None:
    """A sentence instead of axes with made-up numbers, as long as there is nothing to show.

    Parameters
    ----------
    small : whether the figure takes little room until then.
    """
    note = {"text": text, "showarrow": False, "x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper"}
    figure.layout.annotations = [note] if empty else []
    figure.layout.height = EMPTY if empty and small else figure.layout.meta
    figure.update_xaxes(visible=not empty)
    figure.update_yaxes(visible=not empty)
