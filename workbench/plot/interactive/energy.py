"""Joules for one image, and power over time. Every text with an estimated number calls it an estimate."""

from textwrap import wrap

from workbench.measure.energy import Energy
from workbench.plot.colors import BLUE, GREY, INK, ORANGE, SKY
from workbench.plot.interactive.base import Figure, axis, bar, empty, figure, filled, hover, interval, line, scatter
from workbench.tables import quantity

PART_FILLS = ((BLUE, ""), (ORANGE, "/"), (GREY, "x"), (SKY, "."))
"""Colour and pattern of each part that joules consist of."""
LINES = ((BLUE, "solid"), (ORANGE, "dot"))
"""Colour and dash of the power of each network."""


def energy(energy: Energy | None) -> Figure:
    """Draw the joules of each network for one image, stacked by what they consist of, with their range."""
    if energy is None:
        return empty("The energy for one image appears here.")
    label, networks = energy.original.label, list(energy.networks.values())
    names = [f"{name}<br><b>{each.text}</b>" for name, each in energy.networks.items()]
    largest = max(each.joules for each in networks)
    unit, scale = next(((u, s) for u, s in (("J", 1.0), ("mJ", 1e3)) if largest * s >= 1), ("µJ", 1e6))
    data = []
    for part, fill in zip(energy.original.parts, PART_FILLS, strict=False):
        joules = [each.parts.get(part, 0.0) for each in networks]
        texts = hover(f"{name}<br>{part}: {quantity(j, 'J')} ({label})" for name, j in zip(names, joules, strict=True))
        look = {"name": f"{part} ({label})", "width": 0.5, "marker": filled(*fill), **texts}
        data.append(bar(names, [scale * j for j in joules], **look))
    ends = ([scale * getattr(each, what) for each in networks] for what in ("joules", "least", "most"))
    source = hover("<br>".join([name, *wrap(energy.source, 60)]) for name in names)
    whole = {**scatter(names, [], "markers", **source), **interval(*ends, color=INK, thickness=1.2, width=6)}
    data.append({**whole, "marker": {"color": INK, "size": 1}, "showlegend": False, "cliponaxis": False})
    x = axis("", showgrid=False, type="category", ticks="")
    y = axis(f"{unit} for one image ({label})", rangemode="tozero")
    return figure(data, 300, barmode="stack", margin={"l": 64, "t": 30}, legend={"y": -0.3}, xaxis=x, yaxis=y)


def power(energy: Energy | None) -> Figure:
    """Draw the measured power over time of both networks, which ran in turns: a level for each window."""
    traces = {name: each.trace for name, each in (energy.networks if energy else {}).items() if each.trace}
    if not traces:
        return empty("Power over time needs energy counters: without them joules are an estimate.")
    hovers = "%{x:.2f} s<br>%{y:.3g} W (measured)<extra>%{fullData.name}</extra>"
    data = []
    for (name, trace), (color, dash) in zip(traces.items(), LINES, strict=False):
        points = [at for start, end, watts in trace for at in ((start, watts), (end, watts), (None, None))]
        data.append(line(points, name=name, line={"color": color, "width": 2.5, "dash": dash}, hovertemplate=hovers))
    x, y = axis("time (s)", rangemode="tozero"), axis("power (W), measured", rangemode="tozero")
    return figure(data, 280, margin={"l": 64, "t": 14}, xaxis=x, yaxis=y)
