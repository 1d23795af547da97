"""The step *Plan*: settings of the planner for the whole network."""

from html import escape
from typing import Any

import ipywidgets as w

from workbench.app.controls import UserChanges, button, column, expert, follow, row, slot
from workbench.app.network_view import network_view
from workbench.app.session import Session
from workbench.app.steps.plan.settings import NUMBERS, PLANNERS
from workbench.app.widgets.glossary import term
from workbench.app.worker import JobKind
from workbench.plan.evbmf import CHOICES
from workbench.plan.plan import Plan
from workbench.tables import times

LAYER_CHOICES = tuple((text.removeprefix("EVBMF, "), choice) for choice, text in CHOICES.items())
STEP = 0.05  # of the sliders
MULTIPLES = (("any", 1), ("multiples of 8", 8), ("multiples of 16", 16))
MEASURE_HINT = (
    "Measure how much the answers depend on each layer; a budget then keeps higher ranks where they depend most"
)
TIME_HINT = "Measure how long every layer takes at several ranks, then time the whole planned network"


def plan_view(session: Session) -> w.Widget:
    """Return the drawing above settings, a sentence on the planner, and buttons that measure what it goes by."""
    plan, choose, worker = session.plan, session.choose, session.worker
    fields: dict[str, Any] = {
        "planner": slot(w.Dropdown, "Ranks by", 340, 62, options=[(p.name, name) for name, p in PLANNERS.items()]),
        "layers": expert(slot(w.Dropdown, "Layers", 290, 62, options=LAYER_CHOICES)),
    }
    for name, number in NUMBERS.items():
        limits = {"min": number.minimum, "max": number.maximum, "step": STEP, "readout_format": ".2f"}
        fields[name] = slot(w.FloatSlider, number.text, 390, number.label, **limits)
    fields["rank_multiple"] = expert(slot(w.Dropdown, "Ranks", 200, 62, options=MULTIPLES))
    expert(fields["weights_ratio"])
    undo, redo = button("Undo", session.undo, width="auto"), button("Redo", session.redo, width="auto")
    saving = w.HTML()
    reset = button("Reset plan", plan.reset, "Undo all edits by hand: every layer as the planner says", width="auto")
    measure = button("Measure layers", plan.measure_importance)
    clock = button("Time layers", plan.time_layers, TIME_HINT)
    words, user = w.HTML(), UserChanges()

    def fill() -> None:
        with user.filling():
            for name, box in fields.items():
                box.value = plan.settings.planner if name == "planner" else plan.settings[name]
        planner = PLANNERS[plan.settings.planner]
        shown = {fields[name]: name in planner.numbers for name in NUMBERS}
        shown |= {fields["rank_multiple"]: planner.rank_multiple, clock: planner.uses_times}
        for box, is_shown in {**shown, measure: planner.uses_importance}.items():
            box.layout.display = "" if is_shown else "none"
        words.value = f"<div class='wb-soft'>{explanation(session)}</div>"
        saving.value = saving_html(plan.plan)

    def enable() -> None:
        undo.disabled, redo.disabled = not plan.undoable, not plan.redoable
        undo.description = f"Undo: {plan.undoable}" if plan.undoable else "Undo"
        redo.description = f"Redo: {plan.redoable}" if plan.redoable else "Redo"
        undo.tooltip, redo.tooltip = f"{undo.description} (Ctrl+Z)", f"{redo.description} (Ctrl+Shift+Z)"
        known = plan.importance is not None
        clock.disabled = worker.busy(JobKind.LAYER_TIMES) or plan.plan is None
        measure.disabled = worker.busy(JobKind.IMPORTANCE) or plan.plan is None or not choose.calibratable or known
        measure.tooltip = "It is known how the answers change: the budget goes by that" if known else MEASURE_HINT

    def change(name: str, value: Any) -> None:
        # the page sends a slider's value back, rounded to a step
        if name not in NUMBERS or abs(value - plan.settings[name]) > STEP / 2:
            plan.replan(**{name: value})

    for name, box in fields.items():
        user.observe(box, change, name)
    follow(fill, (plan, "settings importance times plan notice"))
    follow(enable, (plan, "importance plan undoable redoable"), (choose, "opened"), (worker, "jobs"))
    planner, layers, *numbers = fields.values()
    words.layout.flex = "1 1 300px"
    first = row(planner, layers, *numbers, clock, measure)
    return column(network_view(session), first, row(words, saving, undo, redo, reset), gap=6)


def saving_html(plan: Plan | None) -> str:
    """Return what the whole network saves by a plan."""
    if plan is None:
        return ""
    parts = ((plan.macs_ratio, "less work"), (plan.weights_ratio, "smaller"))
    numbers = ", ".join(f"<b>{times(ratio)}</b> {word}" for ratio, word in parts)
    return f"<div class='wb-saving'>Whole network: {numbers}</div>"


def explanation(session: Session) -> str:
    """Return HTML: the planner that is chosen, in a sentence or two."""
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
