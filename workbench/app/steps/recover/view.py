"""The step *Compress and recover*: buttons, settings, progress, the stages side by side, and a live curve."""

from html import escape
from typing import Any

import ipywidgets as w

from workbench.app.controls import beside, button, column, expert, follow, limited, row, slot
from workbench.app.session import Session
from workbench.app.steps.recover.settings import LEARN_FROM, MAX_EPOCHS, RATES, SCHEDULES
from workbench.app.widgets.figure_view import FigureView
from workbench.app.worker import COMPRESSING
from workbench.network.verdict import Finding
from workbench.plot.interactive.scores import stages as stages_figure
from workbench.plot.interactive.scores import training_curve
from workbench.runs.run import StageName
from workbench.runs.scoring import judgement

Status = tuple[str, str]  # of a step: "done", "open", or "missing" if an earlier step must come first; and a sentence
SAVES_NOTHING = "This plan saves nothing yet: take a budget of work, or other layers."


def recover_view(session: Session) -> w.Widget:
    """Return the actions and settings of recovery with the training curve, beside the stages of the current run."""
    recover, choose, plan, worker = session.recover, session.choose, session.plan, session.worker
    boxes: dict[str, Any] = {
        "learn_from": slot(w.Dropdown, "learn from", 330, 70, options=LEARN_FROM),
        "epochs": limited(w.IntText, "epochs", (1, MAX_EPOCHS), 118, 54, value=10),
        "learning_rate": expert(limited(w.FloatText, "learning rate", RATES, 172, 86, value=1e-3, step=1e-3)),
        "schedule": expert(slot(w.Dropdown, "schedule", 346, 60, options=SCHEDULES)),
    }
    learn_from, _, rate, schedule = boxes.values()

    def settings() -> dict[str, Any]:
        return {name: box.value for name, box in boxes.items()}

    actions = (
        ("Compress", recover.decompose, "Replace every planned layer by its factors"),
        ("Calibrate", recover.calibrate, "Refit every layer to the original's outputs on some images; no labels"),
        ("Fine-tune", lambda: recover.finetune(**settings()), "Train the compressed network for a few epochs"),
        ("From scratch", lambda: recover.from_scratch(**settings()), "Train it from random numbers instead"),
    )
    buttons = [button(*action, width="112px", primary=action[0] != "From scratch") for action in actions]
    compress, calibrate, tune, scratch = buttons
    expert(scratch)
    advice, tries, stages = w.HTML(), w.HTML(), FigureView("Stages", height=380)
    curve = FigureView("Fine-tuning", height=226)

    def enable() -> None:
        busy = recover.busy
        compress.disabled = busy or plan.plan is None
        ready, trainable = not busy and recover.run is not None, not choose.why_untrainable
        calibrate.disabled = not (ready and choose.calibratable)
        unlabelled = learn_from.value == "original"
        tune.disabled = not (ready and (choose.calibratable if unlabelled else trainable))
        scratch.disabled = not (ready and trainable) or unlabelled
        rate.disabled = schedule.disabled = busy or unlabelled  # distillation uses neither
        advice.value = f"<div class='wb-soft' style='min-height:38px'>{escape(recovery_status(session)[1])}</div>"

    def draw_stages() -> None:
        dense = plan.plan.dense if plan.plan else None
        stages.show(stages_figure(recover.run, choose.original, dense=dense, random_weights=choose.random_weights))

    def list_tries() -> None:
        lines = recover.run.tries if recover.run is not None else ()
        items = "".join(f"<li>{escape(line)}</li>" for line in lines)
        start = "<ul class='wb-soft wb-tries' tabindex='0' aria-label='What was tried'>"
        tries.value = f"{start}{items}</ul>" if lines else ""
        tries.layout.display = "" if lines else "none"

    def show_training() -> None:
        for name, box in boxes.items():
            box.value = recover.training.get(name, box.value)

    def learn_without_labels() -> None:
        if choose.opened is not None and choose.why_untrainable:
            learn_from.value = "original"

    follow(learn_without_labels, (choose, "opened"))
    follow(enable, (learn_from, "value"), (plan, "plan"), (choose, "opened"), (recover, "run"), (worker, "jobs"))
    follow(list_tries, (recover, "run"))
    follow(draw_stages, (choose, "opened"), (recover, "run"))
    follow(lambda: curve.show(training_curve(recover.curve, recover.start)), (recover, "curve start"))
    follow(show_training, (recover, "training"))  # its settings may be those of a restored session
    actions_and_curve = column(row(*buttons), row(*boxes.values()), advice, tries, curve, gap=10)
    return beside((actions_and_curve, 1), (stages, 1))


def recovery_status(session: Session) -> Status:
    """Return the status of the step, with a sentence on the last result and what to do next."""
    recover, choose = session.recover, session.choose
    plan, run = session.plan.plan, recover.run
    if plan is None:
        return "missing", "The network is being opened."
    for job in session.worker.jobs:
        if job.kind in COMPRESSING:
            return "open", f"{job.title}; you can look and plan meanwhile."
    if run is None and plan.saves_nothing:
        return "missing", SAVES_NOTHING
    if run is None or run.last is None:
        hint = "Accuracy falls at first; Calibrate and Fine-tune bring it back."
        return "open", f"Press Compress, or let Compress for me do it all. {hint}"
    if not recover.as_planned:
        return "open", f"You changed the plan after {run.label}: press Compress again to see what it gives now."
    verdict, last, original = run.verdict(), run.last, run.stage(StageName.ORIGINAL)
    finding = verdict.finding if verdict else None
    text = f"{run.label[0].upper()}{run.label[1:]} is {last.name}"
    if last.score is not None and original is not None and original.score is not None:
        units = {"accuracy": " % right", "agreement": " % as the original"}
        text += f": {original.score.shown:.1f} → {last.score.shown:.1f}"
        text += f"{units.get(last.score.kind, f' {last.score.kind}')}; {judgement(run)}"
    if not choose.calibratable:
        return "done", f"{text}; it cannot be recovered. {choose.why_untrainable}"
    if last.name == StageName.DECOMPOSED and finding is not Finding.NO_LOSS:
        return "open", f"{text}. Press Calibrate, which takes seconds and no labels, then Fine-tune."
    if last.name == StageName.CALIBRATED and not choose.why_untrainable and finding is Finding.LOSS:
        return "open", f"{text}. Press Fine-tune to recover more; from here a few epochs are enough."
    if finding is Finding.NO_LOSS:
        return "done", f"{text}. Go on to what comes next, or plan to save more."
    return "done", f"{text}. Change ranks and Compress again for another point, or Fine-tune on."
