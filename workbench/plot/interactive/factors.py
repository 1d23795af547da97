"""One convolution and the three that replace it: blocks, costs, and the plane of the ranks."""

from typing import Any

from workbench.inspect.factors import FACTOR_NAMES, HEIGHT, MEASURES, RATIOS, WIDTH, Factors, evbmf_ranks
from workbench.plot import colors
from workbench.plot.interactive.base import HIDDEN, Figure, Trace, annotation, axis, bar, figure, hover, line, scatter

BREAK_EVEN_LINE = {"color": colors.VERMILLION, "width": 2.5}
UNNAMED: Trace = {"hoverinfo": "skip", "showlegend": False}


def factors(factors: Factors) -> Figure:
    """Draw the blocks, the costs in percent of the dense layer's, and these ranks in the plane of all ranks."""
    max_in, max_out = factors.layer.max_ranks
    bar_axis = {"anchor": "x2", "domain": [0, 0.465], "range": [1.65, -0.5], "categoryarray": list(MEASURES.values())}
    dense_line = {"xref": "x2", "yref": "y2 domain", "x0": 100, "x1": 100, "y0": 0, "y1": 1, "line": BREAK_EVEN_LINE}
    plane = {"showgrid": False, "anchor": "y3", "domain": [0.565, 1]}
    return figure(
        [*_blocks(factors), *_bars(factors), *_plane(factors)],
        600,
        barmode="stack",
        paper_bgcolor="white",  # also in a dark notebook
        margin={"l": 66, "t": 4, "b": 84},
        legend={"y": -0.12, "traceorder": "normal"},
        xaxis={**HIDDEN, "range": [0, WIDTH], "anchor": "y"},
        yaxis={**HIDDEN, "range": [0, HEIGHT], "anchor": "x", "domain": [0.535, 1]},
        xaxis2=axis("percent of the dense layer", range=[0, 100 * factors.max_share], anchor="y2", domain=[0, 0.435]),
        yaxis2=axis("", ticks="", showgrid=False, **bar_axis),
        xaxis3=axis("rank_in", range=[0, 1.03 * max_in], **plane),
        yaxis3=axis("rank_out", range=[0, 1.06 * max_out], **plane | {"anchor": "x3", "domain": [0, 0.465]}),
        shapes=[{"type": "line", **dense_line}],
        annotations=_texts(factors),
    )


def blocks(factors: Factors) -> Figure:
    """Draw only the blocks: one convolution above, the three that replace it below."""
    x, y = zip(*((arrow.middle, arrow.end[1]) for arrow in factors.arrows), strict=True)
    texts = hover(f"{arrow.above}: {arrow.below}" for arrow in factors.arrows)
    hover_points = scatter(x, y, "markers", name="convolutions", marker={"opacity": 0, "size": 24}, **texts)
    return figure(
        [*_blocks(factors), hover_points],
        250,
        showlegend=False,
        margin={"l": 4, "r": 4, "t": 4, "b": 4},
        xaxis={**HIDDEN, "range": [0, WIDTH]},
        yaxis={**HIDDEN, "range": [0, HEIGHT]},
        annotations=_block_texts(factors),
    )


def _blocks(factors: Factors) -> list[Trace]:
    """Return one trace for each face and kind of block: closed polygons with gaps between them."""
    traces = []
    for kind, shades in colors.BLOCK_SHADES.items():
        for face, color in enumerate(shades):
            polygons = [block.faces[face] for block in factors.blocks if block.kind == kind]
            points = [point for corners in polygons for point in (*corners, corners[0], (None, None))]
            style: Trace = {"fill": "toself", "fillcolor": color, "line": {"color": colors.INK, "width": 1}, **UNNAMED}
            traces.append(line(points, **style))
    return traces


def _bars(factors: Factors) -> list[Trace]:
    traces = []
    for i, (name, color) in enumerate(zip(FACTOR_NAMES, colors.FACTOR_COLORS, strict=True)):
        x = [100 * factors.shares(measure)[i] for measure in MEASURES]
        style = {"orientation": "h", "xaxis": "x2", "yaxis": "y2", "width": 0.5, "marker": {"color": color}}
        hover = f"{name}: %{{x:.1f}} % of the dense %{{y}}<extra></extra>"
        traces.append(bar(x, MEASURES.values(), name=name, hovertemplate=hover, **style))
    return traces


def _plane(factors: Factors) -> list[Trace]:
    axes = {"xaxis": "x3", "yaxis": "y3"}
    cheaper_area = {"fill": "tozeroy", "fillcolor": "rgba(0,158,115,0.14)", "line": BREAK_EVEN_LINE}
    thin_line: Trace = {"line": {"color": colors.EDGE, "width": 1}}
    traces = [line(factors.line(r), **(cheaper_area if r == 1 else thin_line), **UNNAMED, **axes) for r in RATIOS]
    open_diamond = {"symbol": "diamond-open", "color": colors.GREEN, "size": 13, "line": {"width": 2.5}}
    dot = {"symbol": "circle", "color": colors.INK, "size": 12, "line": {"width": 2, "color": "white"}}
    marks = [("EVBMF's ranks", evbmf_ranks(factors.spectrum), open_diamond)]
    marks.append(("these ranks", (factors.rank_in, factors.rank_out), dot))
    for name, ranks, marker in marks:
        if ranks is not None:
            style = {"marker": marker, "hovertemplate": f"{name}: rank_in = %{{x}}, rank_out = %{{y}}<extra></extra>"}
            traces.append(scatter([ranks[0]], [ranks[1]], "markers", name=name, **style, **axes))
    return traces


def _block_texts(factors: Factors) -> list[dict[str, Any]]:
    texts = [_text(f"<b>{block.name}</b>", *block.label, yanchor="bottom") for block in factors.blocks]
    for arrow, color in zip(factors.arrows, colors.ARROW_COLORS, strict=True):
        start: Trace = {"axref": "x", "ayref": "y", "ax": arrow.start[0], "ay": arrow.start[1]}
        texts += [
            _text("", *arrow.end, showarrow=True, arrowhead=2, arrowwidth=2.5, arrowcolor=color, **start),
            _text(f"<b>{arrow.above}</b>", arrow.middle, arrow.end[1], yanchor="bottom", yshift=4),
            _text(arrow.below, arrow.middle, arrow.end[1], yanchor="top", yshift=-4),
        ]
    return texts


def _texts(factors: Factors) -> list[dict[str, Any]]:
    texts = _block_texts(factors)
    for i, measure in enumerate(MEASURES):
        texts.append(_text(factors.change_text(measure), 0, i + 0.27, "2", xanchor="left", yanchor="top"))
    above: Trace = {"yref": "y2 domain", "yanchor": "bottom", "font": {"color": colors.VERMILLION}}
    texts.append(_text("dense", 100, 1.0, "2", **above))
    for ratio in RATIOS:
        if xy := factors.label_position(ratio):
            text, color = ("break-even", colors.DARK_RED) if ratio == 1 else (f"x{ratio}", colors.SLATE)
            texts.append(_text(text, *xy, "3", bgcolor="rgba(255,255,255,0.8)", font={"size": 11, "color": color}))
    return texts


def _text(text: str, x: float, y: float, number: str = "", **settings: Any) -> dict[str, Any]:
    return annotation(text, x, y, **{"xref": f"x{number}", "yref": f"y{number}"} | settings)
