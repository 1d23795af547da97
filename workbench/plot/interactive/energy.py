"""Joules for one image. Every text with an estimated number calls it an estimate."""

from textwrap import wrap

from workbench.measure.energy import Energy
from workbench.plot.colors import BLUE, GREY, INK, ORANGE, SKY
from workbench.plot.interactive.base import Figure, axis, bar, empty, figure, filled, hover, interval, scatter
from workbench.tables import quantity

PART_FILLS = ((BLUE, ""), (ORANGE, "/"), (GREY, "x"), (SKY, "."))
"""Colour and pattern of each part that joules consist of."""


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
    ends = ([scale * getattr(each, what) for each in networks] for what in ("joules", "lowest", "highest"))
    source = hover("<br>".join([name, *wrap(energy.source, 60)]) for name in names)
    whole = {**scatter(names, [], "markers", **source), **interval(*ends, color=INK, thickness=1.2, width=6)}
    data.append({**whole, "marker": {"color": INK, "size": 1}, "showlegend": False, "cliponaxis": False})
    x = axis("", showgrid=False, type="category", ticks="")
    y = axis(f"{unit} for one image ({label})", rangemode="tozero")
    return figure(data, 300, barmode="stack", margin={"l": 64, "t": 30}, legend={"y": -0.3}, xaxis=x, yaxis=y)
