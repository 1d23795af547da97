"""Joules for one image, and power over time, in plotly. An estimate is called one in every text that has a number."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

import plotly.graph_objects as go

from workbench.measure.counters import PowerTrace
from workbench.measure.energy import Energy
from workbench.plot.interactive.base import BLUE, GREY, INK, ORANGE, SKY, axis, layout, say_if_empty
from workbench.plot.interactive.plain import Drawing
from workbench.tables import quantity

SHADES = ((BLUE, ""), (ORANGE, "/"), (GREY, "x"), (SKY, "."))
"""Colour and pattern of each part that joules consist of."""


def energy_figure() -> go.Figure:
    """Empty figure for :func:`fill_energy`: a bar a network, of the parts that its joules consist of."""
    figure = go.Figure()
    for color, pattern in SHADES:
        shape = {"shape": pattern, "fgcolor": INK, "size": 5, "solidity": 0.2, "fillmode": "overlay"}
        marker = {"color": color, "pattern": shape}
        figure.add_trace(go.Bar(width=0.5, marker=marker, hovertemplate="%{customdata}<extra></extra>"))
    hover = {"showlegend": False, "cliponaxis": False, "hovertemplate": "%{customdata}<extra></extra>"}
    bars = {"type": "data", "symmetric": False, "color": INK, "thickness": 1.2, "width": 6}
    figure.add_trace(go.Scatter(mode="markers", marker={"color": INK, "size": 1}, error_y=bars, **hover))
    figure.add_trace(go.Scatter(mode="text", textposition="top center", **hover))
    figure.update_layout(layout(300, barmode="stack", margin={"l": 64, "t": 30}, legend={"y": -0.16}))
    figure.update_xaxes({**axis("", showgrid=False), "type": "category", "title": None, "ticks": ""})
    figure.update_yaxes(axis("mJ for one image", rangemode="tozero"))
    return figure


def fill_energy(figure: Drawing, energies: Mapping[str, Energy]) -> None:
    """Joules for one image of each network, stacked by what they consist of, with their range.

    Parameters
    ----------
    energies : by how each network is called; all measured, or all estimated.

    Raises
    ------
    ValueError : if some are measured and others estimated: those do not stand side by side.
    """
    labels = {energy.label for energy in energies.values()}
    if len(labels) > 1:
        raise ValueError("some of these were measured and others estimated: they do not stand side by side")
    label = "".join(labels)
    names = list(dict.fromkeys(part for energy in energies.values() for part in energy.parts))[: len(SHADES)]
    found = list(energies.items())
    unit, scale = _unit(max((energy.joules for energy in energies.values()), default=1e-3))
    with figure.batch_update():
        for i, trace in enumerate(figure.data[:-2]):
            part = names[i] if i < len(names) else ""
            bars = [(who, energy.parts[part]) for who, energy in found if part in energy.parts]
            trace.visible, trace.name = bool(bars), f"{part} ({label})"
            trace.x, trace.y = [who for who, _ in bars], [scale * joules for _, joules in bars]
            trace.customdata = [f"<b>{who}</b><br>{part}: {quantity(j, 'J')} ({label})" for who, j in bars]
        whole, text = figure.data[-2:]
        whole.x = text.x = [who for who, _ in found]
        whole.y = [scale * energy.joules for _, energy in found]
        text.y = [scale * (energy.most or energy.joules) for _, energy in found]
        text.text = [f"<b>{energy.text}</b>" for _, energy in found]
        whole.customdata = text.customdata = [_hover(who, energy) for who, energy in found]
        whole.error_y.array = [scale * ((energy.most or energy.joules) - energy.joules) for _, energy in found]
        whole.error_y.arrayminus = [scale * (energy.joules - (energy.least or energy.joules)) for _, energy in found]
        figure.layout.yaxis.title.text = f"{unit} for one image ({label})" if label else f"{unit} for one image"
        say_if_empty(figure, not found, "The energy for one image appears here.")


def _unit(joules: float) -> tuple[str, float]:
    """In what the axis is, and how many of it are a joule: the same as in the words of the largest bar."""
    return next((pair for pair in (("J", 1.0), ("mJ", 1e3)) if joules * pair[1] >= 1), ("µJ", 1e6))


def _hover(who: str, energy: Energy) -> str:
    return "<br>".join([f"<b>{who}</b>", energy.text, *wrap(energy.source, 60)])


def power_figure() -> go.Figure:
    """Empty figure for :func:`fill_power`: power over time, the original and the compressed network in turns."""
    figure = go.Figure()
    for color, dash in ((BLUE, "solid"), (ORANGE, "dot")):
        line = {"color": color, "width": 2.5, "dash": dash}
        hover = "%{x:.2f} s<br>%{y:.3g} W (measured)<extra>%{fullData.name}</extra>"
        figure.add_trace(go.Scatter(mode="lines", line=line, hovertemplate=hover))
    figure.update_layout(layout(280, margin={"l": 64, "t": 14}, legend={"y": -0.24}))
    figure.update_xaxes(axis("time (s)", rangemode="tozero"))
    figure.update_yaxes(axis("power (W), measured", rangemode="tozero"))
    return figure


def fill_power(figure: Drawing, traces: Mapping[str, PowerTrace]) -> None:
    """Measured power over time of up to two networks, by how each is called; where nothing is measured, a sentence."""
    found = list(traces.items())[: len(figure.data)]
    with figure.batch_update():
        for i, line in enumerate(figure.data):
            name, trace = found[i] if i < len(found) else ("", None)
            line.visible, line.name = trace is not None, name
            line.x, line.y = _steps(trace) if trace else ((), ())
        say_if_empty(figure, not found, "Power over time needs energy counters: without them joules are an estimate.")


def _steps(trace: PowerTrace) -> tuple[Sequence[float | None], Sequence[float | None]]:
    """Each slice as a level, with a gap where another network ran."""
    x: list[float | None] = []
    y: list[float | None] = []
    last = None
    for start, end, watts in zip(trace.starts, trace.ends, trace.watts, strict=True):
        if last is not None and start - last > 0.5 * (end - start):
            x.append(None)
            y.append(None)
        x += [start, end]
        y += [watts, watts]
        last = end
    return x, y
