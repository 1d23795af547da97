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
    """Two sliders above the picture of a layer. In a copy of the notebook that nothing runs behind, a still picture.

    Attributes
    ----------
    shown : the layer, and the ranks that the sliders have.
    sliders : "rank_in" and "rank_out".
    widget : all of it.
    """

    def __init__(self, shown: Factors) -> None:
        self.shown = shown
        self.sliders = {
            which: w.IntSlider(
                value=getattr(shown, which),
                min=1,
                max=most,
                description=f"{symbol}, {which.removeprefix('rank_')}put rank",
                style={"description_width": "104px"},
                layout={"width": "316px"},
            )
            for which, symbol, most in zip(("rank_in", "rank_out"), ("R3", "R4"), shown.layer.max_ranks, strict=True)
        }
        self._figure = FigureView("One convolution and the three in its place")
        self._figure.layout.width = "100%"
        self._words = w.HTML()
        found = evbmf_ranks(shown.spectrum)
        presets = {"EVBMF ranks": found} if found else {}
        buttons = [
            self._button(name, ranks) for name, ranks in {**presets, "Full ranks": shown.layer.max_ranks}.items()
        ]
        for slider in self.sliders.values():
            slider.observe(lambda _: self._moved(), "value")
        row = {"flex_flow": "row wrap", "grid_gap": "6px 10px", "align_items": "center"}
        self.widget = w.VBox(
            [w.HBox([*self.sliders.values(), *buttons], layout=row), self._words, self._figure],
            layout={"max_width": "980px", "grid_gap": "4px"},
        )
        self._draw()

    def set_ranks(self, rank_in: int, rank_out: int) -> None:
        """Move both sliders."""
        Factors(self.shown.layer, rank_in, rank_out)  # says in a sentence what does not fit
        for which, rank in (("rank_in", rank_in), ("rank_out", rank_out)):
            self.sliders[which].value = rank

    def _button(self, name: str, ranks: tuple[int, int]) -> w.Button:
        button = w.Button(description=name, tooltip=f"R3 = {ranks[0]}, R4 = {ranks[1]}", layout={"width": "118px"})
        button.on_click(lambda _: self.set_ranks(*ranks))
        return button

    def _moved(self) -> None:
        ranks = {which: slider.value for which, slider in self.sliders.items()}
        self.shown = Factors(self.shown.layer, spectrum=self.shown.spectrum, **ranks)
        self._draw()

    def _draw(self) -> None:
        self._figure.show(factors(self.shown))
        self._words.value = verdict_text(self.shown)

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


def verdict_text(shown: Factors) -> str:
    """Return HTML: whether these ranks pay, and how far the kernel moves."""
    color = "#00674b" if shown.pays else "#a33f00"
    mark = "&#10003;" if shown.pays else "&#10007;"
    error = "" if shown.error is None else f" The kernel moves by at most {100 * shown.error:.1f} %."
    words = f"<b style='color:{color}'>{mark} {escape(shown.verdict)}</b>{escape(error)}"
    return f"<div role='status' style='background:#fff;color:#1F2933;padding:2px 8px'>{words}</div>"
