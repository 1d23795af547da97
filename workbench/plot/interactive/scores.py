"""Scores against MACs with the Pareto front, by stage of a run, by epoch of training, by the rank of one layer."""

from collections.abc import Sequence
from math import isfinite
from operator import itemgetter
from textwrap import wrap
from typing import Any, NamedTuple

from workbench.inspect.rank_curve import CurvePoint
from workbench.kernels.complexity import Cost
from workbench.network.scores import Score
from workbench.plan.forecast import ForecastCurve
from workbench.plan.plan import ratio
from workbench.plot.colors import BLUE, EDGE, GREEN, GREY, ORANGE, PURPLE, SLATE, VERMILLION
from workbench.plot.interactive.base import Figure, Trace, axis, bar, empty, figure, hover, line, percent, scatter
from workbench.recover.checkpoint import Epoch
from workbench.runs.run import Run, Stage, StageName, pareto_front

STAGE_MARKS = {
    StageName.ORIGINAL: ("star", SLATE, 15),
    StageName.DECOMPOSED: ("circle-open", VERMILLION, 12),
    StageName.CALIBRATED: ("diamond", ORANGE, 12),
    StageName.DISTILLED: ("square", GREEN, 11),
    StageName.FINE_TUNED: ("circle", BLUE, 12),
    StageName.FROM_SCRATCH: ("x", PURPLE, 11),
}
"""Symbol, colour and size in pixels of each stage, in the order of the bars."""
MIN_BARS = 4
"""Smallest number of bars for which :func:`stages` has room."""
MAX_ERROR_BARS = 30
"""Largest number of points with intervals; more would hide the curve (the CSV file has them)."""
MAX_NUMBERED_EPOCHS = 12
"""Largest number of epochs that are all numbered on the axis."""


class _Point(NamedTuple):
    """A scored stage of a run, or of the original network."""

    stage: Stage
    score: Score
    cost: Cost | None
    run_label: str = ""

    @property
    def place(self) -> tuple[float, float]:
        """MACs in millions; top-1 in percent, or a metric."""
        return self.cost.macs / 1e6 if self.cost else 0.0, self.score.shown


def tradeoff(
    runs: Sequence[Run],
    original: Stage | None,
    earlier: Sequence[Run] = (),
    *,
    dense: Cost | None = None,
    random_weights: bool = False,
    forecast: ForecastCurve | None = None,
) -> Figure:
    """Draw every scored stage by MACs and accuracy; a dotted path joins the stages of a run.

    The last stage of each of the `earlier` runs is grey and belongs to the Pareto front. `dense` is the original's
    cost. With `random_weights`, the title of the axis says that the weights are random. A forecast is a dashed curve
    that starts at the original.
    """
    if dense is None or (original is None and not runs):
        return empty("The network is being opened and scored.", 560)
    points_by_run = [_points(run) for run in runs]
    scored = [*_original(original, dense), *(p for points in points_by_run for p in points)]
    if not scored:
        return empty("No accuracy without data that fit the network.", 560)
    paths = [[p.place for p in points if p.stage.name != StageName.FROM_SCRATCH] for points in points_by_run]
    earlier_points = [points[-1] for run in earlier if (points := _points(run))]
    front = pareto_front([p.place for p in (*scored, *earlier_points)], cost=itemgetter(0), score=itemgetter(1))
    earlier_style = {"symbol": "circle", "color": GREY, "size": 7, "line": {"width": 1, "color": EDGE}}
    dotted, stairs = {"color": EDGE, "width": 1.5, "dash": "dot"}, {"color": GREEN, "width": 2, "shape": "hv"}
    data = [
        line([p for path in paths for p in (*path, (None, None))], line=dotted, hoverinfo="skip", showlegend=False),
        _markers("earlier runs", earlier_points, dense, marker=earlier_style),
    ]
    for name, (symbol, color, size) in STAGE_MARKS.items():
        points = [p for p in scored if p.stage.name == name]
        if points:
            marker = {"symbol": symbol, "color": color, "size": size, "line": {"width": 2.5, "color": color}}
            bars = percent([p.score for p in points], color=color, width=4)
            data.append(_markers(name.value, points, dense, marker=marker, **bars))
    data.append(line(front, name="Pareto front", line=stairs, hoverinfo="skip"))
    data += _forecast(forecast, original.score, dense) if forecast and original and original.score else []
    x, y = axis("FLOPs (million multiply-adds per image)", rangemode="tozero"), axis(_title(scored, random_weights))
    return figure(data, 560, margin={"l": 82, "t": 14}, legend={"y": -0.19}, xaxis=x, yaxis=y)


def stages(
    run: Run | None, original: Stage | None, *, dense: Cost | None = None, random_weights: bool = False
) -> Figure:
    """Draw a bar for the original and for each stage of one run, with 95 % intervals; see :func:`tradeoff`."""
    last_points = {point.stage.name: point for point in (*_original(original, dense), *(_points(run) if run else ()))}
    points = [last_points[name] for name in STAGE_MARKS if name in last_points]
    if not points:
        return empty("Each stage is a bar here: original, decomposed, calibrated, fine-tuned.", 232)
    # each score is below its bar, where the interval does not cover it
    texts = [f"{p.place[1]:.1f} %" if p.score.is_share else p.score.value for p in points]
    x = [f"{p.stage.name}<br><b>{text}</b>" for p, text in zip(points, texts, strict=True)]
    bars = bar(x, [], width=0.62, marker={"color": [STAGE_MARKS[p.stage.name][1] for p in points]})
    bars |= percent([p.score for p in points], color=EDGE, thickness=1.5, width=6)
    bars |= hover(_text(point, dense) for point in points)
    x_range = [-0.5, max(len(points), MIN_BARS) - 0.5]
    x_axis = axis("", showgrid=False, type="category", ticks="", range=x_range)
    y_range: dict[str, Any] = {"range": [0, 105]} if points[0].score.is_share else {}
    y_axis = axis(_title(points, random_weights), rangemode="tozero", **y_range)
    return figure([bars], 232, margin={"l": 74, "t": 10, "b": 44}, showlegend=False, xaxis=x_axis, yaxis=y_axis)


def _original(stage: Stage | None, cost: Cost | None) -> list[_Point]:
    return [_Point(stage, stage.score, cost)] if stage is not None and stage.score is not None else []


def _points(run: Run) -> list[_Point]:
    """Return the scored stages of a run except the original; training from scratch comes first."""
    points = [
        _Point(stage, stage.score, run.plan.cost, run.label)
        for stage in run.stages
        if stage.score is not None and stage.name != StageName.ORIGINAL
    ]
    return sorted(points, key=lambda point: point.stage.name != StageName.FROM_SCRATCH)


def _forecast(curve: ForecastCurve, score: Score, dense: Cost) -> list[Trace]:
    """Return the line of expected scores by budget."""
    if not score.is_share or any(forecast.agreement is None for forecast in curve.forecasts):
        return []
    points, texts = [(dense.macs / 1e6, score.shown)], ["original"]
    for plan, forecast in zip(curve.plans, curve.forecasts, strict=True):
        loss = 1 - (forecast.agreement or 0.0) if score.kind == "agreement" else forecast.accuracy_lost or 0.0
        points.append((plan.macs / 1e6, score.shown - 100 * loss))
        texts.append(f"<b>expected after calibration</b><br>x{plan.macs_ratio:.2f} fewer multiply-adds<br>{forecast}")
    style = {"color": VERMILLION, "width": 2, "dash": "dash"}
    return [
        line(points, name="forecast, after calibration", line=style, **hover("<br>".join(wrap(t, 60)) for t in texts))
    ]


def _markers(name: str, points: Sequence[_Point], dense: Cost, **style: Any) -> Trace:
    texts = hover(_text(point, dense) for point in points)
    return line([p.place for p in points], mode="markers", name=name, **texts) | style


def _text(point: _Point, dense: Cost | None) -> str:
    lines = [f"<b>{', '.join(filter(None, (point.run_label, point.stage.name)))}</b>"]
    for split, score in point.stage.scores.items():
        low, high = (100 * end for end in score.interval)
        kind = "" if score.kind == "accuracy" else f"{score.kind} "
        interval = f" (95 %: {low:.1f} to {high:.1f})" if score.is_share else ""
        lines.append(f"{split} {kind}{score.value}{interval} of {score.n} images")
    if point.cost and dense:
        macs, weights = ratio(dense.macs, point.cost.macs), ratio(dense.weights, point.cost.weights)
        lines.append(f"{point.place[0]:.3g} M multiply-adds (x{macs:.2f} fewer)")
        lines.append(f"{point.cost.weights:,} weights (x{weights:.2f} fewer)")
    return "<br>".join([*lines, *wrap(point.stage.note, 60)])


def _title(points: Sequence[_Point], random_weights: bool) -> str:
    """Return the title of the axis: split, kind of score, number of images, and a note on random weights."""
    scores = points[0].stage.scores
    split = "validation" if "validation" in scores else next(iter(scores))
    kinds, counts = ({getattr(p.score, attribute) for p in points} for attribute in ("kind", "n"))
    names = {"agreement": "same answers (%)", "accuracy": "accuracy (%)"}
    kind = kinds.pop() if len(kinds) == 1 else "accuracy"
    notes = [f"of {counts.pop()} images"] if len(counts) == 1 else []
    notes += ["random weights"] if random_weights else []
    return f"{split} {names.get(kind, kind)}" + (f"<br>{', '.join(notes)}" if notes else "")


def training_curve(epochs: Sequence[Epoch], before: Score | None = None) -> Figure:
    """Draw validation score and training loss by epoch; `before` is the score at epoch 0, if `epochs` lack it."""
    if not epochs:
        return empty("The curve appears here while the network is fine-tuned.")
    points = [(epoch.epoch, epoch.validation) for epoch in epochs]
    kind = points[0][1].kind
    if before is not None and before.kind == kind and epochs[0].epoch > 0:
        points.insert(0, (0, before))
    bars = BLUE if len(points) <= MAX_ERROR_BARS else "rgba(0,0,0,0)"
    unit = " %" if points[0][1].is_share else ""
    accuracy = {
        **scatter([x for x, _ in points], [], "lines+markers", name=f"validation {kind}", marker={"size": 7}),
        **percent([score for _, score in points], width=3, color=bars),
        "line": {"color": BLUE, "width": 2.5},
        "hovertemplate": f"epoch %{{x}}<br>validation {kind} %{{y:.4g}}{unit}<extra></extra>",
    }
    loss = {
        **line([(e.epoch, e.loss) for e in epochs if isfinite(e.loss)], name="training loss (right axis)", yaxis="y2"),
        "mode": "lines+markers",
        "line": {"color": ORANGE, "width": 1.5, "dash": "dot"},
        "marker": {"size": 6, "symbol": "diamond"},
        "hovertemplate": "epoch %{x}<br>training loss %{y:.4f}<extra></extra>",
    }
    images_text = f"<br>of {points[-1][1].n} images"
    ticks = {"dtick": 1} if len(epochs) <= MAX_NUMBERED_EPOCHS else {}
    right_axis = {"anchor": "x", "overlaying": "y", "side": "right", "tickmode": "auto", "nticks": 6}
    axes = {
        "xaxis": axis("epoch", rangemode="tozero", showgrid=False, domain=[0, 0.94], **ticks),
        "yaxis": axis(f"validation {kind}{' (%)' if unit else ''}{images_text}"),
        "yaxis2": axis("training loss", rangemode="tozero", showgrid=False, **right_axis),
    }
    legend = {"y": 1.02, "yanchor": "bottom"}  # below, it would cover the axis of a low figure
    return figure([accuracy, loss], 330, margin={"l": 74, "r": 64, "t": 30}, legend=legend, **axes)


def rank_curve(layer: str, points: Sequence[CurvePoint]) -> Figure:
    """Draw accuracy with its 95 % interval, and agreement with the original, against the output rank of one layer."""
    if not points:
        return empty("The curve appears here once a layer has been tried.")
    common = {
        **scatter([p.rank_out for p in points], [], "lines+markers"),
        "customdata": [f"ranks {p.rank_in} x {p.rank_out}" if p.rank_in else f"rank {p.rank_out}" for p in points],
        "hovertemplate": "%{customdata}<br>%{y:.1f} %<extra>%{fullData.name}</extra>",
    }
    dotted, solid = {"color": ORANGE, "dash": "dot", "width": 2}, {"color": BLUE, "dash": "solid", "width": 2}
    agreement = [100 * p.agreement.top1 for p in points]
    data = [{**common, "name": "same answer as the original", "y": agreement, "line": dotted}]
    scores = [p.accuracy for p in points if p.accuracy is not None]
    if scores:
        data.insert(0, {**common, "name": "accuracy", **percent(scores, color=BLUE, width=4), "line": solid})
    title = {"text": f"only {layer} decomposed", "font": {"size": 13}}
    x, y = axis("output rank", rangemode="tozero"), axis(f"share of {points[0].agreement.n} images (%)", range=[0, 105])
    return figure(data, 300, margin={"t": 30}, legend={"y": -0.25}, title=title, xaxis=x, yaxis=y)
