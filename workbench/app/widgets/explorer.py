"""Sliders above a figure that they change, in a notebook and on a static page made of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape
from itertools import product
from operator import attrgetter
from typing import Any, ClassVar

import ipywidgets as w
import numpy as np
from plotly.io.json import to_json_plotly
from torch import Tensor, nn

from workbench.app.controls import button, column, row, slot
from workbench.app.widgets.base import bundle
from workbench.app.widgets.figure_view import FigureView
from workbench.inspect.demonstrations import LowRankFilters, NoisyDigits, SlidingWindow
from workbench.inspect.factors import Factors, evbmf_ranks
from workbench.network.layers import Layer
from workbench.plan.spectrum import Spectrum
from workbench.plot.interactive.base import Figure
from workbench.plot.interactive.demonstrations import low_rank_filters, noisy_digits, sliding_window
from workbench.plot.interactive.factors import factors
from workbench.plot.static import demonstrations as static
from workbench.plot.static.base import NotebookFigure
from workbench.plot.static.factors import factors as print_factors

FIGURES = "application/vnd.workbench.figures+json"
"""MIME type of a figure drawn at a grid of the sliders' values, for the static pages of ``docs/site/lessons.py``."""
MAX_FIGURES = 64  # in the grid
PLAY_INTERVAL_MS = 400
"""Time at each position of a filter that slides by itself."""
NOISES = [round(float(level), 3) for level in np.geomspace(0.02, 1.2, 25)]


class Explorer:
    """Sliders above a figure and a line of HTML.

    Parameters
    ----------
    label : of the figure.
    sliders : IntSlider or SelectionSlider.
    compute : values of the sliders -> result.
    draw : result -> interactive figure.
    draw_static : result -> printed figure, for viewers that show no widgets.
    more : widgets beside the sliders.
    presets : text of a button -> values that it gives the sliders.
    describe : result -> HTML.
    """

    draws_all: ClassVar[bool] = False
    """Whether the output of a cell also holds the figure at a grid of values, for a page without a kernel."""

    def __init__(
        self,
        label: str,
        sliders: Sequence[Any],
        compute: Callable[..., Any],
        draw: Callable[[Any], Figure],
        draw_static: Callable[[Any], NotebookFigure],
        *more: w.Widget,
        presets: Mapping[str, Sequence[Any]] | None = None,
        describe: Callable[[Any], str] = attrgetter("summary"),
    ) -> None:
        self.sliders, self._compute, self._draw = sliders, compute, draw
        self._draw_static, self._describe = draw_static, describe
        self._figure, self._words = FigureView(label), w.HTML()
        self._figure.layout.width = "100%"
        buttons = [
            button(name, partial(self.move, *values), ", ".join(map(str, values)), width="118px")
            for name, values in (presets or {}).items()
        ]
        self.widget = column(row(*sliders, *more, *buttons, gap=10), self._words, self._figure, gap=4)
        self.widget.layout.max_width = "980px"
        for slider in sliders:
            slider.observe(self._show, "value")
        self._show()

    @property
    def shown(self) -> Any:
        """Result at the present values of the sliders."""
        return self._compute(*(slider.value for slider in self.sliders))

    def move(self, *values: Any) -> None:
        """Move the sliders; raise ValueError that names a value that does not fit."""
        self._compute(*values)  # a slider would silently take the nearest value
        for slider, value in zip(self.sliders, values, strict=True):
            slider.value = value

    def _show(self, _: object = None) -> None:
        result = self.shown
        self._figure.show(self._draw(result))
        text = self._describe(result)
        self._words.value = f"<div role='status' style='background:#fff;color:#1F2933;padding:2px 8px'>{text}</div>"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = bundle(self.widget, lambda: self._draw_static(self.shown), **kwargs)
        return {**data, **({FIGURES: self._figures()} if self.draws_all else {})}, metadata

    def _figures(self) -> dict[str, Any]:
        """Return the sliders, and the figure at each point of a grid of their values, the last varying fastest."""
        values_per_slider = int(MAX_FIGURES ** (1 / len(self.sliders)) + 1e-9)
        grid = [_some_values(slider, values_per_slider) for slider in self.sliders]
        sliders = [
            {"name": slider.description, "values": values, "at": values.index(slider.value)}
            for slider, values in zip(self.sliders, grid, strict=True)
        ]
        results = [self._compute(*values) for values in product(*grid)]
        figures = [{**self._draw(result), "words": self._describe(result)} for result in results]
        content: dict[str, Any] = json.loads(to_json_plotly({"sliders": sliders, "figures": figures}))
        return content


def _some_values(slider: Any, count: int) -> list[Any]:
    """Return at most `count` values of a slider, evenly spread, among them the present one."""
    values = list(slider.options if hasattr(slider, "options") else range(slider.min, slider.max + 1))
    indices = np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int)
    current = values.index(slider.value)
    indices[np.abs(indices - current).argmin()] = current
    return [values[i] for i in indices]


def explore_filters(layer: nn.Conv2d, picture: Tensor, rank: int = 4) -> Explorer:
    """Show filters and a picture's feature maps beside those of a lower rank, with a slider for the rank.

    Parameters
    ----------
    layer : a convolution of one input channel.
    picture : (1, height, width)
    """
    compute = partial(LowRankFilters.of, layer, picture)
    max_rank = compute(1).max_rank
    slider = slot(w.IntSlider, "rank", 420, 50, value=min(rank, max_rank), min=1, max=max_rank)
    label = "Filters and feature maps at a rank"
    return Explorer(label, [slider], compute, low_rank_filters, static.low_rank_filters)


def explore_noise(images: Tensor, noise: float = 0.3) -> Explorer:
    """Show the rank that EVBMF finds in noisy pictures beside its free energy, with a slider for the noise.

    Parameters
    ----------
    images : (n, 1, height, width), with n larger than height x width.
    noise : initial standard deviation, rounded to the nearest of `NOISES`.
    """
    compute = partial(NoisyDigits.of, images)
    noisiest = compute(NOISES[-1]).evbmf
    y_max = 1.08 * max(noisiest.threshold, noisiest.singular_values[0])  # one axis for all noises
    nearest = min(NOISES, key=lambda level: abs(level - noise))
    slider = slot(w.SelectionSlider, "noise", 420, 50, options=NOISES, value=nearest)
    label = "Singular values beside the free energy"
    return Explorer(label, [slider], compute, lambda result: noisy_digits(result, y_max), static.noisy_digits)


def explore_convolution(layer: nn.Conv2d, picture: Tensor, position: int = 0, out_channel: int = 0) -> Explorer:
    """Show what a filter computes at one position of a picture, with sliders for position and filter.

    Parameters
    ----------
    layer : a convolution of one input channel, without dilation.
    picture : (1, height, width)
    position : initial index of the output, counted row by row.
    """
    compute = partial(SlidingWindow.of, layer, picture)
    max_position = compute(position, out_channel).feature_map.size - 1
    position_slider = slot(w.IntSlider, "place", 330, 50, value=position, max=max_position)
    filter_slider = slot(w.IntSlider, "filter", 250, 50, value=out_channel, max=layer.out_channels - 1)
    play = w.Play(max=max_position, value=position, interval=PLAY_INTERVAL_MS, show_repeat=False)
    w.jslink((play, "value"), (position_slider, "value"))
    label = "A filter at one place of a picture"
    return Explorer(label, [position_slider, filter_slider], compute, sliding_window, static.sliding_window, play)


def verdict_text(result: Factors) -> str:
    """Return HTML that says whether the three layers save MACs or weights, and how far the kernel moves."""
    color, mark = ("#00674b", "&#10003;") if result.pays else ("#a33f00", "&#10007;")
    error = "" if result.error is None else f" The kernel moves by at most {100 * result.error:.1f} %."
    return f"<b style='color:{color}'>{mark} {escape(result.verdict)}</b>{error}"


def explore_ranks(layer: Spectrum | Layer, rank_in: int | None = None, rank_out: int | None = None) -> Explorer:
    """Show one convolution and the three in its place, with sliders for the ranks.

    Parameters
    ----------
    layer : ``spectra["features.3"]``, or a Layer if its weights are not known.
    rank_in, rank_out : initial ranks; EVBMF's by default, or half of the channels of a Layer.

    Raises
    ------
    ValueError : if Tucker-2 does not apply to the layer, or a rank does not fit it.
    """
    initial = Factors.of(layer, rank_in, rank_out)
    (max_in, max_out), evbmf = initial.layer.max_ranks, evbmf_ranks(initial.spectrum)
    return Explorer(
        "One convolution and the three in its place",
        [
            slot(w.IntSlider, "rank_in", 316, 64, value=initial.rank_in, min=1, max=max_in),
            slot(w.IntSlider, "rank_out", 316, 64, value=initial.rank_out, min=1, max=max_out),
        ],
        partial(Factors, initial.layer, spectrum=initial.spectrum),
        factors,
        lambda result: print_factors(layer, result.rank_in, result.rank_out),
        presets={**({"EVBMF ranks": evbmf} if evbmf else {}), "Full ranks": (max_in, max_out)},
        describe=verdict_text,
    )
