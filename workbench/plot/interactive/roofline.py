"""Each part of a network under this machine's roofline, and the time of each layer before and after."""

from collections.abc import Mapping, Sequence
from math import log10, sqrt
from typing import Any

from workbench.measure.profile import KINDS, OTHER, NetworkProfile, Part, Profile
from workbench.measure.roofline import Roofline
from workbench.plot.colors import BLUE, GREEN, GREY, INK, KIND_MARKS, ORANGE, VERMILLION
from workbench.plot.interactive.base import HOVER, Figure, axis, empty, layout, pattern
from workbench.plot.roof import roof_line, timed_parts
from workbench.tables import count, quantity

MIN_MARKER_PIXELS, MAX_MARKER_PIXELS = 7, 34
"""Diameter of a part that takes no time, and of the slowest."""
MAX_LAYERS = 24
"""Layers with bars of their own; of more, the fastest are summed up."""
STACK = (
    ("original", "original", GREY, "/"),
    ("dense", "not factorised", BLUE, ""),
    ("factor_in", "first factor", ORANGE, "."),
    ("core", "core", GREEN, ""),
    ("factor_out", "last factor", VERMILLION, "x"),
)
"""What the bars of the layers' times consist of: part, name, colour, pattern."""


def roofline(profile: Profile | None, roof: Roofline | None = None, selected: str = "") -> Figure:
    """Draw every part by its multiply-adds a byte and its multiply-adds a second, as large as the time it takes.

    Parameters
    ----------
    profile : of the original (hollow) and the compressed network (filled).
    roof : of this machine. A part can lie above it: what is in a cache does not wait for the memory.
    selected : name of a layer; the others are paler.
    """
    networks = profile.networks if profile is not None else {}
    parts = [part for network in networks.values() for part in timed_parts(network)]
    if not parts:
        return empty("The parts of the network appear here once their time has been measured.")
    slowest = max(part.seconds for part in parts)
    marked = any(part.layer == selected for part in parts)
    data: list[dict[str, Any]] = []
    for which, network in networks.items():
        for kind, (symbol, color) in KIND_MARKS.items():
            found = [part for part in timed_parts(network) if part.kind == kind]
            if not found:
                continue
            hollow = which == "original"
            sizes = [
                MIN_MARKER_PIXELS + (MAX_MARKER_PIXELS - MIN_MARKER_PIXELS) * sqrt(p.seconds / slowest) for p in found
            ]
            trace = {
                "name": f"{which}: {KINDS[kind]}",
                "mode": "markers",
                "x": [part.intensity for part in found],
                "y": [part.rate / 1e9 for part in found],
                "ids": [f"{part.layer}#{i}" for i, part in enumerate(found)],  # plotly drops doubles
                "customdata": [_hover(which, part, network, roof) for part in found],
                "hovertemplate": HOVER,
                "marker": {
                    "symbol": f"{symbol}-open" if hollow else symbol,
                    "color": color,
                    "line": {"width": 1.8, "color": color} if hollow else {"width": 1, "color": "white"},
                    "size": sizes,
                    "sizemin": 3,
                    "opacity": [0.35 if marked and part.layer != selected else 0.95 for part in found],
                },
            }
            data.append(trace)
    line = roof_line(parts, roof)
    roof_trace = {
        "name": "this machine's roof",
        "mode": "lines",
        "x": [x for x, _ in line],
        "y": [y for _, y in line],
        "line": {"color": INK, "width": 2},
        "hoverinfo": "skip",
    }
    minor = {"dtick": "D1", "showgrid": False, "ticks": "outside", "ticklen": 3}
    log = {"type": "log", "dtick": 1, "minor": minor, "tickformat": "~g"}
    return {
        "data": [{"type": "scatter", **trace} for trace in (roof_trace, *data)],
        "layout": layout(
            520,
            margin={"l": 64, "t": 14},
            legend={"y": -0.14, "itemsizing": "constant"},
            xaxis=axis("multiply-adds for each byte moved", **log),
            yaxis=axis("billion multiply-adds a second", **log),
            annotations=_limits(line, roof) if roof is not None else [],
        ),
    }


def _limits(line: Sequence[tuple[float, float]], roof: Roofline) -> list[dict[str, Any]]:
    """Return what limits on either side of the ridge, as texts along the roof."""
    (left, _), (ridge, peak), (right, _) = line
    memory = f"the memory limits: {quantity(roof.bandwidth, 'B/s')}"
    processor = f"the processor limits: {count(roof.peak)} multiply-adds a second"
    middle = sqrt(left * ridge)
    common = {"showarrow": False, "font": {"size": 11, "color": INK}}
    at_memory = {"x": log10(middle), "y": log10(roof.attainable(middle) / 1e9), "xanchor": "right", "xshift": -8}
    at_processor = {"x": log10(sqrt(ridge * right)), "y": log10(peak), "yshift": 11}
    return [{"text": memory, **common, **at_memory}, {"text": processor, **common, **at_processor}]


def _hover(which: str, part: Part, network: NetworkProfile, roof: Roofline | None) -> str:
    limit = "" if roof is None else f"; the roof is at {count(roof.attainable(part.intensity))}"
    lines = [
        f"<b>{part.layer}</b> ({which})",
        f"{part.part}, {part.kernel}",
        f"{count(part.macs)} multiply-adds, {quantity(part.moved, 'B')} moved: {part.intensity:.3g} a byte",
        f"{quantity(part.seconds, 's')}, {part.seconds / network.seconds:.1%} of the pass",
        f"{count(part.rate)} multiply-adds a second{limit}",
    ]
    return "<br>".join(lines)


def layer_times(profile: Profile | None, selected: str = "") -> Figure:
    """Draw two bars a layer: the original's time, and that of the layer or its factors, one on the other.

    Parameters
    ----------
    selected : name of a layer; its label is marked.
    """
    spent = _spent(profile) if profile is not None else {}
    if not spent:
        return empty("The time of each layer appears here once it has been measured.")
    names = list(spent)
    data = []
    for part, label, color, shape in STACK:
        bars = [(i, name, *_stacked(spent[name], part)) for i, name in enumerate(names) if part in spent[name]]
        side = -0.21 if part == "original" else 0.21
        trace = {
            "type": "bar",
            "name": label,
            "x": [i + side for i, *_ in bars],
            "base": [1e3 * base for *_, base, _ in bars],
            "y": [1e3 * seconds for *_, seconds in bars],
            "width": 0.4,
            "ids": [name for _, name, *_ in bars],
            "customdata": [f"<b>{name}</b><br>{label}: {quantity(seconds, 's')}" for _, name, _, seconds in bars],
            "hovertemplate": HOVER,
            "marker": {"color": color, "pattern": pattern(shape)},
        }
        data.append(trace)
    short = [name if len(name) <= 18 else f"…{name[-17:]}" for name in names]
    ticks = [f"<b>▸ {text}</b>" if name == selected else text for name, text in zip(names, short, strict=True)]
    across = {"showgrid": False, "tickangle": -45, "automargin": True, "tickvals": list(range(len(names)))}
    return {
        "data": data,
        "layout": layout(
            380,
            barmode="overlay",
            margin={"l": 64, "t": 40, "b": 40},
            legend={"y": 1.02, "yanchor": "bottom"},
            xaxis=axis("", ticktext=ticks, **across),
            yaxis=axis("time (ms)", rangemode="tozero"),
        ),
    }


def _spent(profile: Profile) -> dict[str, dict[str, float]]:
    """Return seconds by layer and part of `STACK`: the slowest layers in their order, the others' sum, all else."""
    spent: dict[str, dict[str, float]] = {}
    for which, network in profile.networks.items():
        for row in network.parts:
            _add(spent.setdefault(row.layer, {}), "original" if which == "original" else row.part, row.seconds)
    slowest = sorted(spent, key=lambda name: -sum(spent[name].values()))[:MAX_LAYERS]
    shown = {name: parts for name, parts in spent.items() if name in slowest}
    if len(spent) > len(shown):
        others = shown[f"{len(spent) - len(shown)} other layers"] = {}
        for name, parts in spent.items():
            for part, seconds in parts.items() if name not in shown else ():
                _add(others, part, seconds)
    if shown:
        whole = {"original": "original", "compressed": "dense"}
        shown[OTHER] = {whole[which]: network.other for which, network in profile.networks.items()}
    return shown


def _add(sums: dict[str, float], key: str, seconds: float) -> None:
    sums[key] = sums.get(key, 0.0) + seconds


def _stacked(parts: Mapping[str, float], part: str) -> tuple[float, float]:
    """Return (seconds below the part in its bar, its own seconds)."""
    order = [name for name, *_ in STACK]
    below = order[1 : order.index(part)] if part != "original" else []
    return sum(parts.get(name, 0.0) for name in below), parts[part]
