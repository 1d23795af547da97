"""The step *Plan*: settings of the planner for the whole network."""

from html import escape
from typing import Any

import ipywidgets as w

from workbench.app.controls import UserChanges, button, column, follow, row, slot
from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.plan.model import PlanModel
from workbench.app.steps.plan.settings import NUMBERS, PLANNERS
from workbench.app.widgets.glossary import term
from workbench.app.widgets.job_row import JobRow
from workbench.app.worker import JobKind, Worker
from workbench.plan.evbmf import CHOICES

LAYER_CHOICES = tuple((text.removeprefix("EVBMF, "), choice) for choice, text in CHOICES.items())
MULTIPLES = (("any", 1), ("multiples of 8", 8), ("multiples of 16", 16))
MEASURE_HINT = "Compress one layer at a time and see how the answers change: budgets then spare the layers that matter"
TIME_HINT = "Measure how long every layer takes at several ranks, then time the whole planned network"


def view(plan: PlanModel, choose: ChooseModel, worker: Worker) -> w.Widget:
    """Return settings, a sentence on the planner, and buttons that measure what it goes by."""
    planners = [(planner.name, name) for name, planner in PLANNERS.items()]
    fields: dict[str, Any] = {
        "planner": slot(w.Dropdown, "Ranks by", 340, 62, options=planners),
        "layers": slot(w.Dropdown, "Layers", 290, 62, options=LAYER_CHOICES),
    }
    for name, number in NUMBERS.items():
        limits = {"min": number.least, "max": number.most, "step": 0.05, "readout_format": ".2f"}
        fields[name] = slot(w.FloatSlider, number.text, 390, number.label, **limits)
    fields["rank_multiple"] = slot(w.Dropdown, "Ranks", 200, 62, options=MULTIPLES)
    reset = button("Reset plan", plan.reset, "Undo all edits by hand: every layer as the planner says")
    measure, clock = button("Measure layers", plan.measure_importance), button("Time layers", plan.time_layers)
    clock.tooltip = TIME_HINT
    words, notice, user = w.HTML(), w.HTML(), UserChanges()

    def fill() -> None:
        with user.filling():
            for name, box in fields.items():
                box.value = plan.settings.planner if name == "planner" else plan.settings[name]
        planner = PLANNERS[plan.settings.planner]
        shown = {name: name in planner.numbers for name in NUMBERS}
        shown["rank_multiple"] = planner.rank_multiple is not None
        for box, is_shown in (
            *((fields[name], is_shown) for name, is_shown in shown.items()),
            (clock, planner.uses_times),
            (measure, planner.uses_importance),
        ):
            box.layout.display = "" if is_shown else "none"
        words.value = f"<div class='wb-soft'>{explanation(plan)}</div>"
        notice.value = f"<div class='wb-notice'>{escape(plan.notice)}</div>"

    def enable() -> None:
        known = plan.importance is not None
        clock.disabled = worker.busy(JobKind.LAYER_TIMES) or plan.plan is None
        measure.disabled = worker.busy(JobKind.IMPORTANCE) or plan.plan is None or not choose.calibratable or known
        measure.tooltip = "It is known how the answers change: the budget goes by that" if known else MEASURE_HINT

    for name, box in fields.items():
        user.observe(box, lambda name, value: plan.replan(**{name: value}), name)
    follow(fill, (plan, "settings importance times plan notice"))
    follow(enable, (plan, "importance plan"), (choose, "opened"), (worker, "jobs"))
    progress = JobRow(worker, JobKind.IMPORTANCE, JobKind.LAYER_TIMES)
    progress.layout.flex, progress.layout.min_width = "1 1 200px", "430px"
    planner, layers, *numbers = fields.values()
    return column(row(planner, layers, reset), row(*numbers, clock, measure, progress), words, notice, gap=4)


def explanation(plan: PlanModel) -> str:
    """Return HTML: the planner that is chosen, in a sentence or two."""
    settings, planner = plan.settings, PLANNERS[plan.settings.planner]
    text = escape(planner.explanation).replace("EVBMF", term("EVBMF"), 1)
    if "strength" in planner.numbers and settings["strength"] != 1:
        how = "harder" if settings["strength"] > 1 else "more gently"
        text += f" At strength {settings['strength']:.2f} it cuts {how} than the paper."
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
        return f"{text} What is lost is measured in the network's answers on {plan.importance.images} images."
    return f"{text} What is lost is judged by the weights; <b>Measure layers</b> goes by the network's answers instead."
