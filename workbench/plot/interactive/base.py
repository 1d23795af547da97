"""What all interactive figures share: layout, axes, colours of a dark page, error bars and the empty figure.

A figure is a dictionary {"data": [...], "layout": {...}} as plotly.js takes it; its values can be written as JSON.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

from workbench.network.scores import Score
from workbench.plot.colors import (
    BLUE,
    EDGE,
    GREEN,
    GREY,
    GRID,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    SLATE,
    VEILED_BLUE,
    VERMILLION,
)

Figure: TypeAlias = dict[str, Any]

FONT = {"family": "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif", "size": 12, "color": INK}
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
    VEILED_BLUE: "#315A74",
}
"""Colour of a figure -> colour on a dark page; other colours stay as they are."""
EMPTY_HEIGHT = 96
"""Height in pixels of a figure without content."""
HOVER = "%{customdata}<extra></extra>"
"""Hover template of traces whose texts are their custom data."""


def layout(height: int, **more: Any) -> dict[str, Any]:
    """Return the layout that all figures share; `more` goes over it, dictionaries key by key."""
    base: dict[str, Any] = {
        "height": height,
        "autosize": True,
        "font": FONT,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 58, "r": 16, "t": 34, "b": 46},
        "legend": {"orientation": "h", "x": 0, "y": -0.24, "yanchor": "top"},
        "modebar": {"orientation": "v", "bgcolor": "rgba(0,0,0,0)", "color": EDGE, "activecolor": INK},
        "hoverlabel": {"font": FONT, "bgcolor": "white", "bordercolor": EDGE, "align": "left"},
    }
    merged = {key: {**base[key], **more[key]} for key in ("margin", "legend") if key in more}
    return base | more | merged


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Return the settings that all axes share; `more` goes over them."""
    return {
        "title": {"text": title, "standoff": 8},
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": GREY,
        "ticks": "outside",
        "tickcolor": GREY,
        **more,
    }


def empty(text: str, height: int = EMPTY_HEIGHT) -> Figure:
    """Return a figure with a sentence in place of axes."""
    note = {"text": text, "showarrow": False, "x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper"}
    hidden = {"visible": False}
    return {"data": [], "layout": layout(height, annotations=[note], xaxis=hidden, yaxis=hidden)}


def error_bars(scores: Sequence[Score], **look: Any) -> dict[str, Any]:
    """Return the 95 % intervals of top-1, in percent, as error bars."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [100 * (score.interval[1] - score.top1) for score in scores],
        "arrayminus": [100 * (score.top1 - score.interval[0]) for score in scores],
        "thickness": 1,
        **look,
    }


def pattern(shape: str) -> dict[str, Any]:
    """Return the fill pattern of a bar, drawn over its colour; none for ""."""
    return {"shape": shape, "fgcolor": INK, "size": 5, "solidity": 0.2, "fillmode": "overlay"}
