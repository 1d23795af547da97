"""Explore the ranks of a layer in a notebook: one convolution, and the three in its place."""

from html import escape
from typing import Any

import ipywidgets as w

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
        style, layout = {"description_width": "104px"}, {"width": "316px"}
        self.sliders = [
            w.IntSlider(rank, min=1, max=most, description=text, style=style, layout=layout)
            for text, rank, most in zip(
                ("R3, input rank", "R4, output rank"),
                (shown.rank_in, shown.rank_out),
                shown.layer.max_ranks,
                strict=True,
            )
        ]
        self._figure = FigureView("One convolution and the three in its place")
        self._figure.layout.width = "100%"
        self._words = w.HTML()
        buttons = []
        for name, ranks in (("EVBMF ranks", evbmf_ranks(shown.spectrum)), ("Full ranks", shown.layer.max_ranks)):
            if ranks:
                tooltip = f"R3 = {ranks[0]}, R4 = {ranks[1]}"
                buttons.append(w.Button(description=name, tooltip=tooltip, layout={"width": "118px"}))
                buttons[-1].on_click(lambda _, ranks=ranks: self.set_ranks(*ranks))
        for slider in self.sliders:
            slider.observe(self._draw, "value")
        row = {"flex_flow": "row wrap", "grid_gap": "6px 10px", "align_items": "center"}
        self.widget = w.VBox(
            [w.HBox([*self.sliders, *buttons], layout=row), self._words, self._figure],
            layout={"max_width": "980px", "grid_gap": "4px"},
        )
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
