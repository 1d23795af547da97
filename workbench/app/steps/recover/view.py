"""The step *Compress and recover*: buttons, settings, progress, the stages side by side, and a live curve."""

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as w

from workbench.app.controls import button, column, follow, row, slot
from workbench.app.session import Session
from workbench.app.steps.recover.snapshot import (
    LEARN_FROM,
    MAX_EPOCHS,
    MAX_LEARNING_RATE,
    SCHEDULES,
)
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.glossary import term
from workbench.app.widgets.job_row import JobRow
from workbench.app.widgets.numbers import NumberBox, WholeBox
from workbench.app.worker import JobKind
from workbench.network.verdict import Finding
from workbench.plot.interactive.curves import training_curve
from workbench.plot.interactive.tradeoff import stages as stages_figure
from workbench.runs.run import StageName
from workbench.runs.scoring import judgement


def recover_view(session: Session) -> w.Widget:
    """Return buttons and settings above the stages of the run that is worked on, and the curve."""
    recover, choose, plan, worker = session.recover, session.choose, session.plan, session.worker
    boxes: dict[str, Any] = {
        "learn_from": slot(w.Dropdown, "learn from", 330, 70, options=_options(LEARN_FROM)),
        "epochs": WholeBox("epochs", 10, 1, MAX_EPOCHS, width=118, label=54),
        "learning_rate": NumberBox("learning rate", 1e-3, 1e-7, MAX_LEARNING_RATE, width=172, label=86, step=1e-3),
        "schedule": slot(w.Dropdown, "schedule", 346, 60, options=_options(SCHEDULES)),
    }
    learn_from, epochs, rate, schedule = boxes.values()

    def settings() -> dict[str, Any]:
        return {name: box.value for name, box in boxes.items()}

    def primary(text: str, act: Callable[[], object], tooltip: str) -> w.Button:
        return button(text, act, tooltip, width="108px", primary=True)

    compress = primary("Compress", recover.decompose, "Replace every planned layer by its factors")
    calibrate = primary(
        "Calibrate", recover.calibrate, "Refit every layer to what the original's gives on some images; no labels"
    )
    tune = primary("Fine-tune", lambda: recover.finetune(**settings()), "Train the compressed network for a few epochs")
    scratch = button(
        "From scratch",
        lambda: recover.from_scratch(**settings()),
        "Train the same small network from random numbers instead: what decomposing is worth",
        width="118px",
    )
    advice, stages, curve = w.HTML(), FigureView("Stages"), FigureView("Fine-tuning")

    def enable() -> None:
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
        words = advice_text(session)
        advice.value = f"<div class='wb-soft' style='min-height:38px'>{words}</div>"

    def draw_curve() -> None:
        run = recover.run
        before = None
        if recover.curve and run is not None and not worker.busy(JobKind.FROM_SCRATCH):
            own = [s for s in run.stages if s.name not in (StageName.ORIGINAL, StageName.FROM_SCRATCH)]
            done = own[:-1] if len(own) > 1 and not recover.training else own
            before = done[-1].score if done else None
        curve.show(training_curve(recover.curve, before))

    def draw_stages() -> None:
        dense = plan.plan.dense if plan.plan else None
        random = choose.network is not None and choose.network.random_weights
        stages.show(stages_figure(recover.run, choose.original, dense=dense, random_weights=random))

    def show_training() -> None:
        """Show the settings of a training that an earlier session began."""
        for name, box in boxes.items():
            box.value = recover.training.get(name, box.value)

    follow(enable, (learn_from, "value"), (plan, "plan"), (choose, "opened"), (recover, "run"), (worker, "jobs"))
    follow(draw_stages, (choose, "opened"), (recover, "run"))
    follow(draw_curve, (recover, "curve training"))
    follow(show_training, (recover, "training"))
    progress = JobRow(worker, JobKind.DECOMPOSE, JobKind.CALIBRATE, JobKind.TRAIN, JobKind.FROM_SCRATCH, idle="Ready")
    buttons, numbers = row(compress, calibrate, tune, scratch), row(*boxes.values(), epochs.words, rate.words)
    return column(buttons, numbers, advice, progress, stages, curve, gap=4)


def advice_text(session: Session) -> str:
    """Return HTML: what to do next, in a sentence or two."""
    recover, choose = session.recover, session.choose
    plan, run = session.plan.plan, recover.run
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
    verdict, last = run.verdict(), run.last
    assert last is not None
    found = escape(judgement(run))
    found = f"{found[0].upper()}{found[1:]}."
    if last.name == StageName.DECOMPOSED and verdict is not None and verdict.finding is Finding.NO_LOSS:
        return f"<b>{found}</b> Go on to what comes next, or plan to save more."
    if last.name == StageName.DECOMPOSED:
        return (
            f"<b>Next: Calibrate</b>, which takes seconds and no labels, then <b>Fine-tune</b> for a few "
            f"{term('epoch', 'epochs')}. The paper's {term('learning rate')} is 0.001, divided by 10 every 5 epochs."
        )
    if last.name == StageName.CALIBRATED and verdict is not None and verdict.finding is not Finding.LOSS:
        return (
            f"<b>{found}</b> Go on to what comes next, or <b>Fine-tune</b> for a few "
            f"{term('epoch', 'epochs')} to see whether more comes back."
        )
    if last.name == StageName.CALIBRATED:
        return f"{found} <b>Next: Fine-tune</b> for a few {term('epoch', 'epochs')}; from here a few are enough."
    return (
        f"<b>{found}</b> Change ranks above and <b>Compress</b> again for another point, <b>Fine-tune</b> on, or train "
        f"the same network {term('from scratch')} to see what decomposing was worth."
    )


def _options(names: dict[str, str]) -> list[tuple[str, str]]:
    return [(words, name) for name, words in names.items()]
