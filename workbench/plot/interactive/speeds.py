"""Plot how fast each file is against how often it answers as the original does."""

from workbench.measure.latency import INT8
from workbench.measure.runtimes import RUNTIMES
from workbench.measure.speed import Speed
from workbench.network.verdict import wilson
from workbench.plot.colors import BLUE, SLATE, VERMILLION
from workbench.plot.interactive.base import Figure, axis, empty, figure, hover, interval, scatter

MARKS = {"original": ("star", SLATE, 15), "compressed": ("circle", BLUE, 12), INT8: ("square", VERMILLION, 11)}
"""Symbol, colour and size in pixels of each network."""


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
        low, high = ([100 * pair[i] for pair in ends] for i in (0, 1))
        texts = [
            f"{name}, {RUNTIMES[key]}<br>{run.ms(name):.3g} ms<br>{100 * run.agreement[name]:.1f} % same answers"
            for key, run in runs.items()
        ]
        point = scatter([run.ms(name) for run in runs.values()], [], "markers", name=name, **hover(texts))
        point |= interval([100 * value for value in share], low, high, color=color, width=4)
        data.append({**point, "marker": {"symbol": symbol, "color": color, "size": size}})
    y = axis(f"answers as the original's (%)<br>of {found.compared} images")
    x = axis("milliseconds for one run", rangemode="tozero")
    legend = {"y": 1.02, "yanchor": "bottom"}
    return figure(data, 250, margin={"l": 74, "t": 30}, legend=legend, xaxis=x, yaxis=y)
