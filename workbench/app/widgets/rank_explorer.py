"""Explore the ranks of a layer in a notebook: one convolution, and the three in its place."""

from functools import partial
from html import escape

import ipywidgets as w

from workbench.app.controls import button, slot
from workbench.app.widgets.explorer import Explorer
from workbench.inspect.factors import Factors, evbmf_ranks
from workbench.network.layers import Layer
from workbench.plan.spectrum import Spectrum
from workbench.plot.interactive.factors import factors
from workbench.plot.static.base import NotebookFigure
from workbench.plot.static.factors import factors as print_factors


class RankExplorer(Explorer):
    """Two sliders above the picture of a layer."""

    def __init__(self, begin: Factors) -> None:
        self._factors = partial(Factors, begin.layer, spectrum=begin.spectrum)
        most_in, most_out = begin.layer.max_ranks
        sliders = [
            slot(w.IntSlider, "rank_in", 316, 64, value=begin.rank_in, min=1, max=most_in),
            slot(w.IntSlider, "rank_out", 316, 64, value=begin.rank_out, min=1, max=most_out),
        ]
        named = {"EVBMF ranks": evbmf_ranks(begin.spectrum), "Full ranks": begin.layer.max_ranks}
        buttons = [
            button(name, partial(self.set_ranks, *ranks), "{}, {}".format(*ranks), width="118px")
            for name, ranks in named.items()
            if ranks
        ]
        label, begun = "One convolution and the three in its place", begin.spectrum or begin.layer

        def still(shown: Factors) -> NotebookFigure:
            return print_factors(begun, shown.rank_in, shown.rank_out)

        super().__init__(label, sliders, self._factors, factors, still, *buttons, words=verdict_text)

    def set_ranks(self, rank_in: int, rank_out: int) -> None:
        """Move both sliders; ValueError says which rank does not fit."""
        self._factors(rank_in, rank_out)  # a slider would take the nearest rank without a word
        for slider, rank in zip(self.sliders, (rank_in, rank_out), strict=True):
            slider.value = rank


def verdict_text(shown: Factors) -> str:
    """Return HTML that says whether the three layers save anything, and how far the kernel moves."""
    color, mark = ("#00674b", "&#10003;") if shown.pays else ("#a33f00", "&#10007;")
    error = "" if shown.error is None else f" The kernel moves by at most {100 * shown.error:.1f} %."
    return f"<b style='color:{color}'>{mark} {escape(shown.verdict)}</b>{error}"


def explore_ranks(layer: Spectrum | Layer, rank_in: int | None = None, rank_out: int | None = None) -> RankExplorer:
    """Show one convolution and the three in its place, with sliders for the ranks.

    Parameters
    ----------
    layer : of ``spectra["features.3"]``, or only a Layer, of which no weights are known.
    rank_in, rank_out : to begin with; left out, EVBMF's, or half the channels.

    Raises
    ------
    ValueError : if the layer is no convolution that three others can replace, or a rank does not fit.
    """
    return RankExplorer(Factors.of(layer, rank_in, rank_out))
