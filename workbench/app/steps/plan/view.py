"""The plan of the whole network: EVBMF or a budget, which layers, and how hard."""

from html import escape
from typing import Any

import ipywidgets as w

from workbench.app.state import State
from workbench.app.steps.plan.model import EXPLAINED, PLANNERS
from workbench.app.widgets.glossary import term
from workbench.app.widgets.progress import progress_bar
from workbench.plan.evbmf import CHOICES

POLICIES = tuple((text.removeprefix("EVBMF, "), choice) for choice, text in CHOICES.items())
MULTIPLES = (("any", 1), ("multiples of 8", 8), ("multiples of 16", 16))

SENSE = "Compress each layer alone and see how the answers change: budgets then spare the layers that matter"
CLOCK = "Measure here how long every layer takes as it is and at several ranks; kept for the next time"


def planner_panel(state: State) -> w.Widget:
    """Settings of the planner, a sentence about each way, and a button that measures which layers matter."""
    settings = state.planning
    planner = _box(w.Dropdown, "Ranks by", 340, options=[(text, name) for name, text in PLANNERS.items()])
    layers = _box(w.Dropdown, "Layers", 290, options=POLICIES)
    strength = _box(w.FloatSlider, "EVBMF strength", 420, min=0.3, max=2.0, step=0.05, readout_format=".2f")
    budget = _box(w.FloatSlider, "fewer MACs, times", 370, min=1.1, max=10.0, step=0.05, readout_format=".2f")
    faster = _box(w.FloatSlider, "times as fast", 370, min=1.05, max=6.0, step=0.05, readout_format=".2f")
    small = _box(w.FloatSlider, "fewer weights, times", 370, min=1.0, max=10.0, step=0.05, readout_format=".2f")
    small.style.description_width = "146px"
    multiple = _box(w.Dropdown, "Ranks", 200, options=MULTIPLES)
    reset = w.Button(description="Reset plan", tooltip="Undo all edits by hand: every layer as the planner says")
    sense, clock = w.Button(description="Measure layers"), w.Button(description="Time layers")
    fields = {
        "planner": planner,
        "layers": layers,
        "strength": strength,
        "macs_ratio": budget,
        "time_ratio": faster,
        "weights_ratio": small,
        "rank_multiple": multiple,
    }
    for name, box in fields.items():
        box.value = getattr(settings, name)
    words, notice = w.HTML(), w.HTML()
    filling = False

    def fill(_: object = None) -> None:
        nonlocal filling
        filling = True
        try:
            for name, box in fields.items():
                if box.value != getattr(state.planning, name):
                    box.value = getattr(state.planning, name)
        finally:
            filling = False
        way = state.planning.planner
        shown = {strength: "evbmf", budget: "budget", small: "budget", faster: "time", clock: "time"}
        for box, which in shown.items():
            box.layout.display = "" if way == which else "none"
        for box in (multiple, sense):
            box.layout.display = "none" if way == "evbmf" else ""
        clock.disabled = state.job.running or state.plan is None or state.times is not None
        sense.disabled = state.job.running or state.plan is None or not state.calibratable or state.measured is not None
        known = "The layers' times are known, and kept for this machine: the budget goes by them"
        clock.tooltip = known if state.times is not None else CLOCK
        known = "It is known how the answers change: the budget goes by that"
        sense.tooltip = known if state.measured is not None else SENSE
        words.value = f"<div class='wb-soft'>{explained(state)}</div>"
        notice.value = f"<div class='wb-notice'>{escape(state.notice)}</div>"

    def changed(name: str, value: Any) -> None:
        if filling:
            return
        more: dict[str, Any] = {}
        if name == "planner":
            more["layers"] = "default" if value == "evbmf" else "all"
            if value == "time":
                more["rank_multiple"] = 8  # odd ranks are slow on most machines
        state.replan(**{name: value}, **more)

    for name, box in fields.items():
        box.observe(lambda change, name=name: changed(name, change["new"]), "value")
    reset.on_click(lambda _: state.reset_plan())
    sense.on_click(lambda _: state.measure_layers())
    clock.on_click(lambda _: state.time_layers())
    state.observe(fill, ["planning", "measured", "times", "plan", "notice", "data"])
    state.job.observe(fill, ["running"])
    fill()
    progress = progress_bar(state, "Measuring", "Timing", idle="")
    progress.layout.flex, progress.layout.min_width = "1 1 200px", "430px"
    row = {"flex_flow": "row wrap", "grid_gap": "8px", "align_items": "center"}
    return w.VBox(
        [
            w.HBox([planner, layers, reset], layout=row),
            w.HBox([strength, budget, small, faster, multiple, clock, sense, progress], layout=row),
            words,
            notice,
        ],
        layout={"grid_gap": "4px"},
    )


def explained(state: State) -> str:
    """HTML: the way that is chosen, in a sentence or two."""
    planning = state.planning
    text = escape(EXPLAINED[planning.planner]).replace("EVBMF", term("EVBMF"), 1)
    if planning.planner == "evbmf":
        if planning.strength != 1:
            how = "harder" if planning.strength > 1 else "more gently"
            text += f" At strength {planning.strength:.2f} it cuts {how} than the paper."
        return text
    if planning.planner == "time":
        if state.times is None:
            return f"{text} <b>Time layers</b> first: it takes a minute for a large network, and is kept."
        if state.plan is not None:
            before, after = 1e3 * state.times.dense, 1e3 * state.times.of(state.plan)
            text += (
                f" Predicted: {before:.3g} ms before, <b>{after:.3g} ms</b> with this plan "
                f"({escape(state.times.where)})."
            )
    if state.measured is not None:
        return f"{text} What is lost is measured in the network's answers on {state.measured.images} images."
    return f"{text} What is lost is judged by the weights; <b>Measure layers</b> goes by the network's answers instead."


def _box(kind: Any, text: str, width: int, **more: Any) -> Any:
    box = kind(description=text, layout={"width": f"{width}px"}, **more)
    box.style.description_width = "132px" if kind is w.FloatSlider else "62px"
    return box
