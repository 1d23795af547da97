"""Where the time goes: each part of a network under this machine's roofline, and the time of each layer, in plotly."""

from collections.abc import Mapping, Sequence
from math import log10, sqrt

import plotly.graph_objects as go

from workbench.measure.profile_table import KINDS, OTHER, Profile, Row
from workbench.measure.roofline import Roofline
from workbench.plot.interactive.base import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    VERMILLION,
    axis,
    layout,
    say_if_empty,
)
from workbench.plot.interactive.plain import Drawing
from workbench.tables import count, quantity

MARKS = {
    "dense": ("circle", BLUE),
    "core": ("square", GREEN),
    "1x1": ("triangle-up", VERMILLION),
    "linear": ("diamond", PURPLE),
}
"""Symbol and colour of each kind of part; those of the original are hollow."""
WHO = ("original", "compressed")
SMALL, LARGE = 7, 34
"""Diameters, in pixels, of a part that takes no time and of the one that takes the most."""
MOST_LAYERS = 24
"""Layers with bars of their own; of more, those with the least time are summed up."""
STACK = (
    ("original", "original", GREY, "/"),
    ("dense", "not factorised", BLUE, ""),
    ("factor_in", "first factor", ORANGE, "."),
    ("core", "core", GREEN, ""),
    ("factor_out", "last factor", VERMILLION, "x"),
)
"""What the bars of :func:`times_figure` consist of: part, name, colour, pattern."""


def roofline_figure() -> go.Figure:
    """Empty figure for :func:`fill_roofline`: the roof, then each kind of part of the original and the compressed."""
    figure = go.Figure()
    roof = {"color": INK, "width": 2}
    figure.add_trace(go.Scatter(name="this machine's roof", mode="lines", line=roof, hoverinfo="skip"))
    for who in WHO:
        for kind, (symbol, color) in MARKS.items():
            hollow = who == "original"
            edge = {"width": 1.8 if hollow else 1, "color": color if hollow else "white"}
            marker = {"symbol": symbol + "-open" * hollow, "color": color, "line": edge, "sizemin": 3, "opacity": 0.9}
            figure.add_trace(
                go.Scatter(
                    name=f"{who}: {KINDS[kind]}",
                    mode="markers",
                    marker=marker,
                    visible=False,
                    hovertemplate="%{customdata}<extra></extra>",
                )
            )
    figure.update_layout(layout(520, margin={"l": 64, "t": 14}, legend={"y": -0.14, "itemsizing": "constant"}))
    ticks = {"type": "log", "dtick": 1, "minor": {"dtick": "D1", "showgrid": False, "ticks": "outside", "ticklen": 3}}
    figure.update_xaxes(axis("multiply-adds for each byte moved", **ticks, tickformat="~g"))
    figure.update_yaxes(axis("billion multiply-adds a second", **ticks, tickformat="~g"))
    return figure


def fill_roofline(
    figure: Drawing,
    before: Profile | None,
    after: Profile | None,
    roofline: Roofline | None = None,
    selected: str = "",
) -> None:
    """Every part by its multiply-adds a byte and its multiply-adds a second, as large as the time it takes.

    Parameters
    ----------
    before, after : profiles of the original and of the compressed network; None where there is none yet.
    roofline : of this machine. A part can lie above it: what is in a cache does not wait for the memory.
    selected : name of the layer that is looked at; the others are paler.
    """
    shown = {who: p for who, p in zip(WHO, (before, after), strict=True) if p is not None}
    rows = [row for profile in shown.values() for row in profile.rows if row.seconds > 0 and row.macs]
    slowest = max((row.seconds for row in rows), default=1.0)
    marked = any(row.layer == selected for row in rows)
    with figure.batch_update():
        traces = iter(figure.data[1:])
        for who in WHO:
            for kind in MARKS:
                trace, profile = next(traces), shown.get(who)
                found = [row for row in rows_of(profile) if row.kind == kind]
                trace.visible = bool(found)
                trace.x = [row.intensity for row in found]
                trace.y = [row.rate / 1e9 for row in found]
                trace.marker.size = [SMALL + (LARGE - SMALL) * sqrt(row.seconds / slowest) for row in found]
                trace.marker.opacity = [0.35 if marked and row.layer != selected else 0.95 for row in found]
                trace.ids = [f"{row.layer}#{i}" for i, row in enumerate(found)]  # plotly drops doubles
                trace.customdata = [_hover(who, row, profile, roofline) for row in found if profile]
        line = roof_line(rows, roofline)
        figure.data[0].x, figure.data[0].y = [x for x, _ in line], [y for _, y in line]
        say_if_empty(figure, not rows, "The parts of the network appear here once their time has been measured.")
        if rows and roofline is not None:
            figure.layout.annotations = _limits(line, roofline)


def rows_of(profile: Profile | None) -> list[Row]:
    """The rows that have a place on logarithmic axes."""
    return [row for row in (profile.rows if profile else ()) if row.seconds > 0 and row.macs]


def roof_line(rows: Sequence[Row], roofline: Roofline | None) -> list[tuple[float, float]]:
    """(multiply-adds a byte, billion a second) of the roof's corners, as wide as the rows and its ridge ask for."""
    if roofline is None or not rows:
        return []
    low = min([roofline.ridge, *(row.intensity for row in rows)]) / 2
    high = max([roofline.ridge, *(row.intensity for row in rows)]) * 2
    return [(x, roofline.attainable(x) / 1e9) for x in (low, roofline.ridge, high)]


def _limits(line: Sequence[tuple[float, float]], roofline: Roofline) -> list[dict[str, object]]:
    """What limits on either side of the ridge, written along the roof."""
    (left, _), (ridge, peak), (right, _) = line
    at = {"showarrow": False, "font": {"size": 11, "color": INK}}
    memory = f"the memory limits: {quantity(roofline.bandwidth, 'B/s')}"
    processor = f"the processor limits: {count(roofline.peak)} multiply-adds a second"
    x = log10(sqrt(left * ridge))
    return [
        {**at, "text": memory, "x": x, "y": log10(roofline.attainable(10**x) / 1e9), "xanchor": "right", "xshift": -8},
        {**at, "text": processor, "x": log10(sqrt(ridge * right)), "y": log10(peak), "yshift": 11},
    ]


def _hover(who: str, row: Row, profile: Profile, roofline: Roofline | None) -> str:
    lines = [
        f"<b>{row.layer}</b> ({who})",
        f"{row.part}, {row.kernel}",
        f"{count(row.macs)} multiply-adds, {quantity(row.moved, 'B')} moved: {row.intensity:.3g} a byte",
        f"{quantity(row.seconds, 's')}, {row.seconds / profile.seconds:.1%} of the pass",
        f"{count(row.rate)} multiply-adds a second",
    ]
    if roofline is not None:
        lines[-1] += f"; the roof is at {count(roofline.attainable(row.intensity))}"
    return "<br>".join(lines)


def times_figure() -> go.Figure:
    """Empty figure for :func:`fill_times`: for each layer the original's time beside the compressed network's."""
    figure = go.Figure()
    for _, name, color, pattern in STACK:
        marker = {
            "color": color,
            "pattern": {"shape": pattern, "fgcolor": INK, "size": 5, "solidity": 0.2, "fillmode": "overlay"},
        }
        hover = "%{customdata}<extra></extra>"
        figure.add_trace(go.Bar(name=name, marker=marker, width=0.4, hovertemplate=hover))
    figure.update_layout(
        layout(380, barmode="overlay", margin={"l": 64, "t": 40, "b": 40}, legend={"y": 1.02, "yanchor": "bottom"})
    )
    figure.update_xaxes({**axis("", showgrid=False, tickangle=-45, automargin=True), "title": None})
    figure.update_yaxes(axis("time (ms)", rangemode="tozero"))
    return figure


def fill_times(figure: Drawing, before: Profile | None, after: Profile | None, selected: str = "") -> None:
    """One pair of bars a layer: the original's time, and that of the layer or its factors, one on the other.

    Parameters
    ----------
    selected : name of the layer that is looked at; it is marked.
    """
    names, times = layer_times(before, after)
    with figure.batch_update():
        for trace, (part, label, *_) in zip(figure.data, STACK, strict=True):
            bars = [(i, *times[name][part]) for i, name in enumerate(names) if part in times[name]]
            side = -0.21 if part == "original" else 0.21
            trace.x = [i + side for i, _, _ in bars]
            trace.base = [1e3 * base for _, base, _ in bars]
            trace.y = [1e3 * seconds for _, _, seconds in bars]
            trace.ids = [names[i] for i, _, _ in bars]
            trace.customdata = [f"<b>{names[i]}</b><br>{label}: {quantity(seconds, 's')}" for i, _, seconds in bars]
        figure.layout.xaxis.tickvals = list(range(len(names)))
        short = [name if len(name) <= 18 else f"…{name[-17:]}" for name in names]
        figure.layout.xaxis.ticktext = [
            f"<b>▸ {text}</b>" if name == selected else text for name, text in zip(names, short, strict=True)
        ]
        say_if_empty(figure, not names, "The time of each layer appears here once it has been measured.")


def layer_times(
    before: Profile | None, after: Profile | None
) -> tuple[list[str], Mapping[str, Mapping[str, tuple[float, float]]]]:
    """Names of layers and, for each, part -> (seconds below it in its bar, its own seconds).

    The parts are those of `STACK`. Of more than `MOST_LAYERS` the slowest are kept, in their order, and the others
    are one; last comes everything else.
    """
    spent: dict[str, dict[str, float]] = {}
    for profile, original in ((before, True), (after, False)):
        for row in profile.rows if profile else ():
            part = "original" if original else row.part
            parts = spent.setdefault(row.layer, {})
            parts[part] = parts.get(part, 0.0) + row.seconds
    slowest = sorted(spent, key=lambda name: -sum(spent[name].values()))
    few = {name: parts for name, parts in spent.items() if name in slowest[:MOST_LAYERS]}
    rest = [parts for name, parts in spent.items() if name not in few]
    if rest:
        few[f"{len(rest)} other layers"] = {
            part: sum(parts[part] for parts in rest if part in parts)
            for part, *_ in STACK
            if any(part in parts for parts in rest)
        }
    others = {"original": before, "dense": after}
    if few:
        few[OTHER] = {part: profile.other for part, profile in others.items() if profile}
    return list(few), {name: _stacked(parts) for name, parts in few.items()}


def _stacked(parts: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    found, base = {}, 0.0
    for part, *_ in STACK:
        if part in parts:
            found[part] = (0.0 if part == "original" else base, parts[part])
            base += 0.0 if part == "original" else parts[part]
    return found
