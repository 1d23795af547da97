"""A run's figures as SVG for a page: text and axes take the page's colour, so that they can be read on dark ones too.

Colours are Okabe and Ito's; what matters is told by shape or position as well.
"""

import re
from collections.abc import Sequence
from io import StringIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from workbench.exporters.measured import Latency
from workbench.plan.plan import Plan
from workbench.plan.spectra import Spectra
from workbench.runs.run import Stage
from workbench.tables import count

BLUE, ORANGE, GREEN, VERMILLION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
INK, GREY = "#010203", "#9aa5b1"
"""INK occurs nowhere else, so that it can be turned into the page's own colour."""

MOST_LAYERS, MOST_SPECTRA = 40, 9


def accuracies(stages: Sequence[Stage]) -> str:
    """Top-1 accuracy of every stage with its 95 % interval, one kind of mark for each split."""
    names = list(dict.fromkeys(stage.name for stage in stages))
    splits = list(dict.fromkeys(stage.split for stage in stages))
    figure, axes = _figure(7.6, 3.2)
    looks = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "D"), (VERMILLION, "^"))
    for i, split in enumerate(splits):
        color, mark = looks[i % len(looks)]
        found = [stage for stage in stages if stage.split == split]
        places = [names.index(stage.name) + 0.12 * (i - (len(splits) - 1) / 2) for stage in found]
        tops = [stage.accuracy.top1 for stage in found]
        lows, highs = zip(*(stage.accuracy.interval for stage in found), strict=True)
        bars = [[t - low for t, low in zip(tops, lows, strict=True)], [h - t for t, h in zip(tops, highs, strict=True)]]
        label = f"{split} ({', '.join(sorted({str(stage.accuracy.n) for stage in found}))} images)"
        axes.errorbar(places, tops, bars, fmt=mark, color=color, capsize=4, label=label)
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylabel("top-1 accuracy (%)")
    axes.grid(axis="y", color=GREY, alpha=0.35)
    _legend(axes)
    return _svg(figure, "Accuracy at each stage")


def layers(plan: Plan) -> str:
    """Multiply-adds of each layer before and after: those that cost most, in the order of their calls."""
    largest = sorted(plan, key=lambda part: -part.layer.cost.macs)[:MOST_LAYERS]
    shown = [part for part in plan if part in largest]
    figure, axes = _figure(7.6, 0.9 + 0.24 * len(shown))
    places = range(len(shown))
    axes.barh(places, [p.layer.cost.macs for p in shown], 0.78, color=GREY, alpha=0.55, label="before")
    axes.barh(places, [p.cost.macs for p in shown], 0.42, color=BLUE, label="after")
    axes.set_yticks(places, [p.name or "(the network)" for p in shown], fontsize=8)
    axes.invert_yaxis()
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlabel("multiply-adds of one input")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
    axes.grid(axis="x", color=GREY, alpha=0.35)
    _legend(axes)
    return _svg(figure, "Multiply-adds of each layer, before and after")


def spectra(found: Spectra, plan: Plan) -> str:
    """Singular values of the layers that cost most, and how many of them the plan keeps."""
    parts = [p for p in sorted(plan, key=lambda part: -part.layer.cost.macs) if p.name in found][:MOST_SPECTRA]
    parts = [part for part in plan if part in parts]
    rows = -(-len(parts) // 3)
    figure = Figure(figsize=(7.6, 1.75 * rows + 0.3), layout="constrained", facecolor="none")
    for axes, part in zip(figure.subplots(rows, 3, squeeze=False).flat, parts, strict=False):
        values = found[part.name].singular_out
        _plain(axes)
        axes.fill_between(range(1, len(values) + 1), values / max(values[0], 1e-30), step="mid", color=GREY, alpha=0.55)
        kept = values[: part.rank_out]  # all, if it has no rank
        axes.fill_between(range(1, len(kept) + 1), kept / max(values[0], 1e-30), step="mid", color=BLUE)
        words = f"{part.rank_out} of {part.layer.shape.out_channels}" if part.rank_out is not None else "kept whole"
        axes.set_title(f"{part.name}: {words}", fontsize=8, color=INK)
        axes.tick_params(labelsize=7)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.set_ylim(bottom=0)
    for axes in figure.axes[len(parts) :]:
        axes.axis("off")
    return _svg(figure, "Singular values of the layers that cost most; blue ones are kept")


def latencies(rows: Sequence[Latency]) -> str:
    """Milliseconds of the original and the compressed network in every runtime."""
    figure, axes = _figure(7.6, 0.9 + 0.5 * len(rows))
    places = range(len(rows))
    for offset, key, color, label in ((-0.2, "dense_ms", GREY, "original"), (0.2, "compressed_ms", BLUE, "compressed")):
        bars = axes.barh(
            [p + offset for p in places], [getattr(row, key) for row in rows], 0.36, color=color, label=label
        )
        axes.bar_label(bars, fmt="%.3g", padding=3, fontsize=8, color=INK)
    axes.set_yticks(places, [row.runtime for row in rows])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("milliseconds an image")
    _legend(axes)
    return _svg(figure, "Measured time of one image")


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="none")
    axes = figure.subplots()
    _plain(axes)
    return figure, axes


def _plain(axes: Axes) -> None:
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(INK)


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, labelcolor=INK, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=4)


def _svg(figure: Figure, title: str) -> str:
    content = StringIO()
    figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    text = content.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S).replace(INK, "currentColor")
    return re.sub(r"<svg ", f'<svg role="img" aria-label="{title}" ', text, count=1)
