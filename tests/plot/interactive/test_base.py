import numpy as np
import pytest

import workbench as wb
from workbench.app.results import Result
from workbench.app.steps.recover.model import Pass
from workbench.kernels.complexity import Cost
from workbench.plot.interactive import base as figures
from workbench.plot.interactive.base import curve_figure, fill_curve, fill_spectrum, spectrum_figure
from workbench.plot.interactive.tradeoff import fill_stages, fill_tradeoff, pareto_front, stages_figure, tradeoff_figure


def regions(figure, axes=""):
    """[(name, first and last direction)] of one of the two unfoldings."""
    named = [shape for shape in figure.layout.shapes if shape.name and shape.xref == f"x{axes}"]
    return [(shape.name, shape.x0 + 0.5, shape.x1 - 0.5) for shape in named]


def test_spectrum_shows_what_is_kept_and_what_is_noise(spectra, plan):
    figure = spectrum_figure()
    found = spectra["features.3"]
    fill_spectrum(figure, found, plan.with_ranks("features.3", rank_in=5, rank_out=7)["features.3"])
    bars_in, line_in, bars_out, line_out = figure.data[:4]
    assert np.array_equal(bars_in.y, found.singular_in)
    assert np.array_equal(bars_out.y, found.singular_out)
    assert list(bars_out.x) == list(range(1, 65))
    assert regions(figure) == [("kept", 1, 5), ("left out", 6, 32)]
    assert regions(figure, "2") == [("kept", 1, 7), ("left out", 8, 64)]
    assert set(line_in.y) == {found.in_.threshold}
    assert set(line_out.y) == {found.out.threshold}
    assert figure.layout.annotations[0].text.endswith("5 of 32 directions kept; EVBMF finds 14</span>")


def test_the_outline_is_that_of_the_bars(spectra, plan):
    figure = spectrum_figure()
    fill_spectrum(figure, spectra["features.3"], plan["features.3"])
    (path,) = (shape.path for shape in figure.layout.shapes if shape.type == "path" and shape.xref == "x")
    heights = [float(step[1:]) for step in path.split() if step.startswith("V")]
    assert np.allclose(heights, [*spectra["features.3"].singular_in, 0], rtol=1e-3)
    assert [float(step[1:]) for step in path.split() if step.startswith("H")] == [k + 1.5 for k in range(32)]


def test_a_rank_changes_nothing_but_shapes_and_titles(spectra, plan):
    """That is why it is fast: `FigureView` sends, and the page redraws, only what is around the traces."""
    figures = [spectrum_figure(), spectrum_figure()]
    fill_spectrum(figures[0], spectra["features.3"], plan["features.3"])
    fill_spectrum(figures[1], spectra["features.3"], plan.with_ranks("features.3", rank_in=5)["features.3"])
    one, other = (figure.to_dict() for figure in figures)
    assert one["data"] == other["data"]
    assert {key for key in one["layout"] if one["layout"][key] != other["layout"][key]} == {"shapes", "annotations"}
    assert not any(isinstance(value, dict) for value in (one["layout"]["meta"], one["layout"]["uirevision"]))


def test_tucker1_has_no_input_mode(spectra, plan):
    figure = spectrum_figure()
    fill_spectrum(figure, spectra["classifier.2"], plan["classifier.2"])
    assert len(figure.data[0].x) == 0
    assert figure.layout.annotations[0].text.endswith("not reduced in this layer</span>")
    assert not figure.layout.xaxis.visible
    assert regions(figure) == []
    fill_spectrum(figure, None, None)
    assert all(len(trace.x) == 0 for trace in figure.data[:4])
    assert figure.layout.shapes == ()


def test_a_kept_layer_keeps_all(spectra, plan):
    figure = spectrum_figure()
    fill_spectrum(figure, spectra["features.3"], plan.keep("features.3")["features.3"])
    assert regions(figure)[0] == ("kept", 1, 32)
    assert not figure.layout.shapes[4].visible
    assert "all 32 directions kept" in figure.layout.annotations[0].text


def test_curve():
    score = wb.Accuracy(90.0, 99.0, 100)
    figure = curve_figure()
    fill_curve(
        figure,
        [wb.Epoch(1, 0.5, score, 1e-3, 1.0), wb.Epoch(2, 0.4, score, 1e-3, 1.0)],
        before=wb.Accuracy(50.0, 80.0, 100),
    )
    assert list(figure.data[0].x) == [0, 1, 2]
    assert list(figure.data[0].y) == [50.0, 90.0, 90.0]
    assert list(figure.data[1].y) == [0.5, 0.4]
    assert figure.data[0].error_y.array[1] == pytest.approx(score.interval[1] - 90.0)
    assert figure.layout.yaxis.title.text == "validation accuracy (%)<br>of 100 images"
    assert figure.layout.yaxis.visible
    fill_curve(figure, [Pass(1, 0.5), Pass(2, 0.3)], before=score)  # without labels there is a loss alone
    assert (list(figure.data[0].x), list(figure.data[1].y)) == ([0], [0.5, 0.3])
    fill_curve(figure, [])
    assert list(figure.data[0].x) == []
    assert figure.layout.annotations[0].text == "The curve appears here while the network is fine-tuned."
    assert not figure.layout.yaxis.visible


def result(number, stage, macs, top1):
    score = wb.Accuracy(top1, 100.0, 50)
    return Result(number, stage, Cost(macs // 2, macs), score, score, "about it")


def test_tradeoff_has_every_run_as_a_point():
    results = [
        result(0, "original", 4_000_000, 99.0),
        result(1, "decomposed", 1_000_000, 60.0),
        result(1, "fine-tuned", 1_000_000, 98.0),
        result(2, "decomposed", 500_000, 30.0),
    ]
    figure = tradeoff_figure()
    fill_tradeoff(figure, results)
    path, original, decomposed, finetuned = (figure.data[i] for i in (0, 2, 3, 6))
    assert list(original.x) == [4.0]
    assert list(decomposed.x) == [1.0, 0.5]
    assert list(finetuned.y) == [98.0]
    assert list(path.x) == [1.0, 1.0, None, 0.5, None]
    assert figure.layout.yaxis.title.text == "validation accuracy (%)<br>of 50 images"
    assert "x4.00 fewer" in finetuned.customdata[0]
    assert "run 1, fine-tuned" in finetuned.customdata[0]
    assert "about it" in finetuned.customdata[0]


@pytest.mark.parametrize("figure", [spectrum_figure(), curve_figure(), tradeoff_figure()])
def test_axes_have_names_and_units(figure):
    titles = [a.title.text for a in figure.select_xaxes()] + [figure.layout.yaxis.title.text]
    assert all(titles)
    assert figure.layout.title.text is None


def scored(number, stage, macs, top1):
    score = wb.Accuracy(top1, 100.0, 200)
    return Result(number, stage, Cost(1000, macs), score, score, "")


def test_the_pareto_front_is_what_no_other_beats():
    rng = np.random.default_rng(0)
    results = [
        scored(i, "decomposed", int(m), float(a))
        for i, (m, a) in enumerate(zip(rng.integers(1, 50, 60), rng.integers(0, 100, 60), strict=True))
    ]
    front = pareto_front(results)
    for r in results:
        beaten = any(
            o.cost.macs <= r.cost.macs and o.score.top1 >= r.score.top1 and (o.cost, o.score) != (r.cost, r.score)
            for o in results
        )
        assert ((r.cost, r.score) in [(f.cost, f.score) for f in front]) == (not beaten)
    assert [f.cost.macs for f in front] == sorted(f.cost.macs for f in front)
    figure = tradeoff_figure()
    fill_tradeoff(figure, results)
    assert list(figure.data[-1].y) == [f.score.top1 for f in front]
    assert pareto_front([]) == []


def test_stages_of_one_run_are_bars_in_their_order():
    results = [
        scored(0, "original", 100, 99.0),
        scored(1, "decomposed", 50, 20.0),
        scored(2, "decomposed", 40, 10.0),
        scored(2, "fine-tuned", 40, 90.0),
        scored(2, "from scratch", 40, 70.0),
        scored(2, "fine-tuned", 40, 95.0),
        scored(2, "calibrated", 40, 80.0),
    ]
    figure = stages_figure()
    fill_stages(figure, results, 2)
    bars = figure.data[0]
    stages = ["original", "decomposed", "calibrated", "fine-tuned", "from scratch"]
    assert list(bars.x) == [f"{s}<br><b>{y:.1f} %</b>" for s, y in zip(stages, bars.y, strict=True)]
    assert list(bars.y) == [99.0, 10.0, 80.0, 95.0, 70.0]
    assert len(bars.error_y.array) == 5
    assert bars.error_y.array[1] == pytest.approx(results[2].score.interval[1] - 10.0)
    fill_stages(figure, results[:1], None)
    assert list(bars.x) == ["original<br><b>99.0 %</b>"]
    assert figure.layout.yaxis.title.text == "validation accuracy (%)<br>of 200 images"
    fill_stages(figure, [], None)
    assert figure.layout.annotations[0].text.startswith("Each stage")


LIGHT = {color: color for color in figures.DARK if color not in ("white", figures.GRID)}
CHART = ("BLUE", "ORANGE", "GREEN", "VERMILLION", "PURPLE", "SLATE")
BLIND = {  # Machado et al., 2009: what is left of linear RGB
    "nobody": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


def linear(color):
    values = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """Of WCAG, 1 to 21."""
    low, high = sorted(float(np.dot(XYZ[1], linear(color))) for color in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(values):
    found = XYZ @ np.clip(values, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(found > 0.008856, np.cbrt(found), 7.787 * found + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize(("colors", "paper"), [(LIGHT, "#FFFFFF"), (figures.DARK, figures.DARK["white"])])
def test_colours_stand_out_and_can_be_told_apart(colors, paper):
    marks = [colors[getattr(figures, name)] for name in CHART]
    assert min(contrast(color, paper) for color in (*marks, colors[figures.EDGE])) >= 3
    assert min(contrast(colors[ink], paper) for ink in (figures.INK, figures.SLATE)) >= 4.5
    for seen in BLIND.values():
        tints = [lab(np.array(seen) @ linear(color)) for color in marks]
        apart = [np.linalg.norm(a - b) for i, a in enumerate(tints) for b in tints[:i]]
        assert min(apart) > 13  # a just noticeable difference is 2.3


def test_what_waits_takes_little_room():
    figure = figures.curve_figure()
    full = figure.layout.height
    figures.fill_curve(figure, [])
    assert figure.layout.height == figures.EMPTY < full
    figures.say_if_empty(figure, False, "")
    assert figure.layout.height == full
    figures.say_if_empty(figure, True, "nothing yet", small=False)
    assert figure.layout.height == full
