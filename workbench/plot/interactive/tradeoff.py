"""Networks beside each other: accuracy against FLOPs with the Pareto front, and the stages of a run as bars."""

from collections.abc import Sequence
from textwrap import wrap
from typing import Protocol

import plotly.graph_objects as go

from workbench.inspect.rank_curve import CurvePoint
from workbench.kernels.complexity import Cost
from workbench.network.data import Accuracy
from workbench.plot.interactive.base import (
    BLUE,
    EDGE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SLATE,
    VERMILLION,
    axis,
    layout,
    say_if_empty,
)
from workbench.plot.interactive.plain import Drawing


class Point(Protocol):
    """What the trade-off plot needs of a result."""

    @property
    def number(self) -> int: ...  # noqa: D102
    @property
    def stage(self) -> str: ...  # noqa: D102
    @property
    def label(self) -> str: ...  # noqa: D102
    @property
    def cost(self) -> Cost: ...  # noqa: D102
    @property
    def validation(self) -> Accuracy | None: ...  # noqa: D102
    @property
    def test(self) -> Accuracy | None: ...  # noqa: D102
    @property
    def score(self) -> Accuracy | None: ...  # noqa: D102
    @property
    def random_weights(self) -> bool: ...  # noqa: D102
    @property
    def about(self) -> str: ...  # noqa: D102


STAGES = (
    ("original", "star", SLATE, 15),
    ("decomposed", "circle-open", VERMILLION, 12),
    ("calibrated", "diamond", ORANGE, 12),
    ("distilled", "square", GREEN, 11),
    ("fine-tuned", "circle", BLUE, 12),
    ("from scratch", "x", PURPLE, 11),
)


def tradeoff_figure() -> go.Figure:
    """Empty figure for :func:`fill_tradeoff`: the paths of runs, one trace for each stage, and the Pareto front."""
    figure = go.Figure()
    path = {"color": EDGE, "width": 1.5, "dash": "dot"}
    figure.add_trace(go.Scatter(mode="lines", line=path, hoverinfo="skip", showlegend=False))
    old = {"symbol": "circle", "color": GREY, "size": 7, "line": {"width": 1, "color": EDGE}}
    hover = "%{customdata}<extra></extra>"
    figure.add_trace(go.Scatter(name="earlier runs", mode="markers", marker=old, hovertemplate=hover))
    for stage, symbol, color, size in STAGES:
        marker = {"symbol": symbol, "color": color, "size": size, "line": {"width": 2.5, "color": color}}
        bars = {"symmetric": False, "color": color, "thickness": 1, "width": 4}
        figure.add_trace(go.Scatter(name=stage, mode="markers", marker=marker, hovertemplate=hover, error_y=bars))
    front = {"color": GREEN, "width": 2, "shape": "hv"}
    figure.add_trace(go.Scatter(name="Pareto front", mode="lines", line=front, hoverinfo="skip"))
    figure.update_layout(layout(560, margin={"l": 82, "t": 14}, legend={"y": -0.12}))
    figure.update_xaxes(axis("FLOPs (million multiply-adds per image)", rangemode="tozero"))
    figure.update_yaxes(axis("validation accuracy (%)"))
    return figure


def fill_tradeoff(figure: Drawing, results: Sequence[Point], earlier: Sequence[Point] = ()) -> None:
    """Accuracy against MACs, every scored result a point; a dotted path joins the stages of a run.

    Parameters
    ----------
    earlier : results of earlier sessions, smaller and grey; they count for the Pareto front.
    """
    original = results[0].cost if results else Cost(0, 0)
    scored = [(r, r.score) for r in results if r.score is not None]
    path_x: list[float | None] = []
    path_y: list[float | None] = []
    for number in sorted({r.number for r, _ in scored if r.number}):
        steps = [(r, score) for r, score in scored if r.number == number and r.stage != "from scratch"]
        path_x += [*(r.cost.macs / 1e6 for r, _ in steps), None]
        path_y += [*(score.top1 for _, score in steps), None]
    front = pareto_front([*results, *earlier])
    with figure.batch_update():
        figure.data[0].x, figure.data[0].y = path_x, path_y
        figure.data[-1].x = [r.cost.macs / 1e6 for r in front]
        figure.data[-1].y = [r.score.top1 for r in front if r.score]
        before = [r for r in earlier if r.score]
        figure.data[1].x = [r.cost.macs / 1e6 for r in before]
        figure.data[1].y = [_top1(r) for r in before]
        figure.data[1].customdata = [_hover(r, original) for r in before]
        for trace, (stage, *_) in zip(figure.data[2:-1], STAGES, strict=True):
            points = [(r, score) for r, score in scored if r.stage == stage]
            trace.x = [r.cost.macs / 1e6 for r, _ in points]
            trace.y = [score.top1 for _, score in points]
            trace.customdata = [_hover(r, original) for r, _ in points]
            trace.error_y.array = [score.interval[1] - score.top1 for _, score in points]
            trace.error_y.arrayminus = [score.top1 - score.interval[0] for _, score in points]
        figure.layout.yaxis.title.text = accuracy_title([r for r, _ in scored])
        text = (
            "No accuracy without data that fit the network." if results else "The network is being opened and scored."
        )
        say_if_empty(figure, not scored, text, small=False)


def accuracy_title(results: Sequence[Point]) -> str:
    """Title of an axis with scores: of which images, how many, and whether they mean anything."""
    scores = [r.score for r in results if r.score]
    kind = "test" if scores and results[0].validation is None else "validation"
    counts = {score.n for score in scores}
    notes = [f"of {counts.pop()} images"] if len(counts) == 1 else []
    notes += ["random weights"] if any(r.random_weights for r in results) else []
    return f"{kind} accuracy (%)" + (f"<br>{', '.join(notes)}" if notes else "")


def pareto_front(results: Sequence[Point]) -> list[Point]:
    """Scored results that no other beats in both accuracy and MACs, by MACs; of equal ones the first."""
    front: list[Point] = []
    for result in sorted((r for r in results if r.score), key=lambda r: (r.cost.macs, -_top1(r))):
        if not front or _top1(result) > _top1(front[-1]):
            front.append(result)
    return front


def _top1(result: Point) -> float:
    return result.score.top1 if result.score else 0.0


def stages_figure() -> go.Figure:
    """Empty figure for :func:`fill_stages`: one bar a stage, its accuracy below it, clear of the interval."""
    bars = {"type": "data", "symmetric": False, "color": EDGE, "thickness": 1.5, "width": 6}
    figure = go.Figure(go.Bar(width=0.62, error_y=bars, hovertemplate="%{customdata}<extra></extra>"))
    figure.update_layout(layout(232, margin={"l": 74, "t": 10, "b": 44}, showlegend=False))
    figure.update_xaxes({**axis("", showgrid=False), "type": "category", "ticks": "", "title": None})
    figure.update_yaxes(axis("accuracy (%)", rangemode="tozero"))
    return figure


def fill_stages(figure: Drawing, results: Sequence[Point], number: int | None) -> None:
    """The original, and each stage of one run at its last, with 95 % intervals.

    Parameters
    ----------
    number : the run; None where there is none yet.
    """
    last = {r.stage: r for r in results if r.score and r.number in (0, number)}
    shown = [(last[stage], color) for stage, _, color, _ in STAGES if stage in last]
    original = results[0].cost if results else Cost(0, 0)
    with figure.batch_update():
        trace = figure.data[0]
        scores = [r.score for r, _ in shown if r.score]
        trace.x = [f"{r.stage}<br><b>{score.top1:.1f} %</b>" for (r, _), score in zip(shown, scores, strict=True)]
        trace.y = [score.top1 for score in scores]
        trace.customdata = [_hover(r, original) for r, _ in shown]
        trace.marker.color = [color for _, color in shown]
        trace.error_y.array = [score.interval[1] - score.top1 for score in scores]
        trace.error_y.arrayminus = [score.top1 - score.interval[0] for score in scores]
        figure.layout.yaxis.title.text = accuracy_title([r for r, _ in shown])
        figure.layout.yaxis.range = [0, 105]
        figure.layout.xaxis.range = [-0.5, max(len(shown), 4) - 0.5]
        text = "Each stage is a bar here: original, decomposed, calibrated, fine-tuned."
        say_if_empty(figure, not shown, text, small=False)


def ranks_figure() -> go.Figure:
    """Empty figure for :func:`fill_ranks`."""
    hover = "%{customdata}<br>%{y:.1f} %<extra>%{fullData.name}</extra>"
    traces = [
        go.Scatter(
            name=name, mode="lines+markers", line={"color": color, "dash": dash, "width": 2}, hovertemplate=hover
        )
        for name, color, dash in (("accuracy", BLUE, "solid"), ("same answer as the original", ORANGE, "dot"))
    ]
    figure = go.Figure(traces)
    figure.data[0].error_y = {"symmetric": False, "color": BLUE, "thickness": 1, "width": 4}
    figure.update_layout(layout(300, margin={"t": 30}, legend={"y": -0.25}))
    figure.update_xaxes(axis("output rank", rangemode="tozero"))
    figure.update_yaxes(axis("share of images (%)", range=[0, 105]))
    return figure


def fill_ranks(figure: Drawing, layer: str, points: Sequence[CurvePoint]) -> None:
    """Top-1 with its 95 % interval, and agreement with the original, against the output rank of one layer."""
    ranks = [f"ranks {p.rank_in} x {p.rank_out}" if p.rank_in else f"rank {p.rank_out}" for p in points]
    with figure.batch_update():
        for trace, name in zip(figure.data, ("top1", "agreement"), strict=True):
            trace.x = [p.rank_out for p in points]
            trace.y = [getattr(p, name) for p in points]
            trace.customdata = ranks
        top1 = figure.data[0]
        top1.error_y.array = [p.interval[1] - p.top1 for p in points]
        top1.error_y.arrayminus = [p.top1 - p.interval[0] for p in points]
        figure.layout.yaxis.title.text = f"share of {points[0].n} images (%)" if points else "share of images (%)"
        figure.layout.title = {"text": f"{layer} alone", "font": {"size": 13}} if layer else None
        say_if_empty(figure, not points, "The curve appears here once a layer has been tried.")


def _scored(score: Accuracy) -> str:
    low, high = score.interval
    return f"{score.top1:.2f} % (95 %: {low:.1f} to {high:.1f}) of {score.n} images"


def _hover(result: Point, original: Cost) -> str:
    r = result
    macs, weights = (getattr(original, k) / max(1, getattr(r.cost, k)) for k in ("macs", "weights"))
    lines = [
        f"<b>{r.label}</b>",
        *(f"{name} {_scored(score)}" for name, score in (("validation", r.validation), ("test", r.test)) if score),
        f"{r.cost.macs / 1e6:.3g} M multiply-adds (x{macs:.2f} fewer)",
        f"{r.cost.weights:,} weights (x{weights:.2f} fewer)",
        *wrap(r.about, 60),
    ]
    return "<br>".join(lines)
