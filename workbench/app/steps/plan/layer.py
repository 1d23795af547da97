"""The picked layer of the step *Plan*: its spectra, its factors and its feature maps; and sliders for its ranks."""

from html import escape

import ipywidgets as w

from workbench.app.controls import UserChanges, beside, button, column, follow, row
from workbench.app.errors import sentence
from workbench.app.session import Session
from workbench.app.steps.compare.preview_view import maps_html
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.glossary import term
from workbench.inspect.factors import Factors
from workbench.plan.plan import DECISIONS, LayerPlan
from workbench.plan.spectrum import Spectrum
from workbench.plot.interactive.factors import blocks
from workbench.plot.interactive.spectrum import spectrum as singular_values
from workbench.tables import count, times

TWO_FACTORS = "Two layers take the place of this one: only its outputs are reduced."
NAMES = {**DECISIONS, "keep": "kept as it is"}
MAX_SLIDER = 2**20  # first maximum of a rank: its End key leads to the smaller of it and the present one
VIEWS = {
    "Singular values": "How strongly the layer uses each direction of its channels",
    "Its factors": "The layers that take its place, to scale",
    "On the picture": "What it makes of the picture, before and after",
}
"""What there is to see of a layer -> a hint."""


def layer_view(session: Session) -> w.Widget:
    """Return a figure of the picked layer, and beside it the ranks with their predicted cost and error."""
    return beside((layer_figure(session), 5), (layer_ranks(session), 3))


def picked_part(session: Session) -> tuple[LayerPlan | None, Spectrum | None]:
    """Return plan and spectrum of the picked layer, as far as there are any."""
    plan = session.plan.plan
    part = next((part for part in plan or () if part.name == session.look.picked), None)
    spectra = plan.spectra if plan else None
    return part, spectra[part.name] if part and spectra and part.name in spectra else None


def layer_figure(session: Session) -> w.Widget:
    """Return one of three views of the picked layer."""
    preview = session.preview
    figures = {name: FigureView(name, height=200) for name in [*VIEWS][:2]}
    text = w.HTML()
    view = w.ToggleButtons(options=list(VIEWS), style={"button_width": "128px"})
    view.tooltips = list(VIEWS.values())

    def fill() -> None:
        part, spectrum = picked_part(session)
        words, figure = "", None
        if view.value == "Singular values":
            figure = singular_values(spectrum, part)
        elif view.value == "On the picture":
            words = maps_html(preview.found, preview.stage, preview.current)
        else:
            words, factors = factors_of(part, spectrum)
            figure = blocks(factors) if factors is not None else None
        text.value = words
        text.layout.display = "" if words else "none"
        for name, shown in figures.items():
            shown.layout.display = "" if figure is not None and name == view.value else "none"
        if figure is not None:
            figures[view.value].show(figure)

    follow(fill, (session.plan, "plan notice"), (session.look, "picked"), (preview, "found current"), (view, "value"))
    box = column(view, *figures.values(), text, gap=4)
    box.add_class("wb-layer")
    return box


def layer_ranks(session: Session) -> w.Widget:
    """Return sliders for the ranks of the picked layer, with their predicted cost and error."""
    plan, look = session.plan, session.look
    heading, readout, user = w.HTML(), w.HTML(), UserChanges()
    sliders = {
        which: w.IntSlider(min=1, max=MAX_SLIDER, description=label, style={"description_width": "92px"})
        for which, label in (("rank_in", "input rank"), ("rank_out", "output rank"))
    }
    for slider in sliders.values():
        slider.layout.width = "100%"
    evbmf = button("EVBMF ranks", lambda: plan.reset_layer(look.picked), "Set this layer back to what EVBMF says")
    keep = button("Keep layer as it is", lambda: plan.keep_layer(look.picked), "Do not factorise this layer")

    def fill() -> None:
        part, spectrum = picked_part(session)
        heading.value = heading_text(part)
        readout.value = readout_text(part)
        with user.filling():
            for which, slider in sliders.items():
                slider.disabled = spectrum is None or (which == "rank_in" and spectrum.in_ is None)
                if part is not None and spectrum is not None:
                    channels = part.layer.max_ranks[which == "rank_out"]
                    slider.max, slider.value = max(2, channels), getattr(part, which) or channels
        evbmf.disabled = keep.disabled = spectrum is None

    def moved(which: str, rank: int) -> None:
        part, spectrum = picked_part(session)
        if part is None or spectrum is None:
            return
        ranks = {which: rank}
        if part.decision == "keep" and spectrum.in_ is not None:  # both are needed to begin with: EVBMF gives the other
            ranks = {"rank_in": max(1, spectrum.in_.rank), "rank_out": max(1, spectrum.out.rank)} | ranks
        plan.choose_ranks(part.name, **ranks)

    for which, slider in sliders.items():
        user.observe(slider, moved, which)
    follow(fill, (plan, "plan notice"), (look, "picked"))
    return column(heading, *sliders.values(), row(evbmf, keep, gap=6), readout, gap=4)


def factors_of(part: LayerPlan | None, spectrum: Spectrum | None) -> tuple[str, Factors | None]:
    """Return HTML that says why a layer's factors cannot be drawn, or ""; and the factors."""
    if part is None or part.rank_out is None or part.rank_in is None:
        why = "This layer is kept as it is." if part is None or part.rank_out is None else TWO_FACTORS
        return f"<p class='wb-soft'>{why}</p>", None
    try:
        return "", Factors(part.layer, part.rank_in, part.rank_out, spectrum)
    except ValueError as error:
        return f"<p class='wb-soft'>{escape(sentence(error))}</p>", None


def heading_text(part: LayerPlan | None) -> str:
    """Return name and shape of the layer."""
    if part is None:
        return "<h2>Pick a layer in the table</h2>"
    kind = "convolution" if part.layer.kind == "conv" else "fully connected layer"
    shape = part.layer.describe().replace("->", "&rarr;")
    return f"<h2>{escape(part.name)} <small class='wb-soft'>{kind}, {shape}</small></h2>"


def readout_text(part: LayerPlan | None) -> str:
    """Return predicted cost and error of the layer, and the reason of its decision."""
    if part is None:
        return ""
    old, new = part.layer.cost, part.cost
    error = "&ndash;" if part.error is None else f"{100 * part.error:.1f} %"

    def change(before: int, after: int) -> str:
        note = f"{times(before / after)} fewer" if after < before else f"{times(after / before)} more"
        return f"{count(before)} &rarr; {count(after)} ({'the same' if after == before else note})"

    decision = NAMES[part.decision]
    return (
        "<div class='wb-read'>"
        f"<i>decision</i><b>{term(decision) if decision.startswith('Tucker') else decision}"
        f" <small>{escape(part.reason)}</small></b>"
        f"<i>{term('MACs')}</i><b>{change(old.macs, new.macs)}</b>"
        f"<i>{term('weights')}</i><b>{change(old.weights, new.weights)}</b>"
        f"<i>{term('kernel error', 'kernel error, at most')}</i><b>{error}</b></div>"
    )
