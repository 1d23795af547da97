"""Sliders above a figure that they change: in a notebook, and on a page of it that nothing runs behind."""

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
"""MIME type of a figure at a grid of the sliders' values; ``docs/site/lessons.py`` makes a page of it."""
MAX_FIGURES = 64  # of that grid
PLAY_INTERVAL_MS = 400
"""Milliseconds at each place of a filter that slides by itself."""
NOISES = [round(float(level), 3) for level in np.geomspace(0.02, 1.2, 25)]


class Explorer:
    """Sliders above a figure and a line of HTML.

    Parameters
    ----------
    label : of the figure.
    sliders : IntSlider or SelectionSlider.
    make : values of the sliders -> what is shown.
    draw : what is shown -> interactive figure.
    still : what is shown -> printed figure, which is shown where nothing else can be.
    more : beside the sliders.
    named : text of a button -> the values that it gives the sliders.
    words : what is shown -> HTML.
    """

    draws_all: ClassVar[bool] = False
    """Whether a notebook also gets the figure at many values, of which a page without a kernel can be made."""

    def __init__(
        self,
        label: str,
        sliders: Sequence[Any],
        make: Callable[..., Any],
        draw: Callable[[Any], Figure],
        still: Callable[[Any], NotebookFigure],
        *more: w.Widget,
        named: Mapping[str, Sequence[Any]] | None = None,
        words: Callable[[Any], str] = attrgetter("summary"),
    ) -> None:
        self.sliders, self._make, self._draw, self._still, self._describe = sliders, make, draw, still, words
        self._figure, self._words = FigureView(label), w.HTML()
        self._figure.layout.width = "100%"
        buttons = [
            button(name, partial(self.move, *values), ", ".join(map(str, values)), width="118px")
            for name, values in (named or {}).items()
        ]
        self.widget = column(row(*sliders, *more, *buttons, gap=10), self._words, self._figure, gap=4)
        self.widget.layout.max_width = "980px"
        for slider in sliders:
            slider.observe(self._show, "value")
        self._show()

    @property
    def shown(self) -> Any:
        """What is shown at the present values of the sliders."""
        return self._make(*(slider.value for slider in self.sliders))

    def move(self, *values: Any) -> None:
        """Move the sliders; ValueError says which value does not fit."""
        self._make(*values)  # a slider would take the nearest value without a word
        for slider, value in zip(self.sliders, values, strict=True):
            slider.value = value

    def _show(self, _: object = None) -> None:
        shown = self.shown
        self._figure.show(self._draw(shown))
        words = self._describe(shown)
        self._words.value = f"<div role='status' style='background:#fff;color:#1F2933;padding:2px 8px'>{words}</div>"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        shown, metadata = bundle(self.widget, lambda: self._still(self.shown), **kwargs)
        return {**shown, **({FIGURES: self._figures()} if self.draws_all else {})}, metadata

    def _figures(self) -> dict[str, Any]:
        """Return the sliders, and the figure at each combination of some of their values, the last varying fastest."""
        each = int(MAX_FIGURES ** (1 / len(self.sliders)) + 1e-9)
        grid = [_some_values(slider, each) for slider in self.sliders]
        sliders = [
            {"name": slider.description, "values": values, "at": values.index(slider.value)}
            for slider, values in zip(self.sliders, grid, strict=True)
        ]
        made = [self._make(*values) for values in product(*grid)]
        figures = [{**self._draw(shown), "words": self._describe(shown)} for shown in made]
        found: dict[str, Any] = json.loads(to_json_plotly({"sliders": sliders, "figures": figures}))
        return found


def _some_values(slider: Any, count: int) -> list[Any]:
    """Return at most that many values of a slider, evenly spread, the present one among them."""
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
    make = partial(LowRankFilters.of, layer, picture)
    max_rank = make(1).max_rank
    slider = slot(w.IntSlider, "rank", 420, 50, value=min(rank, max_rank), min=1, max=max_rank)
    label = "Filters and feature maps at a rank"
    return Explorer(label, [slider], make, low_rank_filters, static.low_rank_filters)


def explore_noise(images: Tensor, noise: float = 0.3) -> Explorer:
    """Show what EVBMF finds in pictures with noise, and why, with a slider for the noise.

    Parameters
    ----------
    images : (n, 1, height, width), more than each has pixels.
    noise : standard deviation to begin with; the nearest of `NOISES` is taken.
    """
    make = partial(NoisyDigits.of, images)
    loudest = make(NOISES[-1]).evbmf
    top = 1.08 * max(loudest.threshold, loudest.singular_values[0])  # the axis stays as it is while the slider moves
    nearest = min(NOISES, key=lambda level: abs(level - noise))
    slider = slot(w.SelectionSlider, "noise", 420, 50, options=NOISES, value=nearest)
    label = "Singular values beside the free energy"
    return Explorer(label, [slider], make, lambda shown: noisy_digits(shown, top), static.noisy_digits)


def explore_convolution(layer: nn.Conv2d, picture: Tensor, position: int = 0, out_channel: int = 0) -> Explorer:
    """Show what a filter computes at each place of a picture, with sliders for the place and the filter.

    Parameters
    ----------
    layer : a convolution of one input channel, without gaps in its filters.
    picture : (1, height, width)
    position : of the output to begin with, counted row by row.
    """
    make = partial(SlidingWindow.of, layer, picture)
    last = make(position, out_channel).feature_map.size - 1
    place = slot(w.IntSlider, "place", 330, 50, value=position, max=last)
    which = slot(w.IntSlider, "filter", 250, 50, value=out_channel, max=layer.out_channels - 1)
    play = w.Play(max=last, value=position, interval=PLAY_INTERVAL_MS, show_repeat=False)
    w.jslink((play, "value"), (place, "value"))
    label = "A filter at one place of a picture"
    return Explorer(label, [place, which], make, sliding_window, static.sliding_window, play)


def verdict_text(shown: Factors) -> str:
    """Return HTML that says whether the three layers save anything, and how far the kernel moves."""
    color, mark = ("#00674b", "&#10003;") if shown.pays else ("#a33f00", "&#10007;")
    error = "" if shown.error is None else f" The kernel moves by at most {100 * shown.error:.1f} %."
    return f"<b style='color:{color}'>{mark} {escape(shown.verdict)}</b>{error}"


def explore_ranks(layer: Spectrum | Layer, rank_in: int | None = None, rank_out: int | None = None) -> Explorer:
    """Show one convolution and the three in its place, with sliders for the ranks.

    Parameters
    ----------
    layer : of ``spectra["features.3"]``, or only a Layer, of which no weights are known.
    rank_in, rank_out : to begin with; left out, EVBMF's, or half the channels.

    Raises
    ------
    ValueError : if the layer is no convolution that three others can replace, or a rank does not fit.
    """
    begin = Factors.of(layer, rank_in, rank_out)
    (most_in, most_out), found = begin.layer.max_ranks, evbmf_ranks(begin.spectrum)
    return Explorer(
        "One convolution and the three in its place",
        [
            slot(w.IntSlider, "rank_in", 316, 64, value=begin.rank_in, min=1, max=most_in),
            slot(w.IntSlider, "rank_out", 316, 64, value=begin.rank_out, min=1, max=most_out),
        ],
        partial(Factors, begin.layer, spectrum=begin.spectrum),
        factors,
        lambda shown: print_factors(layer, shown.rank_in, shown.rank_out),
        named={**({"EVBMF ranks": found} if found else {}), "Full ranks": (most_in, most_out)},
        words=verdict_text,
    )
