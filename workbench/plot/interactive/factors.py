"""One convolution and the three in its place: blocks, costs, and the plane of the ranks."""

from typing import Any

from workbench.inspect.factors import FACTOR_NAMES, HEIGHT, MEASURES, RATIOS, WIDTH, Factors, Points, evbmf_ranks
from workbench.plot.colors import (
    ARROW_COLORS,
    BLOCK_SHADES,
    DARK_RED,
    EDGE,
    FACTOR_COLORS,
    GREEN,
    INK,
    SLATE,
    VERMILLION,
)
from workbench.plot.interactive.base import Figure, axis, layout

BOTTOM = {"domain": [0.0, 0.465]}
LEFT, RIGHT = {"domain": [0.0, 0.435]}, {"domain": [0.565, 1.0]}


def factors(factors: Factors) -> Figure:
    """Draw the blocks at their sizes, the costs beside the dense layer's, and the place of these ranks in the plane."""
    most_in, most_out = factors.layer.max_ranks
    labels = list(MEASURES.values())
    hidden = {"visible": False, "fixedrange": True}
    return {
        "data": [*_blocks(factors), *_bars(factors), *_plane(factors)],
        "layout": layout(
            600,
            barmode="stack",
            paper_bgcolor="white",  # also in a dark notebook
            margin={"l": 66, "t": 4, "b": 84},
            legend={"y": -0.12, "traceorder": "normal"},
            xaxis={**hidden, "range": [0, WIDTH], "anchor": "y"},
            yaxis={**hidden, "range": [0, HEIGHT], "anchor": "x", "domain": [0.535, 1.0]},
            xaxis2=axis("percent of the dense layer", range=[0, 100 * factors.max_share], anchor="y2", **LEFT),
            yaxis2=axis("", range=[1.65, -0.5], categoryarray=labels, ticks="", showgrid=False, anchor="x2", **BOTTOM),
            xaxis3=axis("R3: input rank", showgrid=False, range=[0, 1.03 * most_in], anchor="y3", **RIGHT),
            yaxis3=axis("R4: output rank", showgrid=False, range=[0, 1.06 * most_out], anchor="x3", **BOTTOM),
            shapes=[_dense_line()],
            annotations=[*_block_texts(factors), *_bar_texts(factors), *_plane_texts(factors)],
        ),
    }


def _blocks(factors: Factors) -> list[dict[str, Any]]:
    """One trace for each face of all blocks of a kind."""
    traces = []
    for kind, shades in BLOCK_SHADES.items():
        for face, color in enumerate(shades):
            x, y = _closed([block.faces[face] for block in factors.blocks if block.kind == kind])
            outline = {"mode": "lines", "fill": "toself", "fillcolor": color, "line": {"color": INK, "width": 1}}
            traces.append({"type": "scatter", "x": x, "y": y, **outline, "hoverinfo": "skip", "showlegend": False})
    return traces


def _closed(polygons: list[Points]) -> tuple[list[float | None], list[float | None]]:
    """Return the coordinates of one trace with several closed polygons."""
    points = [point for corners in polygons for point in (*corners, corners[0], (None, None))]
    return [x for x, _ in points], [y for _, y in points]


def _bars(factors: Factors) -> list[dict[str, Any]]:
    shares = [factors.shares(measure) for measure in MEASURES]
    return [
        {
            "type": "bar",
            "name": name,
            "orientation": "h",
            "x": [100 * share[i] for share in shares],
            "y": list(MEASURES.values()),
            "xaxis": "x2",
            "yaxis": "y2",
            "width": 0.5,
            "marker": {"color": color},
            "hovertemplate": f"{name}: %{{x:.1f}} % of the dense %{{y}}<extra></extra>",
        }
        for i, (name, color) in enumerate(zip(FACTOR_NAMES, FACTOR_COLORS, strict=True))
    ]


def _plane(factors: Factors) -> list[dict[str, Any]]:
    traces: list[dict[str, Any]] = []
    for ratio in RATIOS:
        line = {"color": VERMILLION if ratio == 1 else EDGE, "width": 2.5 if ratio == 1 else 1}
        fill = {"fill": "tozeroy", "fillcolor": "rgba(0,158,115,0.14)"} if ratio == 1 else {}
        points = factors.line(ratio)
        place = {"x": [x for x, _ in points], "y": [y for _, y in points]}
        traces.append({"mode": "lines", **place, "line": line, **fill, "hoverinfo": "skip", "showlegend": False})
    found = {"symbol": "diamond-open", "color": GREEN, "size": 13, "line": {"width": 2.5}}
    here = {"symbol": "circle", "color": INK, "size": 12, "line": {"width": 2, "color": "white"}}
    marks = (
        ("EVBMF's ranks", evbmf_ranks(factors.spectrum), found),
        ("these ranks", (factors.rank_in, factors.rank_out), here),
    )
    for name, ranks, marker in marks:
        if ranks is not None:
            hover = f"{name}: R3 = %{{x}}, R4 = %{{y}}<extra></extra>"
            place = {"x": [ranks[0]], "y": [ranks[1]]}
            traces.append({"name": name, "mode": "markers", **place, "marker": marker, "hovertemplate": hover})
    return [{"type": "scatter", "xaxis": "x3", "yaxis": "y3", **trace} for trace in traces]


def _text(text: str, x: float, y: float, number: str = "", **more: Any) -> dict[str, Any]:
    place = {"xref": f"x{number}", "yref": f"y{number}", "x": x, "y": y}
    return {"text": text, "showarrow": False, "font": {"size": 12}, **place, **more}


def _block_texts(factors: Factors) -> list[dict[str, Any]]:
    texts = [_text(f"<b>{block.name}</b>", *block.label, yanchor="bottom") for block in factors.blocks]
    for arrow, color in zip(factors.arrows, ARROW_COLORS, strict=True):
        start = {"axref": "x", "ayref": "y", "ax": arrow.start[0], "ay": arrow.start[1]}
        head = {"showarrow": True, "arrowhead": 2, "arrowwidth": 2.5, "arrowcolor": color, **start}
        texts += [
            _text("", *arrow.end, **head),
            _text(f"<b>{arrow.above}</b>", arrow.middle, arrow.end[1], yanchor="bottom", yshift=4),
            _text(arrow.below, arrow.middle, arrow.end[1], yanchor="top", yshift=-4),
        ]
    return texts


def _bar_texts(factors: Factors) -> list[dict[str, Any]]:
    below = {"xanchor": "left", "yanchor": "top"}
    texts = [_text(factors.compared(measure), 0, i + 0.27, "2", **below) for i, measure in enumerate(MEASURES)]
    dense = _text("dense", 100, 1.0, "2", yref="y2 domain", yanchor="bottom", font={"color": VERMILLION})
    return [*texts, dense]


def _dense_line() -> dict[str, Any]:
    line = {"color": VERMILLION, "width": 2.5}
    return {"type": "line", "xref": "x2", "yref": "y2 domain", "x0": 100, "x1": 100, "y0": 0, "y1": 1, "line": line}


def _plane_texts(factors: Factors) -> list[dict[str, Any]]:
    texts = []
    for ratio in RATIOS:
        at = factors.mark(ratio)
        if at is not None:
            text, color = ("break-even", DARK_RED) if ratio == 1 else (f"x{ratio}", SLATE)
            texts.append(_text(text, *at, "3", bgcolor="rgba(255,255,255,0.8)", font={"size": 11, "color": color}))
    return texts
