"""One convolution and the three in its place -> a plotly figure: blocks, costs, and the plane of the ranks."""

from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.inspect.factors import COLORS, HEIGHT, NAMES, RATIOS, WIDTH, Arrow, Block, Factors, Points, evbmf_ranks
from workbench.plot.interactive.base import GREEN, GREY, INK, VERMILLION, axis, layout
from workbench.plot.interactive.plain import Drawing

WHATS = ("weights", "macs")
LABELS = ("weights", "MACs")
SHADES = ((GREY, "#E4E9F0", "#AEB7C2"), ("#CC79A7", "#E8BFD6", "#A85A85"))
"""Front, top and side of the blocks outside and of those between the factors."""

_BLOCKS, _BARS, _PLANE = 0, 6, 9  # where the traces of each part begin


def factors_figure() -> go.Figure:
    """Empty figure for :func:`fill_factors`."""
    figure = make_subplots(
        rows=2,
        cols=2,
        specs=[[{"colspan": 2}, None], [{}, {}]],
        row_heights=[0.5, 0.5],
        vertical_spacing=0.07,
        horizontal_spacing=0.13,
    )
    for shades in SHADES:
        for color in shades:
            face = {"mode": "lines", "fill": "toself", "fillcolor": color, "line": {"color": INK, "width": 1}}
            figure.add_trace(go.Scatter(**face, hoverinfo="skip", showlegend=False), row=1, col=1)
    for name, color in zip(NAMES, COLORS, strict=True):
        hover = f"{name}: %{{x:.1f}} % of the dense %{{y}}<extra></extra>"
        bar = go.Bar(name=name, orientation="h", marker={"color": color}, width=0.5, hovertemplate=hover)
        figure.add_trace(bar, row=2, col=1)
    for ratio in RATIOS:
        first = ratio == 1
        line = {"color": VERMILLION if first else "#7B8794", "width": 2.5 if first else 1}
        fill: dict[str, Any] = {"fill": "tozeroy", "fillcolor": "rgba(0,158,115,0.14)"} if first else {}
        trace = go.Scatter(mode="lines", line=line, hoverinfo="skip", showlegend=False, **fill)
        figure.add_trace(trace, row=2, col=2)
    for name, marker in (
        ("EVBMF's ranks", {"symbol": "diamond-open", "color": GREEN, "size": 13, "line": {"width": 2.5}}),
        ("these ranks", {"symbol": "circle", "color": INK, "size": 12, "line": {"width": 2, "color": "white"}}),
    ):
        hover = f"{name}: R3 = %{{x}}, R4 = %{{y}}<extra></extra>"
        trace = go.Scatter(name=name, mode="markers", marker=marker, hovertemplate=hover)
        figure.add_trace(trace, row=2, col=2)
    figure.update_layout(
        layout(
            600,
            barmode="stack",
            paper_bgcolor="white",  # a notebook may be dark
            margin={"l": 66, "t": 4, "b": 84},
            legend={"y": -0.12, "traceorder": "normal"},
        )
    )
    hidden = {"visible": False, "fixedrange": True}
    figure.update_xaxes({**hidden, "range": [0, WIDTH]}, row=1, col=1)
    figure.update_yaxes({**hidden, "range": [0, HEIGHT]}, row=1, col=1)
    figure.update_xaxes(axis("percent of the dense layer", rangemode="tozero"), row=2, col=1)
    named = axis("", range=[1.65, -0.5], categoryarray=list(LABELS), ticks="", showgrid=False)
    figure.update_yaxes(named, row=2, col=1)
    figure.update_xaxes(axis("R3: input rank", showgrid=False), row=2, col=2)
    figure.update_yaxes(axis("R4: output rank", showgrid=False), row=2, col=2)
    return figure


def fill_factors(figure: Drawing, shown: Factors) -> None:
    """The blocks at their sizes, the costs beside the dense layer's, and where in the plane these ranks are."""
    outside, between = shown.blocks[:3] + shown.blocks[-1:], shown.blocks[3:-1]
    with figure.batch_update():
        for i, blocks in enumerate((outside, between)):
            for j in range(3):
                trace = figure.data[_BLOCKS + 3 * i + j]
                trace.x, trace.y = _closed([block.faces[j] for block in blocks])
        shares = [shown.shares(what) for what in WHATS]
        for i, trace in enumerate(figure.data[_BARS:_PLANE]):
            trace.x, trace.y = [share[i] for share in shares], LABELS
        *lines, found, here = figure.data[_PLANE:]
        for ratio, trace in zip(RATIOS, lines, strict=True):
            points = shown.line(ratio)
            trace.x, trace.y = [x for x, _ in points], [y for _, y in points]
        ranks = evbmf_ranks(shown.spectrum)
        found.x, found.y = ([ranks[0]], [ranks[1]]) if ranks else ((), ())
        found.showlegend = ranks is not None
        here.x, here.y = [shown.rank_in], [shown.rank_out]
        most_in, most_out = shown.layer.max_ranks
        widest = max(115.0, 1.08 * max(map(sum, shares)))
        figure.layout.xaxis2.range = [0, widest]
        figure.layout.xaxis3.range = [0, 1.03 * most_in]
        figure.layout.yaxis3.range = [0, 1.06 * most_out]
        figure.layout.shapes = [_dense_line()]
        figure.layout.annotations = [*_block_words(shown), *_bar_words(shown), *_plane_words(shown)]


def _closed(polygons: list[Points]) -> tuple[list[float | None], list[float | None]]:
    """One trace for several polygons: closed, with a gap between them."""
    x: list[float | None] = []
    y: list[float | None] = []
    for corners in polygons:
        x += [*(corner[0] for corner in corners), corners[0][0], None]
        y += [*(corner[1] for corner in corners), corners[0][1], None]
    return x, y


def _note(text: str, x: float, y: Any, where: str = "", **more: Any) -> dict[str, Any]:
    place = {"xref": f"x{where}", "yref": f"y{where}", "x": x, "y": y}
    return {"text": text, "showarrow": False, "font": {"size": 12}, **place, **more}


def _block_words(shown: Factors) -> list[dict[str, Any]]:
    words = [_named(block) for block in shown.blocks]
    for arrow in shown.arrows:
        words += _arrow(arrow)
    return words


def _named(block: Block) -> dict[str, Any]:
    x, y = block.label
    return _note(f"<b>{block.name}</b>", x, y, yanchor="bottom")


def _arrow(arrow: Arrow) -> list[dict[str, Any]]:
    start = {"axref": "x", "ayref": "y", "ax": arrow.start[0], "ay": arrow.start[1]}
    head = {"showarrow": True, "arrowhead": 2, "arrowwidth": 2.5, "arrowcolor": arrow.color, **start}
    return [
        {**_note("", *arrow.end), **head},
        _note(f"<b>{arrow.above}</b>", arrow.middle, arrow.end[1], yanchor="bottom", yshift=4),
        _note(arrow.below, arrow.middle, arrow.end[1], yanchor="top", yshift=-4),
    ]


def _bar_words(shown: Factors) -> list[dict[str, Any]]:
    words = [
        _note(shown.compared(what).replace("->", "→"), 0, place + 0.27, "2", xanchor="left", yanchor="top")
        for place, what in enumerate(WHATS)
    ]
    dense = _note("dense", 100, 1.0, "2", yref="y2 domain", yanchor="bottom", font={"color": VERMILLION})
    return [*words, dense]


def _dense_line() -> dict[str, Any]:
    line = {"color": VERMILLION, "width": 2.5}
    return {"type": "line", "xref": "x2", "yref": "y2 domain", "x0": 100, "x1": 100, "y0": 0, "y1": 1, "line": line}


def _plane_words(shown: Factors) -> list[dict[str, Any]]:
    words = []
    for ratio in RATIOS:
        at = shown.mark(ratio)
        if at is not None:
            text, color = ("break-even", "#A33F00") if ratio == 1 else (f"x{ratio}", "#52606D")
            words.append(_note(text, *at, "3", bgcolor="rgba(255,255,255,0.8)", font={"size": 11, "color": color}))
    return words
