"""Joules for one image, and power over time. Every text with an estimated number calls it an estimate."""

from textwrap import wrap

from workbench.measure.counters import PowerTrace
from workbench.measure.energy import Energy
from workbench.plot.colors import BLUE, GREY, INK, ORANGE, SKY
from workbench.plot.interactive.base import Figure, axis, bar, empty, error_bars, figure, filled, hover, scatter
from workbench.tables import quantity

PART_FILLS = ((BLUE, ""), (ORANGE, "/"), (GREY, "x"), (SKY, "."))
"""Colour and pattern of each part that joules consist of."""
LINES = ((BLUE, "solid"), (ORANGE, "dot"))
"""Colour and dash of the power of each network."""


def energy(energy: Energy | None) -> Figure:
    """Draw the joules of each network for one image, stacked by what they consist of, with their range."""
    if energy is None:
        return empty("The energy for one image appears here.")
    names, networks = list(energy.networks), list(energy.networks.values())
    label = energy.original.label
    largest = max(each.joules for each in networks)
    unit, scale = next(((u, s) for u, s in (("J", 1.0), ("mJ", 1e3)) if largest * s >= 1), ("µJ", 1e6))
    data = []
    parts = dict.fromkeys(part for each in networks for part in each.parts)
    for part, fill in zip(parts, PART_FILLS, strict=False):
        joules = {name: each.parts[part] for name, each in energy.networks.items() if part in each.parts}
        texts = [f"<b>{name}</b><br>{part}: {quantity(j, 'J')} ({label})" for name, j in joules.items()]
        look = {"width": 0.5, "marker": filled(*fill), **hover(texts)}
        data.append(bar(joules, [scale * j for j in joules.values()], name=f"{part} ({label})", **look))
    y, low, high = ([scale * getattr(each, what) for each in networks] for what in ("joules", "least", "most"))
    texts = [f"<b>{name}</b><br>{each.text}" for name, each in energy.networks.items()]
    common = {"showlegend": False, "cliponaxis": False}
    common |= hover("<br>".join([text, *wrap(energy.source, 60)]) for text in texts)
    bars = error_bars(y, low, high, color=INK, thickness=1.2, width=6)
    words = {"text": [f"<b>{each.text}</b>" for each in networks], "textposition": "top center"}
    data.append(scatter(names, y, "markers", marker={"color": INK, "size": 1}, error_y=bars, **common))
    data.append(scatter(names, high, "text", **words, **common))
    return figure(
        data,
        300,
        barmode="stack",
        margin={"l": 64, "t": 30},
        legend={"y": -0.16},
        xaxis=axis("", showgrid=False, type="category", ticks=""),
        yaxis=axis(f"{unit} for one image ({label})", rangemode="tozero"),
    )


def power(energy: Energy | None) -> Figure:
    """Draw the measured power over time of both networks, which ran in turns."""
    networks = energy.networks if energy is not None else {}
    traces = {name: each.trace for name, each in networks.items() if each.trace is not None}
    if not traces:
        return empty("Power over time needs energy counters: without them joules are an estimate.")
    hovers = "%{x:.2f} s<br>%{y:.3g} W (measured)<extra>%{fullData.name}</extra>"
    data = [
        scatter(*_steps(trace), name=name, line={"color": color, "width": 2.5, "dash": dash}, hovertemplate=hovers)
        for (name, trace), (color, dash) in zip(traces.items(), LINES, strict=False)
    ]
    x, y = axis("time (s)", rangemode="tozero"), axis("power (W), measured", rangemode="tozero")
    return figure(data, 280, margin={"l": 64, "t": 14}, xaxis=x, yaxis=y)


def _steps(trace: PowerTrace) -> tuple[list[float | None], list[float | None]]:
    """Return each slice as a level, with a gap where another network ran."""
    x: list[float | None] = []
    y: list[float | None] = []
    last = trace.starts[0] if trace.starts else 0.0
    for start, end, watts in zip(*trace, strict=True):
        if start - last > 0.5 * (end - start):
            x.append(None)
            y.append(None)
        x += [start, end]
        y += [watts, watts]
        last = end
    return x, y
