"""The step *Plan*: settings of the planner for the whole network."""

from html import escape
from typing import Any

import ipywidgets as w

from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.plan.model import PlanModel
from workbench.app.steps.plan.settings import PLANNERS
from workbench.app.widgets.glossary import term
from workbench.app.widgets.job_row import JobRow
from workbench.app.worker import JobKind, Worker
from workbench.plan.evbmf import CHOICES

LAYER_CHOICES = tuple((text.removeprefix("EVBMF, "), choice) for choice, text in CHOICES.items())
MULTIPLES = (("any", 1), ("multiples of 8", 8), ("multiples of 16", 16))
EXPLANATIONS = {
    "evbmf": "EVBMF finds in each layer how many directions stand out from the noise, and keeps those.",
    "budget": "You choose how much work to save, and how many weights if you like; the ranks are shared out over the "
    "layers so that the least is lost.",
    "time": "You choose how much faster the network is to be here; ranks go by each layer's measured time, and a layer "
    "that would not be faster stays as it is.",
}
MEASURE_HINT = "Compress one layer at a time and see how the answers change: budgets then spare the layers that matter"
TIME_HINT = "Measure how long every layer takes at several ranks, then time the whole planned network"


def view(plan: PlanModel, choose: ChooseModel, worker: Worker) -> w.Widget:
    """Return settings, a sentence on the planner, and buttons that measure what it goes by."""
    sliders: dict[str, dict[str, Any]] = {
        "strength": {"text": "EVBMF strength", "min": 0.3, "max": 2.0, "width": 420},
        "macs_ratio": {"text": "fewer MACs, times", "min": 1.1, "max": 10.0, "width": 370},
        "time_ratio": {"text": "times as fast", "min": 1.05, "max": 6.0, "width": 370},
        "weights_ratio": {"text": "fewer weights, times", "min": 1.0, "max": 10.0, "width": 370},
    }
    fields: dict[str, Any] = {
        "planner": _box(w.Dropdown, "Ranks by", 340, options=[(text, name) for name, text in PLANNERS.items()]),
        "layers": _box(w.Dropdown, "Layers", 290, options=LAYER_CHOICES),
        "rank_multiple": _box(w.Dropdown, "Ranks", 200, options=MULTIPLES),
    }
    for name, how in sliders.items():
        fields[name] = _box(
            w.FloatSlider, how["text"], how["width"], min=how["min"], max=how["max"], step=0.05, readout_format=".2f"
        )
    fields["weights_ratio"].style.description_width = "146px"
    reset = w.Button(description="Reset plan", tooltip="Undo all edits by hand: every layer as the planner says")
    measure, clock = w.Button(description="Measure layers"), w.Button(description="Time layers")
    words, notice = w.HTML(), w.HTML()
    shown = {
        "strength": ("evbmf",),
        "macs_ratio": ("budget",),
        "weights_ratio": ("budget",),
        "time_ratio": ("time",),
        "rank_multiple": ("budget", "time"),
    }
    filling = False

    def fill(_: object = None) -> None:
        nonlocal filling
        filling = True
        try:
            for name, box in fields.items():
                if box.value != getattr(plan.settings, name):
                    box.value = getattr(plan.settings, name)
        finally:
            filling = False
        planner = plan.settings.planner
        for name, planners in shown.items():
            fields[name].layout.display = "" if planner in planners else "none"
        clock.layout.display = "" if planner == "time" else "none"
        measure.layout.display = "none" if planner == "evbmf" else ""
        words.value = f"<div class='wb-soft'>{explanation(plan)}</div>"
        notice.value = f"<div class='wb-notice'>{escape(plan.notice)}</div>"

    def enable(_: object = None) -> None:
        clock.disabled = worker.busy(JobKind.LAYER_TIMES) or plan.plan is None
        known = plan.importance is not None
        measure.disabled = worker.busy(JobKind.IMPORTANCE) or plan.plan is None or not choose.calibratable or known
        clock.tooltip = TIME_HINT
        measure.tooltip = "It is known how the answers change: the budget goes by that" if known else MEASURE_HINT

    def changed(name: str, value: Any) -> None:
        if not filling:
            plan.replan(**{name: value})

    for name, box in fields.items():
        box.observe(lambda change, name=name: changed(name, change["new"]), "value")
    reset.on_click(lambda _: plan.reset())
    measure.on_click(lambda _: plan.measure_importance())
    clock.on_click(lambda _: plan.time_layers())
    plan.observe(fill, ["settings", "importance", "times", "plan", "notice"])
    plan.observe(enable, ["importance", "plan"])
    choose.observe(enable, ["opened"])
    worker.observe(enable, ["jobs"])
    fill()
    enable()
    progress = JobRow(worker, JobKind.IMPORTANCE, JobKind.LAYER_TIMES)
    progress.layout.flex, progress.layout.min_width = "1 1 200px", "430px"
    row = {"flex_flow": "row wrap", "grid_gap": "8px", "align_items": "center"}
    numbers = [fields[n] for n in ("strength", "macs_ratio", "weights_ratio", "time_ratio", "rank_multiple")]
    return w.VBox(
        [
            w.HBox([fields["planner"], fields["layers"], reset], layout=row),
            w.HBox([*numbers, clock, measure, progress], layout=row),
            words,
            notice,
        ],
        layout={"grid_gap": "4px"},
    )


def explanation(plan: PlanModel) -> str:
    """Return HTML: the planner that is chosen, in a sentence or two."""
    settings = plan.settings
    text = escape(EXPLANATIONS[settings.planner]).replace("EVBMF", term("EVBMF"), 1)
    if settings.planner == "evbmf":
        if settings.strength != 1:
            how = "harder" if settings.strength > 1 else "more gently"
            text += f" At strength {settings.strength:.2f} it cuts {how} than the paper."
        return text
    if settings.planner == "time":
        if plan.times is None:
            return f"{text} <b>Time layers</b> first: it takes a minute for a large network, and the times are kept."
        if plan.plan is not None:
            before, after = 1e3 * plan.times.dense, 1e3 * plan.times.of(plan.plan)
            text += (
                f" Predicted by the layers' times: {before:.3g} ms before, <b>{after:.3g} ms</b> with this plan "
                f"({escape(plan.times.where)}). <b>Time layers</b> again verifies a plan by timing the whole network."
            )
    if plan.importance is not None:
        return f"{text} What is lost is measured in the network's answers on {plan.importance.images} images."
    return f"{text} What is lost is judged by the weights; <b>Measure layers</b> goes by the network's answers instead."


def _box(kind: Any, text: str, width: int, **more: Any) -> Any:
    box = kind(description=text, layout={"width": f"{width}px"}, **more)
    box.style.description_width = "132px" if kind is w.FloatSlider else "62px"
    return box
