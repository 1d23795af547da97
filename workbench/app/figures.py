"""Results -> plotly figures. Each figure is made once and then filled; nothing here shows anything.

A `fill_...` function takes the figure and puts a result into its traces. Colours are after Okabe and Ito, which
colour-blind people can tell apart, some darker so that each stands out from white 3:1; what matters is told by shape
or position too. Figures are made for a light page; `DARK` says what a dark one shows instead.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import plotly.graph_objects as go
from plotly.basedatatypes import BaseFigure
from plotly.subplots import make_subplots

from workbench.compression.data import Accuracy
from workbench.compression.plan import LayerPlan
from workbench.compression.spectrum import Spectrum

BLUE, ORANGE, GREEN, VERMILLION, PURPLE = "#0072B2", "#C98500", "#009E73", "#B84A00", "#B8609A"
SKY = "#56B4E9"
GREY, EDGE, HATCH, SLATE, INK = "#C3CAD3", "#7B8794", "#8A94A2", "#52606D", "#1F2933"
FONT = {"family": "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif", "size": 12, "color": INK}
GRID = "#E4E9F0"
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
}
"""Colour of a figure -> what it is on a dark page; colours that are not here stay as they are."""
EMPTY = 96
"""Height, in pixels, of a figure that waits for somebody to ask for its content."""
MODES = (("Input channels", "in"), ("Output channels", "out"))
HATCHED = 96
"""Bars up to which hatching can be seen; with more of them it would only take twice as long to draw."""


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
        "meta": {"height": height},
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
    """Empty figure for :func:`fill_spectrum`: the two unfoldings side by side, three traces each."""
    figure = make_subplots(rows=1, cols=2, subplot_titles=[title for title, _ in MODES], horizontal_spacing=0.09)
    for column in (1, 2):
        bars = {"row": 1, "col": column}
        hover = "direction %{x}<br>singular value %{y:.3g}<extra>%{fullData.name}</extra>"
        legend = {"showlegend": column == 2}  # the output mode is always there
        figure.add_trace(go.Bar(name="kept", marker={"color": BLUE}, hovertemplate=hover, **legend), **bars)
        left_out = {"color": GREY, "pattern": {"shape": "/", "fgcolor": HATCH, "size": 5}}
        figure.add_trace(go.Bar(name="left out", marker=left_out, hovertemplate=hover, **legend), **bars)
        line = go.Scatter(
            name="EVBMF threshold: below it is noise",
            mode="lines",
            line={"color": VERMILLION, "dash": "dash", "width": 2},
            hovertemplate="EVBMF threshold %{y:.3g}<extra></extra>",
            **legend,
        )
        figure.add_trace(line, **bars)
    figure.update_layout(layout(330, bargap=0.12, barmode="overlay", margin={"t": 50, "b": 76}))
    figure.update_annotations(font_size=13, yanchor="bottom")
    figure.update_xaxes(axis("direction, strongest first", showgrid=False))
    figure.update_yaxes(axis("singular value", rangemode="tozero"))
    figure.update_yaxes(title=None, col=2)
    return figure


def fill_spectrum(figure: BaseFigure, spectrum: Spectrum | None, part: LayerPlan | None) -> None:
    """Singular values of both unfoldings: those that the plan keeps, those it leaves out, and EVBMF's threshold."""
    modes: list[tuple[np.ndarray | None, float, int, int | None]] = []
    if spectrum is None or part is None:
        modes = [(None, 0.0, 0, None)] * 2
    else:
        threshold = spectrum.in_.threshold if spectrum.in_ else 0.0
        found_in = spectrum.in_.rank if spectrum.in_ else 0
        modes.append((spectrum.singular_in, threshold, found_in, part.rank_in))
        modes.append((spectrum.singular_out, spectrum.out.threshold, spectrum.out.rank, part.rank_out))
    with figure.batch_update():
        for i, (values, threshold, found, rank) in enumerate(modes):
            kept, left_out, line = figure.data[3 * i : 3 * i + 3]
            title = MODES[i][0]
            if values is None:
                kept.x = kept.y = left_out.x = left_out.y = line.x = line.y = ()
                note = "" if spectrum is None else _two_lines("not reduced in this layer")
                figure.layout.annotations[i].text = title + note
                _show_axes(figure, i, shown=False)
                continue
            _show_axes(figure, i, shown=True)
            n = len(values)
            shown = n if rank is None else min(rank, n)
            index = np.arange(1, n + 1)
            kept.x, kept.y = index[:shown], values[:shown]
            left_out.x, left_out.y = index[shown:], values[shown:]
            left_out.marker.pattern.shape = "/" if n <= HATCHED else ""
            line.x, line.y = (0.5, n + 0.5), (threshold, threshold)
            chosen = f"all {n} directions kept" if rank is None else f"{shown} of {n} directions kept"
            figure.layout.annotations[i].text = title + _two_lines(f"{chosen}; EVBMF finds {found}")


def _two_lines(text: str) -> str:
    return f'<br><span style="font-size:12px">{text}</span>'


def _show_axes(figure: BaseFigure, column: int, *, shown: bool) -> None:
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


def fill_curve(figure: BaseFigure, epochs: Sequence[Trained], before: Accuracy | None = None) -> None:
    """Validation accuracy and training loss by epoch; `before` is the accuracy that fine-tuning began with."""
    scores = [(0, before)] if epochs else []
    points = [(x, score) for x, score in [*scores, *((e.epoch, e.validation) for e in epochs)] if score is not None]
    with figure.batch_update():
        accuracy = figure.data[0]
        accuracy.x = [x for x, _ in points]
        accuracy.y = [score.top1 for _, score in points]
        accuracy.error_y.array = [score.interval[1] - score.top1 for _, score in points]
        accuracy.error_y.arrayminus = [score.top1 - score.interval[0] for _, score in points]
        count = f"<br>of {points[-1][1].n} images" if points else ""
        figure.layout.yaxis.title.text = f"validation accuracy (%){count}"
        figure.data[1].x = [e.epoch for e in epochs]
        figure.data[1].y = [e.loss for e in epochs]
        figure.layout.xaxis.dtick = 1 if len(epochs) <= 12 else None
        say_if_empty(figure, not epochs, "The curve appears here while the network is fine-tuned.")


def say_if_empty(figure: BaseFigure, empty: bool, text: str, *, small: bool = True) -> None:
    """A sentence instead of axes with made-up numbers, as long as there is nothing to show.

    Parameters
    ----------
    small : whether the figure takes little room until then.
    """
    note = {"text": text, "showarrow": False, "x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper"}
    figure.layout.annotations = [note] if empty else []
    figure.layout.height = EMPTY if empty and small else figure.layout.meta["height"]
    figure.update_xaxes(visible=not empty)
    figure.update_yaxes(visible=not empty)
