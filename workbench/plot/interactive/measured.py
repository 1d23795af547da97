"""Measurements: parts of a network under the roofline, times of layers, energy, and speed by runtime."""

from collections import defaultdict
from itertools import cycle
from math import sqrt
from textwrap import wrap

from workbench.measure.energy import Energy
from workbench.measure.latency import INT8
from workbench.measure.profile import OTHER, PART_KINDS, NetworkProfile, Part, Profile
from workbench.measure.roofline import Roofline
from workbench.measure.runtimes import RUNTIMES
from workbench.measure.speed import Speed
from workbench.network.verdict import wilson
from workbench.plot.colors import BLUE, GREEN, GREY, GRID, INK, KIND_MARKS, ORANGE, SKY, SLATE, VERMILLION
from workbench.plot.interactive.base import Figure, axis, bar, empty, figure, filled, hover, interval, line, scatter
from workbench.tables import count, quantity

MIN_MARKER_PIXELS, MAX_MARKER_PIXELS = 7, 34
"""Diameters of the fastest parts and of the slowest."""
MAX_LAYERS = 24
"""Largest number of layers with separate bars; the fastest others are summed."""
STACK = (
    ("original", "original", GREY, "/"),
    ("dense", "not factorised", BLUE, ""),
    ("factor_in", "first factor", ORANGE, "."),
    ("core", "core", GREEN, ""),
    ("factor_out", "last factor", VERMILLION, "x"),
)
"""Parts of the bars of the layers' times: part, name, colour, pattern."""
PART_FILLS = ((BLUE, ""), (ORANGE, "/"), (GREY, "x"), (SKY, "."))
"""Colour and pattern of each part of an energy."""
MARKS = {"original": ("star", SLATE, 15), "compressed": ("circle", BLUE, 12), INT8: ("square", VERMILLION, 11)}
"""Symbol, colour and size in pixels of each network."""


def roofline(profile: Profile | None, roof: Roofline | None = None, selected: str = "") -> Figure:
    """Draw each part of the original (hollow) and of the compressed network (filled); its area is its time.

    A part can lie above the roof, since data in a cache do not wait for the memory. Layers not selected are paler.
    """
    parts = [part for _, _, group in profile.timed() for part in group] if profile is not None else []
    if profile is None or not parts:
        return empty("The parts of the network appear here once their time has been measured.")
    slowest = max(part.seconds for part in parts)
    has_selected = any(part.layer == selected for part in parts)
    data = []
    if roof is not None:
        limits = f"memory {quantity(roof.bandwidth, 'B/s')}, processor {count(roof.peak)} multiply-adds a second"
        style = {"name": f"this machine's roof: {limits}", "line": {"color": INK, "width": 2}, "hoverinfo": "skip"}
        data.append(line(roof.line([part.intensity for part in parts]), **style))
    for network, kind, group in profile.timed():
        (symbol, color), hollow = KIND_MARKS[kind], network == "original"
        marker = {
            "symbol": f"{symbol}-open" if hollow else symbol,
            "color": color,
            "line": {"width": 1.8, "color": color} if hollow else {"width": 1, "color": "white"},
            "size": [max(MIN_MARKER_PIXELS, MAX_MARKER_PIXELS * sqrt(p.seconds / slowest)) for p in group],
            "opacity": [0.35 if has_selected and part.layer != selected else 0.95 for part in group],
        }
        points = [(part.intensity, part.rate / 1e9) for part in group]
        style = {"marker": marker, **hover(_text(network, part, profile.networks[network], roof) for part in group)}
        style["ids"] = [f"{part.layer}#{i}" for i, part in enumerate(group)]  # plotly drops duplicates
        data.append(line(points, mode="markers", name=f"{network}: {PART_KINDS[kind]}", **style))
    minor = {"dtick": "D1", "showgrid": False, "ticks": "outside", "ticklen": 3}
    log = {"type": "log", "dtick": 1, "minor": minor, "tickformat": "~g"}
    x, y = axis("multiply-adds for each byte moved", **log), axis("billion multiply-adds a second", **log)
    legend = {"y": -0.3, "itemsizing": "constant"}
    return figure(data, 520, margin={"l": 64, "t": 14}, legend=legend, xaxis=x, yaxis=y)


def _text(name: str, part: Part, network: NetworkProfile, roof: Roofline | None) -> str:
    limit = "" if roof is None else f"; the roof is at {count(roof.attainable(part.intensity))}"
    return (
        f"<b>{part.layer}</b> ({name})<br>{part.part}, {part.kernel}<br>"
        f"{count(part.macs)} multiply-adds, {quantity(part.moved, 'B')} moved: {part.intensity:.3g} a byte<br>"
        f"{quantity(part.seconds, 's')}, {part.seconds / network.seconds:.1%} of the pass<br>"
        f"{count(part.rate)} multiply-adds a second{limit}"
    )


def layer_times(profile: Profile | None, selected: str = "") -> Figure:
    """Draw two bars for each layer: the original's time, and the time of the kept layer or of its stacked factors."""
    layers = _layer_seconds(profile) if profile is not None else {}
    if not layers:
        return empty("The time of each layer appears here once it has been measured.")
    data = []
    base = dict.fromkeys(layers, 0.0)
    for part, label, *fill in STACK:
        times = {name: parts[part] for name, parts in layers.items() if part in parts}
        x = [i + (-0.21 if part == "original" else 0.21) for i, name in enumerate(layers) if name in times]
        style = hover(f"<b>{name}</b><br>{label}: {quantity(seconds, 's')}" for name, seconds in times.items())
        style |= {"base": [1e3 * base[name] for name in times], "marker": filled(*fill), "ids": list(times)}
        data.append(bar(x, [1e3 * seconds for seconds in times.values()], name=label, width=0.4, **style))
        if part != "original":
            base |= {name: base[name] + seconds for name, seconds in times.items()}
    short_names = {name: name if len(name) <= 18 else f"…{name[-17:]}" for name in layers}
    ticks = [f"<b>▸ {text}</b>" if name == selected else text for name, text in short_names.items()]
    x_axis = {"showgrid": False, "tickangle": -45, "automargin": True, "tickvals": list(range(len(layers)))}
    layout = {"xaxis": axis("", ticktext=ticks, **x_axis), "yaxis": axis("time (ms)", rangemode="tozero")}
    layout |= {"margin": {"l": 64, "t": 40, "b": 40}, "legend": {"y": 1.02, "yanchor": "bottom"}}
    return figure(data, 380, barmode="overlay", **layout)


def _layer_seconds(profile: Profile) -> dict[str, dict[str, float]]:
    """Return seconds by layer and part of `STACK`: the slowest layers in order, the sum of others, and the rest."""
    layers: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for name, network in profile.networks.items():
        for part in network.parts:
            layers[part.layer]["original" if name == "original" else part.part] += part.seconds
    slowest = sorted(layers, key=lambda name: -sum(layers[name].values()))[:MAX_LAYERS]
    rows = {name: dict(parts) for name, parts in layers.items() if name in slowest}
    if others := [parts for name, parts in layers.items() if name not in slowest]:
        names = dict.fromkeys(part for parts in others for part in parts)
        rows[f"{len(others)} other layers"] = {part: sum(parts.get(part, 0.0) for parts in others) for part in names}
    if rows:
        kept_part = {"original": "original", "compressed": "dense"}
        rows[OTHER] = {kept_part[name]: network.other for name, network in profile.networks.items()}
    return rows


def energy(energy: Energy | None) -> Figure:
    """Draw the joules of each network for one image, stacked by part, with their range."""
    if energy is None:
        return empty("The energy for one image appears here.")
    label, networks = energy.original.label, list(energy.networks.values())
    names = [f"{name}<br><b>{network.text}</b>" for name, network in energy.networks.items()]
    largest = max(network.joules for network in networks)
    unit, scale = next(((u, s) for u, s in (("J", 1.0), ("mJ", 1e3)) if largest * s >= 1), ("µJ", 1e6))
    data = []
    for part, fill in zip(energy.original.parts, cycle(PART_FILLS), strict=False):
        parts = [network.parts.get(part, 0.0) for network in networks]
        texts = hover(f"{name}<br>{part}: {quantity(j, 'J')} ({label})" for name, j in zip(names, parts, strict=True))
        style = {"name": f"{part} ({label})", "width": 0.5, "marker": filled(*fill), **texts}
        data.append(bar(names, [scale * j for j in parts], **style))
    joules = [scale * network.joules for network in networks]
    ends = [(scale * network.lowest, scale * network.highest) for network in networks]
    source = hover("<br>".join([name, *wrap(energy.source, 60)]) for name in names)
    total = {**scatter(names, [], "markers", **source), **interval(joules, ends, color=INK, thickness=1.2, width=6)}
    data.append({**total, "marker": {"color": INK, "size": 1}, "showlegend": False, "cliponaxis": False})
    x = axis("", showgrid=False, type="category", ticks="")
    y = axis(f"{unit} for one image ({label})", rangemode="tozero")
    return figure(data, 300, barmode="stack", margin={"l": 64, "t": 30}, legend={"y": -0.3}, xaxis=x, yaxis=y)


def speeds(speed: Speed | None) -> Figure:
    """Draw a point for each network and runtime: milliseconds, and the share of same answers with its 95 % interval.

    Without timed int8 files, answers are not compared and the figure is empty.
    """
    if speed is None or not speed.compared:
        return empty("Time and answers of the int8 files appear here once they have been measured.")
    data = []
    for name, (symbol, color, size) in MARKS.items():
        runs = {key: run for key, run in speed.latencies.items() if name in run.agreement}
        agreement = [run.agreement[name] for run in runs.values()]
        ends = [(1.0, 1.0) if name == "original" else wilson(value, speed.compared) for value in agreement]
        percents = [(100 * low, 100 * high) for low, high in ends]
        texts = [
            f"{name}, {RUNTIMES[key]}<br>{run.ms(name):.3g} ms<br>{100 * run.agreement[name]:.1f} % same answers"
            for key, run in runs.items()
        ]
        trace = scatter([run.ms(name) for run in runs.values()], [], "markers", name=name, **hover(texts))
        trace |= interval([100 * value for value in agreement], percents, color=color, width=4)
        data.append({**trace, "marker": {"symbol": symbol, "color": color, "size": size}})
    y = axis(f"answers as the original's (%)<br>of {speed.compared} images")
    x = axis("milliseconds for one run (logarithmic)", type="log", minor={"showgrid": True, "gridcolor": GRID})
    legend = {"y": 1.02, "yanchor": "bottom"}
    return figure(data, 250, margin={"l": 74, "t": 30}, legend=legend, xaxis=x, yaxis=y)
