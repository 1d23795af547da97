"""The picked layer: its singular values, EVBMF's threshold, and sliders for its ranks."""

from html import escape

import ipywidgets as w

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
    figure = FigureView("Singular values")
    heading = w.HTML()
    readout = w.HTML()
    sliders = {
        which: w.IntSlider(
            min=1, max=MAX_SLIDER, description=label, continuous_update=True, style={"description_width": "92px"}
        )
        for which, label in (("rank_in", "input rank"), ("rank_out", "output rank"))
    }
    for slider in sliders.values():
        slider.layout.width = "100%"
    evbmf = w.Button(description="EVBMF ranks", tooltip="Set this layer back to what EVBMF says")
    keep = w.Button(description="Keep layer as it is", tooltip="Do not factorise this layer")
    filling = False

    def fill(_: object = None) -> None:
        nonlocal filling
        part = current(plan, look)
        spectrum = plan.spectra[part.name] if part and plan.spectra and part.name in plan.spectra else None
        figure.show(spectrum_figure(spectrum, part))
        heading.value = heading_text(part)
        readout.value = readout_text(part, plan.notice)
        filling = True
        try:
            for which, slider in sliders.items():
                slider.disabled = not _usable(which, spectrum)
                if part is not None and spectrum is not None:
                    slider.max, slider.value = _range(which, part)
        finally:
            filling = False
        for button in (evbmf, keep):
            button.disabled = spectrum is None

    def moved(which: str) -> None:
        if filling:
            return
        part = current(plan, look)
        if part is None or plan.spectra is None or part.name not in plan.spectra:
            return
        ranks = {which: sliders[which].value}
        in_ = plan.spectra[part.name].in_
        if part.decision == "keep" and in_ is not None:  # both are needed to begin with: EVBMF gives the other
            found = {"rank_in": in_.rank, "rank_out": plan.spectra[part.name].out.rank}
            ranks = {name: max(1, rank) for name, rank in found.items()} | ranks
        plan.choose_ranks(part.name, **ranks)

    for which, slider in sliders.items():
        slider.observe(lambda _, which=which: moved(which), "value")
    evbmf.on_click(lambda _: plan.reset_layer(look.selected))
    keep.on_click(lambda _: plan.keep_layer(look.selected))
    plan.observe(fill, ["plan", "notice"])
    look.observe(fill, ["selected"])

    buttons = w.HBox([evbmf, keep], layout={"grid_gap": "6px", "flex_flow": "row wrap"})
    right = w.VBox([heading, *sliders.values(), buttons, readout], layout={"flex": "0 0 372px", "grid_gap": "4px"})
    left = w.VBox([figure], layout={"flex": "1 1 0%", "min_width": "480px"})
    fill()
    return w.HBox([left, right], layout={"grid_gap": "18px", "flex_flow": "row wrap"})


def _usable(which: str, spectrum: Spectrum | None) -> bool:
    return spectrum is not None and (which == "rank_out" or spectrum.in_ is not None)


def _range(which: str, part: LayerPlan) -> tuple[int, int]:
    """Return (largest rank, rank to show): the chosen rank, or the number of channels if none is left out."""
    channels = part.layer.max_ranks[which == "rank_out"]
    return max(2, channels), getattr(part, which) or channels


def current(plan: PlanModel, look: LookModel) -> LayerPlan | None:
    """Return the picked layer's part of the plan."""
    return next((part for part in plan.plan or () if part.name == look.selected), None)


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
