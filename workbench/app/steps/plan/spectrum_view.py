"""The picked layer: its singular values, EVBMF's threshold, and sliders for its ranks."""

from html import escape

import ipywidgets as w

from workbench.app.controls import UserChanges, button, column, follow, row
from workbench.app.steps.look.model import LookModel
from workbench.app.steps.plan.model import PlanModel
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.glossary import term
from workbench.plan.plan import DECISIONS, LayerPlan
from workbench.plan.spectrum import Spectrum
from workbench.plot.interactive.spectrum import spectrum as spectrum_figure
from workbench.tables import count, times

MAX_SLIDER = 2**20
"""First maximum of the rank sliders: their End key leads to the smaller of it and the present maximum."""
NAMES = {**DECISIONS, "keep": "kept as it is"}


def view(plan: PlanModel, look: LookModel) -> w.Widget:
    """Return the figure, and beside it the ranks with their predicted cost and error."""
    figure, heading, readout, user = FigureView("Singular values"), w.HTML(), w.HTML(), UserChanges()
    sliders = {
        which: w.IntSlider(min=1, max=MAX_SLIDER, description=label, style={"description_width": "92px"})
        for which, label in (("rank_in", "input rank"), ("rank_out", "output rank"))
    }
    for slider in sliders.values():
        slider.layout.width = "100%"
    evbmf = button("EVBMF ranks", lambda: plan.reset_layer(look.picked), "Set this layer back to what EVBMF says")
    keep = button("Keep layer as it is", lambda: plan.keep_layer(look.picked), "Do not factorise this layer")

    def picked() -> tuple[LayerPlan | None, Spectrum | None]:
        part = next((part for part in plan.plan or () if part.name == look.picked), None)
        spectra = plan.spectra
        return part, spectra[part.name] if part and spectra and part.name in spectra else None

    def fill() -> None:
        part, spectrum = picked()
        figure.show(spectrum_figure(spectrum, part))
        heading.value = heading_text(part)
        readout.value = readout_text(part, plan.notice)
        with user.filling():
            for which, slider in sliders.items():
                slider.disabled = spectrum is None or (which == "rank_in" and spectrum.in_ is None)
                if part is not None and spectrum is not None:
                    channels = part.layer.max_ranks[which == "rank_out"]
                    slider.max, slider.value = max(2, channels), getattr(part, which) or channels
        evbmf.disabled = keep.disabled = spectrum is None

    def moved(which: str, rank: int) -> None:
        part, spectrum = picked()
        if part is None or spectrum is None:
            return
        ranks = {which: rank}
        if part.decision == "keep" and spectrum.in_ is not None:  # both are needed to begin with: EVBMF gives the other
            found = {"rank_in": spectrum.in_.rank, "rank_out": spectrum.out.rank}
            ranks = {name: max(1, found_rank) for name, found_rank in found.items()} | ranks
        plan.choose_ranks(part.name, **ranks)

    for which, slider in sliders.items():
        user.observe(slider, moved, which)
    follow(fill, (plan, "plan notice"), (look, "picked"))
    right = column(heading, *sliders.values(), row(evbmf, keep, gap=6), readout, gap=4)
    right.layout.flex = "0 0 372px"
    left = w.VBox([figure], layout={"flex": "1 1 0%", "min_width": "480px"})
    return w.HBox([left, right], layout={"grid_gap": "18px", "flex_flow": "row wrap"})


def heading_text(part: LayerPlan | None) -> str:
    """Return name and shape of the layer."""
    if part is None:
        return "<h2>Pick a layer in the table</h2>"
    kind = "convolution" if part.layer.kind == "conv" else "fully connected layer"
    shape = part.layer.describe().replace("->", "&rarr;")
    return f"<h2>{escape(part.name)}</h2><div class='wb-soft'>{kind}, {shape}</div>"


def readout_text(part: LayerPlan | None, notice: str) -> str:
    """Return predicted cost and error of the layer, and the reason of its decision."""
    if part is None:
        return ""
    old, new = part.layer.cost, part.cost
    error = "&ndash;" if part.error is None else f"{100 * part.error:.1f} %"

    def change(before: int, after: int) -> str:
        if after == before:
            return f"{count(before)} &rarr; {count(after)} (the same)"
        note = f"{times(before / after)} fewer" if after < before else f"{times(after / before)} more"
        return f"{count(before)} &rarr; {count(after)} ({note})"

    decision = NAMES[part.decision]
    return (
        "<div class='wb-read'>"
        f"<i>decision</i><b>{term(decision) if decision.startswith('Tucker') else decision}</b>"
        f"<i>{term('MACs')}</i><b>{change(old.macs, new.macs)}</b>"
        f"<i>{term('weights')}</i><b>{change(old.weights, new.weights)}</b>"
        f"<i>{term('kernel error', 'kernel error, at most')}</i><b>{error}</b></div>"
        f"<div class='wb-reason'>{escape(part.reason)}</div><div class='wb-notice'>{escape(notice)}</div>"
    )
