"""The step *Plan*: settings of the planner for the network; figures and sliders of the picked layer."""

from html import escape
from typing import Any

import ipywidgets as w

from workbench.app.controls import UserChanges, beside, button, column, expert, follow, row, slot, updated_html
from workbench.app.errors import sentence
from workbench.app.network_view import maps_html, network_view
from workbench.app.session import Session
from workbench.app.steps.plan.settings import NUMBERS, PLANNERS
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.glossary import term
from workbench.app.worker import JobKind
from workbench.inspect.factors import Factors
from workbench.plan.layer_choice import CHOICES
from workbench.plan.plan import DECISIONS, LayerPlan, Plan
from workbench.plan.spectrum import Spectrum
from workbench.plot.interactive.factors import blocks
from workbench.plot.interactive.spectrum import spectrum as singular_values
from workbench.tables import compared, count, times

LAYER_CHOICES = tuple((text, choice) for choice, (text, _) in CHOICES.items())
SLIDER_STEP = 0.05  # of the sliders
RANK_MULTIPLES = (("any", 1), ("multiples of 8", 8), ("multiples of 16", 16))
MEASURE_HINT = (
    "Measure how much the answers depend on each layer; a budget then keeps higher ranks where they depend most"
)
TIME_HINT = "Measure how long every layer takes at several ranks, then time the whole planned network"
DECISION_NAMES = {**DECISIONS, "keep": "kept as it is"}
MAX_SLIDER = 2**20  # initial maximum of a rank's slider: its End key goes there, or to the current maximum if lower
VIEWS = {
    "Singular values": "How strongly the layer uses each direction of its channels",
    "Its factors": "The layers that take its place, to scale",
    "On the picture": "What it makes of the picture, before and after",
}
"""View of a layer -> its hint."""


def plan_view(session: Session) -> w.Widget:
    """Return the drawing above the planner's settings and explanation, and buttons to measure, undo and reset."""
    plan, choose, worker = session.plan, session.choose, session.worker
    fields: dict[str, Any] = {
        "planner": slot(w.Dropdown, "Ranks by", 340, 62, options=[(p.name, name) for name, p in PLANNERS.items()]),
        "layers": expert(slot(w.Dropdown, "Layers", 290, 62, options=LAYER_CHOICES)),
    }
    for name, number in NUMBERS.items():
        limits = {"min": number.minimum, "max": number.maximum, "step": SLIDER_STEP, "readout_format": ".2f"}
        fields[name] = slot(w.FloatSlider, number.text, 390, number.label, **limits)
    fields["rank_multiple"] = expert(slot(w.Dropdown, "Ranks", 200, 62, options=RANK_MULTIPLES))
    expert(fields["weights_ratio"])
    undo, redo = button("Undo", session.undo, width="auto"), button("Redo", session.redo, width="auto")
    reset = button("Reset plan", plan.reset, "Undo all edits by hand: every layer as the planner says", width="auto")
    measure = button("Measure layers", plan.measure_importance)
    time_layers = button("Time layers", plan.time_layers, TIME_HINT)
    planner_text, user = w.HTML(layout={"flex": "1 1 300px"}), UserChanges()

    def fill() -> None:
        multiple, multiples = plan.settings["rank_multiple"], fields["rank_multiple"]
        with user.filling():
            if multiple not in dict(multiples.options).values():  # set in code
                multiples.options = (*RANK_MULTIPLES, (f"multiples of {multiple}", multiple))
            for name, box in fields.items():
                box.value = plan.settings.planner if name == "planner" else plan.settings[name]
        planner = PLANNERS[plan.settings.planner]
        visible = {fields[name]: name in planner.numbers for name in NUMBERS}
        visible |= {fields["rank_multiple"]: planner.rank_multiple, time_layers: planner.uses_times}
        for box, is_visible in {**visible, measure: planner.uses_importance}.items():
            box.layout.display = "" if is_visible else "none"
        planner_text.value = f"<div class='wb-soft'>{explanation(session)}</div>"

    def enable() -> None:
        undo.disabled, redo.disabled = not plan.undoable, not plan.redoable
        undo.description = f"Undo: {plan.undoable}" if plan.undoable else "Undo"
        redo.description = f"Redo: {plan.redoable}" if plan.redoable else "Redo"
        undo.tooltip, redo.tooltip = f"{undo.description} (Ctrl+Z)", f"{redo.description} (Ctrl+Shift+Z)"
        measured = plan.importance is not None
        time_layers.disabled = worker.busy(JobKind.LAYER_TIMES) or plan.plan is None
        measure.disabled = worker.busy(JobKind.IMPORTANCE) or plan.plan is None or not choose.calibratable or measured
        measure.tooltip = "The layers are measured: the budget goes by that" if measured else MEASURE_HINT

    def change(name: str, value: Any) -> None:
        # the page rounds a slider's value that was set in code to a step, and sends it back
        if name not in NUMBERS or abs(value - plan.settings[name]) > SLIDER_STEP / 2:
            plan.replan(**{name: value})

    for name, box in fields.items():
        user.observe(box, change, name)
    follow(fill, (plan, "settings importance times plan notice"))
    follow(enable, (plan, "importance plan undoable redoable"), (choose, "opened"), (worker, "jobs"))
    planner, layers, *numbers = fields.values()
    saving = updated_html(lambda: saving_html(plan.plan), (plan, "plan"))
    settings = row(planner, layers, *numbers, time_layers, measure)
    return column(network_view(session), settings, row(planner_text, saving, undo, redo, reset), gap=6)


def saving_html(plan: Plan | None) -> str:
    """Return HTML: what a plan saves in work and size."""
    if plan is None:
        return ""
    saving = f"<b>{times(plan.macs_ratio)}</b> less work, <b>{times(plan.weights_ratio)}</b> smaller"
    return f"<div class='wb-saving'>Whole network: {saving}</div>"


def explanation(session: Session) -> str:
    """Return HTML that explains the chosen planner in a few sentences."""
    plan = session.plan
    planner = PLANNERS[plan.settings.planner]
    text = escape(planner.explanation).replace("EVBMF", term("EVBMF"), 1)
    if planner.uses_times and plan.times is None:
        return f"{text} <b>Time layers</b> first: it takes a minute for a large network, and the times are kept."
    if planner.uses_times and plan.times is not None and plan.plan is not None:
        before, after = 1e3 * plan.times.dense, 1e3 * plan.times.of(plan.plan)
        text += (
            f" Predicted by the layers' times: {before:.3g} ms before, <b>{after:.3g} ms</b> with this plan "
            f"({escape(plan.times.where)}). <b>Time layers</b> again verifies a plan by timing the whole network."
        )
    if not planner.uses_importance:
        return text
    if plan.importance is not None:
        return f"{text} The loss is measured in the answers on {plan.importance.images} images."
    return f"{text} The loss is that of the weights; <b>Measure layers</b> goes by the answers."


def layer_view(session: Session) -> w.Widget:
    """Return a figure of the picked layer beside the sliders of its ranks."""
    return beside((layer_figure(session), 5), (layer_ranks(session), 3))


def picked_layer(session: Session) -> tuple[LayerPlan | None, Spectrum | None]:
    """Return plan and spectrum of the picked layer, each None if there is none."""
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
        part, spectrum = picked_layer(session)
        html, figure = "", None
        if view.value == "Singular values":
            figure = singular_values(spectrum, part)
        elif view.value == "On the picture":
            html = maps_html(preview.found, preview.stage, preview.current)
        else:
            try:
                figure = blocks(factors_of(part, spectrum))
            except ValueError as error:
                html = f"<p class='wb-soft'>{escape(sentence(error))}</p>"
        text.value = html
        text.layout.display = "" if html else "none"
        for name, figure_view in figures.items():
            figure_view.layout.display = "" if figure is not None and name == view.value else "none"
        if figure is not None:
            figures[view.value].show(figure)

    follow(fill, (session.plan, "plan notice"), (session.look, "picked"), (preview, "found current"), (view, "value"))
    return column(view, *figures.values(), text, gap=4).add_class("wb-layer")


def layer_ranks(session: Session) -> w.Widget:
    """Return sliders for the ranks of the picked layer, with their predicted cost and error."""
    plan, look = session.plan, session.look
    heading, readout, user = w.HTML(), w.HTML(), UserChanges()
    settings = {"min": 1, "max": MAX_SLIDER, "layout": {"width": "100%"}, "style": {"description_width": "92px"}}
    sliders = {
        "rank_in": w.IntSlider(description="input rank", **settings),
        "rank_out": w.IntSlider(description="output rank", **settings),
    }
    evbmf = button("EVBMF ranks", lambda: plan.reset_layer(look.picked), "Set this layer back to what EVBMF says")
    keep = button("Keep layer as it is", lambda: plan.keep_layer(look.picked), "Do not factorise this layer")

    def fill() -> None:
        part, spectrum = picked_layer(session)
        heading.value = heading_html(part)
        readout.value = readout_html(part)
        with user.filling():
            for name, slider in sliders.items():
                slider.disabled = spectrum is None or (name == "rank_in" and spectrum.in_ is None)
                if part is not None and spectrum is not None:
                    channels = part.layer.max_ranks[name == "rank_out"]
                    slider.max, slider.value = max(2, channels), getattr(part, name) or channels
        evbmf.disabled = keep.disabled = spectrum is None

    def choose_rank(name: str, rank: int) -> None:
        part, spectrum = picked_layer(session)
        if part is None or spectrum is None:
            return
        ranks = {name: rank}
        if part.decision == "keep" and spectrum.in_ is not None:  # Tucker-2 needs both ranks: the other is EVBMF's
            ranks = {"rank_in": max(1, spectrum.in_.rank), "rank_out": max(1, spectrum.out.rank)} | ranks
        plan.choose_ranks(part.name, **ranks)

    for name, slider in sliders.items():
        user.observe(slider, choose_rank, name)
    follow(fill, (plan, "plan notice"), (look, "picked"))
    return column(heading, *sliders.values(), row(evbmf, keep, gap=6), readout, gap=4)


def factors_of(part: LayerPlan | None, spectrum: Spectrum | None) -> Factors:
    """Return the factors of a layer; raise ValueError, saying why, if they cannot be drawn."""
    if part is None or part.rank_out is None:
        raise ValueError("this layer is kept as it is")
    if part.rank_in is None:
        raise ValueError("two layers take the place of this one: only its outputs are reduced")
    return Factors(part.layer, part.rank_in, part.rank_out, spectrum)


def heading_html(part: LayerPlan | None) -> str:
    """Return HTML with name and shape of the layer."""
    if part is None:
        return "<h2>Pick a layer in the table</h2>"
    kind = "convolution" if part.layer.kind == "conv" else "fully connected layer"
    shape = part.layer.describe().replace("->", "&rarr;")
    return f"<h2>{escape(part.name)} <small class='wb-soft'>{kind}, {shape}</small></h2>"


def readout_html(part: LayerPlan | None) -> str:
    """Return HTML with the decision on the layer, its reason, and predicted cost and error."""
    if part is None:
        return ""
    dense, planned = part.layer.cost, part.cost
    error = "&ndash;" if part.error is None else f"{100 * part.error:.1f} %"

    def change(before: int, after: int) -> str:
        note = "the same" if after == before else compared(before / after, "fewer", "more")
        return f"{count(before)} &rarr; {count(after)} ({note})"

    decision = DECISION_NAMES[part.decision]
    return (
        "<div class='wb-read'>"
        f"<i>decision</i><b>{term(decision) if decision.startswith('Tucker') else decision}"
        f" <small>{escape(part.reason)}</small></b>"
        f"<i>{term('MACs')}</i><b>{change(dense.macs, planned.macs)}</b>"
        f"<i>{term('weights')}</i><b>{change(dense.weights, planned.weights)}</b>"
        f"<i>{term('kernel error', 'kernel error, at most')}</i><b>{error}</b></div>"
    )
