"""Joules for one image, and power over time. Every text with an estimated number calls it an estimate."""

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from workbench.measure.counters import PowerTrace
from workbench.measure.energy import Energy
from workbench.plot.colors import BLUE, GREY, INK, ORANGE, SKY
from workbench.plot.interactive.base import HOVER, Figure, axis, empty, layout, pattern
from workbench.tables import quantity

PART_FILLS = ((BLUE, ""), (ORANGE, "/"), (GREY, "x"), (SKY, "."))
"""Colour and pattern of each part that joules consist of."""
LINES = ((BLUE, "solid"), (ORANGE, "dot"))
"""Colour and dash of the power of each network."""


def energy(energy: Energy | None) -> Figure:
    """Draw the joules of each network for one image, stacked by what they consist of, with their range."""
    if energy is None:
        return empty("The energy for one image appears here.")
    networks = energy.networks
    label = "estimate" if energy.estimated else "measured"
    unit, scale = _unit(max(each.joules for each in networks.values()))
    names = list(dict.fromkeys(part for each in networks.values() for part in each.parts))
    data: list[dict[str, Any]] = []
    for part, (color, shape) in zip(names, PART_FILLS, strict=False):
        bars = {which: each.parts[part] for which, each in networks.items() if part in each.parts}
        trace = {
            "type": "bar",
            "name": f"{part} ({label})",
            "x": list(bars),
            "y": [scale * joules for joules in bars.values()],
            "width": 0.5,
            "customdata": [f"<b>{which}</b><br>{part}: {quantity(j, 'J')} ({label})" for which, j in bars.items()],
            "hovertemplate": HOVER,
            "marker": {"color": color, "pattern": pattern(shape)},
        }
        data.append(trace)
    whole = {
        "type": "scatter",
        "x": list(networks),
        "customdata": ["<br>".join([f"<b>{w}</b>", e.text, *wrap(energy.source, 60)]) for w, e in networks.items()],
        "hovertemplate": HOVER,
        "showlegend": False,
        "cliponaxis": False,
    }
    ranges = {
        "type": "data",
        "symmetric": False,
        "array": [scale * (each.most - each.joules) for each in networks.values()],
        "arrayminus": [scale * (each.joules - each.least) for each in networks.values()],
        "color": INK,
        "thickness": 1.2,
        "width": 6,
    }
    totals = [scale * each.joules for each in networks.values()]
    tops = [scale * each.most for each in networks.values()]
    texts = [f"<b>{each.text}</b>" for each in networks.values()]
    data += [
        {**whole, "mode": "markers", "y": totals, "marker": {"color": INK, "size": 1}, "error_y": ranges},
        {**whole, "mode": "text", "y": tops, "text": texts, "textposition": "top center"},
    ]
    return {
        "data": data,
        "layout": layout(
            300,
            barmode="stack",
            margin={"l": 64, "t": 30},
            legend={"y": -0.16},
            xaxis=axis("", showgrid=False, type="category", ticks=""),
            yaxis=axis(f"{unit} for one image ({label})", rangemode="tozero"),
        ),
    }


def _unit(joules: float) -> tuple[str, float]:
    """Unit of the axis, and how many of it are a joule: the unit of the largest bar's text."""
    return next((pair for pair in (("J", 1.0), ("mJ", 1e3)) if joules * pair[1] >= 1), ("µJ", 1e6))


def power(energy: Energy | None) -> Figure:
    """Draw the measured power over time of both networks, which ran in turns."""
    networks = energy.networks if energy is not None else {}
    traces = {which: each.trace for which, each in networks.items() if each.trace is not None}
    if not traces:
        return empty("Power over time needs energy counters: without them joules are an estimate.")
    data = []
    for (which, trace), (color, dash) in zip(traces.items(), LINES, strict=False):
        x, y = _steps(trace)
        line = {
            "type": "scatter",
            "name": which,
            "mode": "lines",
            "x": x,
            "y": y,
            "line": {"color": color, "width": 2.5, "dash": dash},
            "hovertemplate": "%{x:.2f} s<br>%{y:.3g} W (measured)<extra>%{fullData.name}</extra>",
        }
        data.append(line)
    return {
        "data": data,
        "layout": layout(
            280,
            margin={"l": 64, "t": 14},
            xaxis=axis("time (s)", rangemode="tozero"),
            yaxis=axis("power (W), measured", rangemode="tozero"),
        ),
    }


def _steps(trace: PowerTrace) -> tuple[Sequence[float | None], Sequence[float | None]]:
    """Return each slice as a level, with a gap where another network ran."""
    x: list[float | None] = []
    y: list[float | None] = []
    for start, end, watts in zip(trace.starts, trace.ends, trace.watts, strict=True):
        if x and start - (x[-1] or 0.0) > 0.5 * (end - start):
            x.append(None)
            y.append(None)
        x += [start, end]
        y += [watts, watts]
    return x, y
