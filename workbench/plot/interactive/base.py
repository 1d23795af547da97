"""Base of all interactive figures: layout, axes, traces and error bars.

A figure is a dictionary {"data": [...], "layout": {...}} for plotly.js; its values can be written as JSON.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from workbench.network.scores import Score
from workbench.plot.colors import EDGE, GREY, GRID, INK

Figure: TypeAlias = dict[str, Any]
Trace: TypeAlias = dict[str, Any]

FONT = {"family": "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif", "size": 12, "color": INK}
HIDDEN: dict[str, Any] = {"visible": False, "fixedrange": True}
"""Settings of an invisible axis."""
EMPTY_HEIGHT = 96
"""Height in pixels of a figure without content."""
LAYOUT: dict[str, Any] = {
    "autosize": True,
    "font": FONT,
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "margin": {"l": 58, "r": 16, "t": 34, "b": 46},
    "legend": {"orientation": "h", "x": 0, "y": -0.24, "yanchor": "top"},
    "modebar": {"orientation": "v", "bgcolor": "rgba(0,0,0,0)", "color": EDGE, "activecolor": INK},
    "hoverlabel": {"font": FONT, "bgcolor": "white", "bordercolor": EDGE, "align": "left"},
}


def figure(data: Sequence[Trace], height: int, **layout: Any) -> Figure:
    """Return a figure with the common layout, updated by `layout`; margin and legend are updated key by key."""
    merged = {key: {**LAYOUT[key], **layout[key]} for key in ("margin", "legend") if key in layout}
    return {"data": list(data), "layout": LAYOUT | {"height": height} | layout | merged}


def empty(text: str, height: int = EMPTY_HEIGHT) -> Figure:
    """Return a figure with a sentence in place of axes."""
    return figure([], height, annotations=[annotation(text, 0.5, 0.5)], xaxis=HIDDEN, yaxis=HIDDEN)


def annotation(text: str, x: float, y: float, **settings: Any) -> dict[str, Any]:
    """Return a text centred at (x, y), which are shares of the figure unless `settings` has other references."""
    defaults = {"xref": "paper", "yref": "paper", "xanchor": "center", "showarrow": False}
    return {"text": text, "x": x, "y": y, **defaults, **settings}


def axis(title: str, **settings: Any) -> dict[str, Any]:
    """Return an axis with the common settings, updated by `settings`."""
    lines = {"gridcolor": GRID, "zeroline": False, "linecolor": GREY, "ticks": "outside", "tickcolor": GREY}
    return {"title": {"text": title, "standoff": 8}, **lines, **settings}


def scatter(x: Iterable[Any], y: Iterable[Any], mode: str = "lines", **settings: Any) -> Trace:
    """Return a trace of lines, markers or both."""
    return {"type": "scatter", "mode": mode, "x": list(x), "y": list(y), **settings}


def line(points: Iterable[tuple[Any, Any]], **settings: Any) -> Trace:
    """Return a trace of a line through points (x, y); (None, None) is a gap."""
    points = list(points)
    return scatter([x for x, _ in points], [y for _, y in points], **settings)


def bar(x: Iterable[Any], y: Iterable[Any], **settings: Any) -> Trace:
    """Return a trace of bars."""
    return {"type": "bar", "x": list(x), "y": list(y), **settings}


def hover(texts: Iterable[str]) -> dict[str, Any]:
    """Return the part of a trace that shows one text for each of its points."""
    return {"customdata": list(texts), "hovertemplate": "%{customdata}<extra></extra>"}


def interval(y: Sequence[float], ends: Sequence[Sequence[float]], **style: Any) -> dict[str, Any]:
    """Return the part of a trace that has `y`, and error bars from low to high, the `ends` of each value."""
    bars = {
        "array": [high - value for value, (_, high) in zip(y, ends, strict=True)],
        "arrayminus": [value - low for value, (low, _) in zip(y, ends, strict=True)],
    }
    return {"y": list(y), "error_y": {"type": "data", "symmetric": False, "thickness": 1, **bars, **style}}


def percent(scores: Sequence[Score], **style: Any) -> dict[str, Any]:
    """Return the part of a trace that has top-1 in percent with its 95 % interval, or a metric without one."""
    ends = [[100 * end for end in score.interval] if score.is_share else [score.shown] * 2 for score in scores]
    return interval([score.shown for score in scores], ends, **style)


def filled(color: str, pattern: str) -> dict[str, Any]:
    """Return the fill of bars: a colour, and a pattern over it, "" for none."""
    overlay = {"shape": pattern, "fgcolor": INK, "size": 5, "solidity": 0.2, "fillmode": "overlay"}
    return {"color": color, "pattern": overlay}
