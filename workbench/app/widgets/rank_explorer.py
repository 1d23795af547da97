"""Explore the ranks of a layer in a notebook: one convolution, and the three in its place."""

from functools import partial
from html import escape
from typing import Any

import ipywidgets as w

from workbench.app.controls import button, column, row, slot
from workbench.app.widgets.figure_view import FigureView
from workbench.inspect.factors import Factors, evbmf_ranks
from workbench.network.layers import Layer
from workbench.plan.spectrum import Spectrum
from workbench.plot.interactive.factors import factors
from workbench.plot.static.factors import factors as print_factors


class RankExplorer:
    """Two sliders above the picture of a layer. In a copy of the notebook that nothing runs behind, a still picture."""

    def __init__(self, shown: Factors) -> None:
        self.shown = shown  # the layer, and the ranks that the sliders have
        most_in, most_out = shown.layer.max_ranks
        self.sliders = [
            slot(w.IntSlider, "R3, input rank", 316, 104, value=shown.rank_in, min=1, max=most_in),
            slot(w.IntSlider, "R4, output rank", 316, 104, value=shown.rank_out, min=1, max=most_out),
        ]
        self._figure = FigureView("One convolution and the three in its place")
        self._figure.layout.width = "100%"
        self._words = w.HTML()
        named = {"EVBMF ranks": evbmf_ranks(shown.spectrum), "Full ranks": shown.layer.max_ranks}
        buttons = [
            button(name, partial(self.set_ranks, *ranks), "R3 = {}, R4 = {}".format(*ranks), width="118px")
            for name, ranks in named.items()
            if ranks
        ]
        for slider in self.sliders:
            slider.observe(self._draw, "value")
        self.widget = column(row(*self.sliders, *buttons, gap=10), self._words, self._figure, gap=4)
        self.widget.layout.max_width = "980px"
        self._draw()

    def set_ranks(self, rank_in: int, rank_out: int) -> None:
        """Move both sliders; ValueError says which rank does not fit."""
        Factors(self.shown.layer, rank_in, rank_out)  # a slider would take the nearest rank without a word
        for slider, rank in zip(self.sliders, (rank_in, rank_out), strict=True):
            slider.value = rank

    def _draw(self, _: object = None) -> None:
        rank_in, rank_out = (slider.value for slider in self.sliders)
        self.shown = shown = Factors(self.shown.layer, rank_in, rank_out, self.shown.spectrum)
        self._figure.show(factors(shown))
        color, mark = ("#00674b", "&#10003;") if shown.pays else ("#a33f00", "&#10007;")
        error = "" if shown.error is None else f" The kernel moves by at most {100 * shown.error:.1f} %."
        words = f"<b style='color:{color}'>{mark} {escape(shown.verdict)}</b>{error}"
        self._words.value = f"<div role='status' style='background:#fff;color:#1F2933;padding:2px 8px'>{words}</div>"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        still = print_factors(self.shown.spectrum or self.shown.layer, self.shown.rank_in, self.shown.rank_out)
        picture, metadata = still._repr_mimebundle_()
        return {**self.widget._repr_mimebundle_(**kwargs), **picture}, metadata


def explore_ranks(layer: Spectrum | Layer, rank_in: int | None = None, rank_out: int | None = None) -> RankExplorer:
    """Show one convolution and the three in its place, with sliders for the ranks.

    Parameters
    ----------
    layer : of ``spectra["features.3"]``, or a Layer alone, of which no weights are known.
    rank_in, rank_out : to begin with; left out, EVBMF's, or half the channels.

    Raises
    ------
    ValueError : if the layer is no convolution that three others can replace, or a rank does not fit.
    """
    return RankExplorer(Factors.of(layer, rank_in, rank_out))
