"""The step *Compress and recover*: buttons, settings, progress, the stages side by side, and a live curve."""

from html import escape

import ipywidgets as w

from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.plan.model import PlanModel
from workbench.app.steps.recover.model import RecoverModel
from workbench.app.steps.recover.training import (
    LEARN_FROM,
    MAX_EPOCHS,
    MAX_LEARNING_RATE,
    SCHEDULES,
    TrainingSettings,
)
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.glossary import term
from workbench.app.widgets.job_row import JobRow
from workbench.app.widgets.numbers import NumberBox, WholeBox
from workbench.app.worker import JobKind, Worker
from workbench.plot.interactive.curves import training_curve
from workbench.plot.interactive.tradeoff import stages as stages_figure
from workbench.runs.compress import MAX_DROP
from workbench.runs.run import StageName


def view(recover: RecoverModel, choose: ChooseModel, plan: PlanModel, worker: Worker) -> w.Widget:
    """Return buttons and settings above the stages of the run that is worked on, and the curve."""
    compress = _button("Compress", "Replace every planned layer by its factors")
    calibrate = _button("Calibrate", "Refit every layer to what the original's gives on some images; no labels")
    tune = _button("Fine-tune", "Train the compressed network for a few epochs")
    scratch = w.Button(
        description="From scratch",
        tooltip="Train the same small network from random numbers instead: what decomposing is worth",
        layout={"width": "118px"},
    )
    epochs = WholeBox("epochs", 10, 1, MAX_EPOCHS, width=118, label=54)
    rate = NumberBox("learning rate", 1e-3, 1e-7, MAX_LEARNING_RATE, width=172, label=86, step=1e-3)
    schedule = _dropdown("schedule", SCHEDULES, 346, 60)
    learn_from = _dropdown("learn from", LEARN_FROM, 330, 70)
    advice = w.HTML()
    stages, curve = FigureView("Stages"), FigureView("Fine-tuning")
    boxes = {"epochs": epochs, "learning_rate": rate, "schedule": schedule, "learn_from": learn_from}

    def enable(_: object = None) -> None:
        busy = recover.busy
        if busy:
            epochs.clear_words()
            rate.clear_words()
        compress.disabled = busy or plan.plan is None
        ready, trainable = not busy and recover.run is not None, not choose.untrainable
        calibrate.disabled = not (ready and choose.calibratable)
        unlabelled = learn_from.value == "original"
        tune.disabled = not (ready and (choose.calibratable if unlabelled else trainable))
        scratch.disabled = not (ready and trainable) or unlabelled
        rate.disabled = schedule.disabled = busy or unlabelled  # distillation has its own
        words = advice_text(recover, choose, plan)
        advice.value = f"<div class='wb-soft' style='min-height:38px'>{words}</div>"

    def draw_curve(_: object = None) -> None:
        run = recover.run
        before = None
        if recover.curve and run is not None and not worker.busy(JobKind.FROM_SCRATCH):
            own = [s for s in run.stages if s.name not in (StageName.ORIGINAL, StageName.FROM_SCRATCH)]
            done = own[:-1] if len(own) > 1 and not recover.training else own
            before = done[-1].score if done else None
        curve.show(training_curve(recover.curve, before))

    def draw_stages(_: object = None) -> None:
        dense = plan.plan.dense if plan.plan else None
        random = choose.network is not None and choose.network.random_weights
        stages.show(stages_figure(recover.run, choose.original, dense=dense, random_weights=random))

    def training() -> TrainingSettings:
        return TrainingSettings(epochs.value, rate.value, schedule.value, learn_from.value)

    def follow(_: object = None) -> None:
        """Show the settings of a training that an earlier session began."""
        for name, box in boxes.items():
            if name in recover.training and box.value != recover.training[name]:
                box.value = recover.training[name]

    compress.on_click(lambda _: recover.decompose())
    calibrate.on_click(lambda _: recover.calibrate())
    tune.on_click(lambda _: recover.finetune(training()))
    scratch.on_click(lambda _: recover.from_scratch(training()))
    learn_from.observe(enable, "value")
    plan.observe(enable, ["plan"])
    choose.observe(enable, ["opened"])
    choose.observe(draw_stages, ["opened"])
    recover.observe(enable, ["run"])
    recover.observe(draw_stages, ["run"])
    recover.observe(draw_curve, ["curve", "training"])
    recover.observe(follow, ["training"])
    worker.observe(enable, ["jobs"])
    draw_curve()
    draw_stages()
    enable()
    row = {"grid_gap": "8px", "flex_flow": "row wrap", "align_items": "center"}
    kinds = (JobKind.DECOMPOSE, JobKind.CALIBRATE, JobKind.TRAIN, JobKind.FROM_SCRATCH)
    buttons = w.HBox([compress, calibrate, tune, scratch], layout=row)
    settings = w.HBox([learn_from, epochs, rate, schedule, epochs.words, rate.words], layout=row)
    progress = JobRow(worker, *kinds, idle="Ready")
    return w.VBox([buttons, settings, advice, progress, stages, curve], layout={"grid_gap": "4px"})


def advice_text(recover: RecoverModel, choose: ChooseModel, planning: PlanModel) -> str:
    """Return HTML: what to do next, in a sentence or two."""
    plan, run = planning.plan, recover.run
    if plan is None:
        return "The network is being opened."
    if recover.busy:
        return "The network is being worked on; you can go on looking and planning."
    if run is None and plan.saves_nothing:
        return "<b>This plan saves nothing yet.</b> Take a budget of work in step 3, or other layers."
    if run is None:
        return (
            "<b>Next: Compress.</b> Every planned layer is replaced by its small factors. "
            f"Accuracy falls at first; {term('calibrate', 'calibration')} and {term('fine-tune', 'fine-tuning')} "
            "bring it back."
        )
    if not recover.as_planned:
        return "<b>The plan has changed</b> since the last compression. <b>Compress</b> again to see what it gives."
    if choose.untrainable and not choose.calibratable:
        return f"<b>Recovery needs training images</b> that fit the network: {escape(choose.untrainable)}"
    lost, last = run.lost(), run.last
    assert last is not None
    if last.name == StageName.DECOMPOSED and lost is not None and lost <= 0:
        return "<b>Nothing is lost.</b> Go on to what comes next, or plan to save more."
    if last.name == StageName.DECOMPOSED:
        return (
            f"<b>Next: Calibrate</b>, which takes seconds and no labels, then <b>Fine-tune</b> for a few "
            f"{term('epoch', 'epochs')}. The paper's {term('learning rate')} is 0.001, divided by 10 every 5 epochs."
        )
    if last.name == StageName.CALIBRATED and lost is not None and lost <= MAX_DROP:
        return (
            "<b>Little is lost.</b> Go on to what comes next, or <b>Fine-tune</b> for a few "
            f"{term('epoch', 'epochs')} to see whether more comes back."
        )
    if last.name == StageName.CALIBRATED:
        return f"<b>Next: Fine-tune</b> for a few {term('epoch', 'epochs')}; from here a few are enough."
    return (
        "Change ranks above and <b>Compress</b> again for another point, <b>Fine-tune</b> on, or train the same "
        f"network {term('from scratch')} to see what decomposing was worth."
    )


def _button(text: str, tooltip: str) -> w.Button:
    return w.Button(description=text, tooltip=tooltip, button_style="primary", layout={"width": "108px"})


def _dropdown(text: str, options: dict[str, str], width: int, label: int) -> w.Dropdown:
    return w.Dropdown(
        options=[(words, name) for name, words in options.items()],
        description=text,
        style={"description_width": f"{label}px"},
        layout={"width": f"{width}px"},
    )
