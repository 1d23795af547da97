"""What was measured: parts of a network under the roofline, times of its layers, its energy, and speed by runtime."""

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
"""Layers with bars of their own; of more, the fastest are summed up."""
STACK = (
    ("original", "original", GREY, "/"),
    ("dense", "not factorised", BLUE, ""),
    ("factor_in", "first factor", ORANGE, "."),
    ("core", "core", GREEN, ""),
    ("factor_out", "last factor", VERMILLION, "x"),
)
"""What the bars of the layers' times consist of: part, name, colour, pattern."""
PART_FILLS = ((BLUE, ""), (ORANGE, "/"), (GREY, "x"), (SKY, "."))
"""Colour and pattern of each part that joules consist of."""
MARKS = {"original": ("star", SLATE, 15), "compressed": ("circle", BLUE, 12), INT8: ("square", VERMILLION, 11)}
"""Symbol, colour and size in pixels of each network."""


def roofline(profile: Profile | None, roof: Roofline | None = None, selected: str = "") -> Figure:
    """Draw each part of the original (hollow) and the compressed network (filled), as large as the time it takes.

    A part can lie above the roof: what is in a cache does not wait for the memory. Layers not selected are paler.
    """
    parts = [part for _, _, found in profile.timed() for part in found] if profile is not None else []
    if profile is None or not parts:
        return empty("The parts of the network appear here once their time has been measured.")
    slowest = max(part.seconds for part in parts)
    marked = any(part.layer == selected for part in parts)
    data = []
    if roof is not None:
        limits = f"memory {quantity(roof.bandwidth, 'B/s')}, processor {count(roof.peak)} multiply-adds a second"
        look = {"name": f"this machine's roof: {limits}", "line": {"color": INK, "width": 2}, "hoverinfo": "skip"}
        data.append(line(roof.line([part.intensity for part in parts]), **look))
    for which, kind, found in profile.timed():
        (symbol, color), hollow = KIND_MARKS[kind], which == "original"
        marker = {
            "symbol": f"{symbol}-open" if hollow else symbol,
            "color": color,
            "line": {"width": 1.8, "color": color} if hollow else {"width": 1, "color": "white"},
            "size": [max(MIN_MARKER_PIXELS, MAX_MARKER_PIXELS * sqrt(p.seconds / slowest)) for p in found],
            "opacity": [0.35 if marked and part.layer != selected else 0.95 for part in found],
        }
        points = [(part.intensity, part.rate / 1e9) for part in found]
        look = {"marker": marker, **hover(_text(which, part, profile.networks[which], roof) for part in found)}
        look["ids"] = [f"{part.layer}#{i}" for i, part in enumerate(found)]  # plotly drops doubles
        data.append(line(points, mode="markers", name=f"{which}: {PART_KINDS[kind]}", **look))
    minor = {"dtick": "D1", "showgrid": False, "ticks": "outside", "ticklen": 3}
    log = {"type": "log", "dtick": 1, "minor": minor, "tickformat": "~g"}
    x, y = axis("multiply-adds for each byte moved", **log), axis("billion multiply-adds a second", **log)
    legend = {"y": -0.3, "itemsizing": "constant"}
    return figure(data, 520, margin={"l": 64, "t": 14}, legend=legend, xaxis=x, yaxis=y)


def _text(which: str, part: Part, network: NetworkProfile, roof: Roofline | None) -> str:
    limit = "" if roof is None else f"; the roof is at {count(roof.attainable(part.intensity))}"
    return (
        f"<b>{part.layer}</b> ({which})<br>{part.part}, {part.kernel}<br>"
        f"{count(part.macs)} multiply-adds, {quantity(part.moved, 'B')} moved: {part.intensity:.3g} a byte<br>"
        f"{quantity(part.seconds, 's')}, {part.seconds / network.seconds:.1%} of the pass<br>"
        f"{count(part.rate)} multiply-adds a second{limit}"
    )


def layer_times(profile: Profile | None, selected: str = "") -> Figure:
    """Draw two bars a layer: the original's time, and that of the layer or its factors, one on the other."""
    spent = _spent(profile) if profile is not None else {}
    if not spent:
        return empty("The time of each layer appears here once it has been measured.")
    data = []
    base = dict.fromkeys(spent, 0.0)
    for part, label, *fill in STACK:
        found = {name: parts[part] for name, parts in spent.items() if part in parts}
        x = [i + (-0.21 if part == "original" else 0.21) for i, name in enumerate(spent) if name in found]
        look = hover(f"<b>{name}</b><br>{label}: {quantity(seconds, 's')}" for name, seconds in found.items())
        look |= {"base": [1e3 * base[name] for name in found], "marker": filled(*fill), "ids": list(found)}
        data.append(bar(x, [1e3 * seconds for seconds in found.values()], name=label, width=0.4, **look))
        if part != "original":
            base |= {name: base[name] + seconds for name, seconds in found.items()}
    short = {name: name if len(name) <= 18 else f"…{name[-17:]}" for name in spent}
    ticks = [f"<b>▸ {text}</b>" if name == selected else text for name, text in short.items()]
    across = {"showgrid": False, "tickangle": -45, "automargin": True, "tickvals": list(range(len(spent)))}
    layout = {"xaxis": axis("", ticktext=ticks, **across), "yaxis": axis("time (ms)", rangemode="tozero")}
    layout |= {"margin": {"l": 64, "t": 40, "b": 40}, "legend": {"y": 1.02, "yanchor": "bottom"}}
    return figure(data, 380, barmode="overlay", **layout)


def _spent(profile: Profile) -> dict[str, dict[str, float]]:
    """Return seconds by layer and part of `STACK`: the slowest layers in their order, the others' sum, all else."""
    spent: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for which, network in profile.networks.items():
        for row in network.parts:
            spent[row.layer]["original" if which == "original" else row.part] += row.seconds
    slowest = sorted(spent, key=lambda name: -sum(spent[name].values()))[:MAX_LAYERS]
    shown = {name: dict(parts) for name, parts in spent.items() if name in slowest}
    if others := [parts for name, parts in spent.items() if name not in slowest]:
        names = dict.fromkeys(part for each in others for part in each)
        shown[f"{len(others)} other layers"] = {part: sum(each.get(part, 0.0) for each in others) for part in names}
    if shown:
        whole = {"original": "original", "compressed": "dense"}
        shown[OTHER] = {whole[which]: network.other for which, network in profile.networks.items()}
    return shown


def energy(energy: Energy | None) -> Figure:
    """Draw the joules of each network for one image, stacked by what they consist of, with their range."""
    if energy is None:
        return empty("The energy for one image appears here.")
    label, networks = energy.original.label, list(energy.networks.values())
    names = [f"{name}<br><b>{each.text}</b>" for name, each in energy.networks.items()]
    largest = max(each.joules for each in networks)
    unit, scale = next(((u, s) for u, s in (("J", 1.0), ("mJ", 1e3)) if largest * s >= 1), ("µJ", 1e6))
    data = []
    for part, fill in zip(energy.original.parts, cycle(PART_FILLS), strict=False):
        parts = [each.parts.get(part, 0.0) for each in networks]
        texts = hover(f"{name}<br>{part}: {quantity(j, 'J')} ({label})" for name, j in zip(names, parts, strict=True))
        look = {"name": f"{part} ({label})", "width": 0.5, "marker": filled(*fill), **texts}
        data.append(bar(names, [scale * j for j in parts], **look))
    joules = [scale * each.joules for each in networks]
    ends = [(scale * each.lowest, scale * each.highest) for each in networks]
    source = hover("<br>".join([name, *wrap(energy.source, 60)]) for name in names)
    whole = {**scatter(names, [], "markers", **source), **interval(joules, ends, color=INK, thickness=1.2, width=6)}
    data.append({**whole, "marker": {"color": INK, "size": 1}, "showlegend": False, "cliponaxis": False})
    x = axis("", showgrid=False, type="category", ticks="")
    y = axis(f"{unit} for one image ({label})", rangemode="tozero")
    return figure(data, 300, barmode="stack", margin={"l": 64, "t": 30}, legend={"y": -0.3}, xaxis=x, yaxis=y)


def speeds(found: Speed | None) -> Figure:
    """Draw a point for each network and runtime: milliseconds, and the share of same answers with its 95 % interval.

    Nothing is drawn unless int8 files were timed, without which answers are not compared.
    """
    if found is None or not found.compared:
        return empty("Time and answers of the int8 files appear here once they have been measured.")
    data = []
    for name, (symbol, color, size) in MARKS.items():
        runs = {key: run for key, run in found.latencies.items() if name in run.agreement}
        share = [run.agreement[name] for run in runs.values()]
        ends = [(1.0, 1.0) if name == "original" else wilson(value, found.compared) for value in share]
        percents = [(100 * low, 100 * high) for low, high in ends]
        texts = [
            f"{name}, {RUNTIMES[key]}<br>{run.ms(name):.3g} ms<br>{100 * run.agreement[name]:.1f} % same answers"
            for key, run in runs.items()
        ]
        point = scatter([run.ms(name) for run in runs.values()], [], "markers", name=name, **hover(texts))
        point |= interval([100 * value for value in share], percents, color=color, width=4)
        data.append({**point, "marker": {"symbol": symbol, "color": color, "size": size}})
    y = axis(f"answers as the original's (%)<br>of {found.compared} images")
    x = axis("milliseconds for one run (logarithmic)", type="log", minor={"showgrid": True, "gridcolor": GRID})
    legend = {"y": 1.02, "yanchor": "bottom"}
    return figure(data, 250, margin={"l": 74, "t": 30}, legend=legend, xaxis=x, yaxis=y)
