"""Compress, calibrate, fine-tune: buttons, settings, progress, the stages side by side, and a live curve."""

from html import escape

import ipywidgets as w

from workbench.app.progress_of_steps import points_lost, saves_nothing
from workbench.app.state import State
from workbench.app.steps.recover.model import LESSONS, SCHEDULES, Training
from workbench.app.tasks import ENOUGH
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.glossary import term
from workbench.app.widgets.numbers import NumberBox, WholeBox
from workbench.app.widgets.progress import progress_bar
from workbench.plot.interactive.base import curve_figure, fill_curve
from workbench.plot.interactive.tradeoff import fill_stages, stages_figure

TITLES = ("Compressing", "Calibrating", "Fine-tuning", "Training from scratch")


def recover_panel(state: State) -> w.Widget:
    """Buttons and settings above the stages of the newest run and the live curve."""
    compress = _button("Compress", "Replace every planned layer by its factors")
    calibrate = _button("Calibrate", "Refit every layer to what the original's gives on some images; no labels")
    tune = _button("Fine-tune", "Train the compressed network for a few epochs")
    scratch = w.Button(
        description="From scratch",
        tooltip="Train the same small network from random numbers instead: what decomposing is worth",
        layout={"width": "118px"},
    )
    epochs = WholeBox("epochs", 10, 1, 500, width=118, label=54)
    rate = NumberBox("learning rate", 1e-3, 1e-7, 0.5, width=172, label=86, step=1e-3)
    schedule = w.Dropdown(
        options=[(text, name) for name, text in SCHEDULES.items()],
        description="schedule",
        style={"description_width": "60px"},
    )
    lesson = w.Dropdown(
        options=[(text, name) for name, text in LESSONS.items()],
        description="learn from",
        style={"description_width": "70px"},
    )
    for box, width in ((schedule, 346), (lesson, 330)):
        box.layout.width = f"{width}px"
    advice = w.HTML()
    stages, figure = FigureView(stages_figure(), "Stages"), FigureView(curve_figure(), "Fine-tuning")

    def refresh(_: object = None) -> None:
        busy = state.job.running
        if busy:
            epochs.settle()
            rate.settle()
        compress.disabled = busy or state.plan is None
        ready = not busy and state.smaller is not None
        calibrate.disabled = not (ready and state.calibratable)
        unlabelled = lesson.value == "original"
        tune.disabled = not (ready and (state.calibratable if unlabelled else state.trainable))
        scratch.disabled = not (ready and state.trainable) or unlabelled
        rate.disabled = schedule.disabled = busy or unlabelled  # distillation has its own
        advice.value = f"<div class='wb-soft' style='min-height:38px'>{advice_text(state)}</div>"

    def draw(_: object = None) -> None:
        start = state.latest
        before = None
        if state.curve and start is not None and "scratch" not in state.job.title:
            earlier = [r for r in state.results if r.number == start.number]
            before = (earlier[-2] if len(earlier) > 1 and not state.job.running else start).score
        figure.show(fill_curve, state.curve, before)

    def compare(_: object = None) -> None:
        stages.show(fill_stages, state.results, state.latest.number if state.latest else None)

    def training() -> Training:
        return Training(epochs.value, rate.value, schedule.value, lesson.value)

    def follow(_: object = None) -> None:
        """The boxes say what is being trained with, also where an earlier session's training goes on."""
        boxes = {"epochs": epochs, "learning_rate": rate, "schedule": schedule, "learn_from": lesson}
        for name, box in boxes.items():
            if name in state.training and box.value != state.training[name]:
                box.value = state.training[name]

    compress.on_click(lambda _: state.compress())
    calibrate.on_click(lambda _: state.calibrate())
    tune.on_click(lambda _: state.finetune(training()))
    scratch.on_click(lambda _: state.from_scratch(training()))
    lesson.observe(refresh, "value")
    state.observe(refresh, ["plan", "smaller", "results", "data", "misfit"])
    state.observe(draw, ["curve"])
    state.observe(follow, ["training"])
    state.observe(compare, ["results"])
    state.job.observe(refresh, ["running"])
    draw()
    compare()
    refresh()
    row = {"grid_gap": "8px", "flex_flow": "row wrap", "align_items": "center"}
    buttons = w.HBox([compress, calibrate, tune, scratch], layout=row)
    settings = w.HBox([lesson, epochs, rate, schedule, epochs.words, rate.words], layout=row)
    return w.VBox([buttons, settings, advice, progress_bar(state, *TITLES), stages, figure], layout={"grid_gap": "4px"})


def advice_text(state: State) -> str:
    """What to do next, in a sentence or two."""
    if state.plan is None:
        return "The network is being opened."
    if state.job.running:
        return "The network is being worked on; you can go on looking and planning."
    if state.latest is None and saves_nothing(state.plan):
        return "<b>This plan saves nothing yet.</b> Take a budget of work in step 3, or other layers."
    if state.latest is None:
        return (
            "<b>Next: Compress.</b> Every planned layer is replaced by its small factors. "
            f"Accuracy falls at first; {term('calibrate', 'calibration')} and {term('fine-tune', 'fine-tuning')} "
            "bring it back."
        )
    if not state.compressed_as_planned:
        return "<b>The plan has changed</b> since the last compression. <b>Compress</b> again to see what it gives."
    if not state.trainable and not state.calibratable:
        return f"<b>Recovery needs training images</b> that fit the network: {escape(state.untrainable)}"
    if state.latest.stage == "decomposed" and points_lost(state) <= 0 and state.latest.score is not None:
        return "<b>Nothing is lost.</b> Go on to what comes next, or plan to save more."
    if state.latest.stage == "decomposed":
        return (
            f"<b>Next: Calibrate</b>, which takes seconds and no labels, then <b>Fine-tune</b> for a few "
            f"{term('epoch', 'epochs')}. The paper's {term('learning rate')} is 0.001, divided by 10 every 5 epochs."
        )
    if state.latest.stage == "calibrated" and points_lost(state) <= ENOUGH:
        return (
            "<b>Little is lost.</b> Go on to what comes next, or <b>Fine-tune</b> for a few "
            f"{term('epoch', 'epochs')} to see whether more comes back."
        )
    if state.latest.stage == "calibrated":
        return f"<b>Next: Fine-tune</b> for a few {term('epoch', 'epochs')}; from here a few are enough."
    return (
        "Change ranks above and <b>Compress</b> again for another point, <b>Fine-tune</b> on, or train the same "
        f"network {term('from scratch')} to see what decomposing was worth."
    )


def _button(text: str, tooltip: str) -> w.Button:
    return w.Button(description=text, tooltip=tooltip, button_style="primary", layout={"width": "108px"})
