"""The bar at the top: steps, *Compress for me*, undo, jobs, and the offer to continue an earlier session."""

from html import escape

import ipywidgets as w

from workbench.app.controls import button, column, follow, row
from workbench.app.session import Autosave, Session
from workbench.app.widgets.guide import Guide
from workbench.app.widgets.job_row import JobList
from workbench.app.worker import COMPRESSING, JobKind
from workbench.network.verdict import MAX_DROP_POINTS, Finding
from workbench.runs.run import Run, StageName
from workbench.runs.scoring import judgement

STEPS = ("Choose", "Look", "Plan", "Compress and recover", "Compare", "Speed and energy", "Take it home")
CHOSEN_STEPS = 3
"""Number of first steps that begin with a choice made for the user: a network, a layer, a plan."""


def top_bar(session: Session) -> w.Widget:
    """Return the bar."""
    guide, autosave, plan = Guide(session), session.autosave, session.plan
    hint = (
        "Compress by the plan below, calibrate, and fine-tune as far as the images allow; if more than "
        f"{MAX_DROP_POINTS:g} point of accuracy may be lost, try again and save less"
    )
    for_me = button("Compress for me", session.recover.compress_for_me, hint, width="148px", primary=True)
    undo, redo = button("Undo", session.undo, width="72px"), button("Redo", session.redo, width="72px")
    notice = w.HTML()

    def show_steps() -> None:
        guide.steps = step_statuses(session)

    def enable() -> None:
        for_me.disabled = session.recover.busy or plan.plan is None
        undo.disabled, redo.disabled = not plan.undoable, not plan.redoable
        undo.tooltip = f"Take back: {plan.undoable} (Ctrl+Z)" if plan.undoable else "Nothing to take back"
        redo.tooltip = f"Again: {plan.redoable} (Ctrl+Shift+Z)" if plan.redoable else "Nothing was taken back"

    def show_notice() -> None:
        other = "This browser has another session open: the runs of both are in one list, the plans are apart."
        texts = [autosave.problem, other if autosave.elsewhere else ""]
        notice.value = "".join(f"<div class='wb-warn' role='status'>{escape(text)}</div>" for text in texts if text)
        notice.layout.display = "" if notice.value else "none"  # an empty line would be a gap in the bar

    follow(
        show_steps,
        (session.choose, "opened"),
        (session.look, "picked"),
        (plan, "plan"),
        (session.recover, "run runs"),
        (session.speed, "findings"),
        (session.take_home, "made"),
        (session.worker, "jobs"),
    )
    follow(enable, (plan, "plan undoable redoable"), (session.worker, "jobs"))
    follow(show_notice, (autosave, "problem elsewhere"))
    jobs = JobList(session.worker, kept=JobKind.AUTOMATIC)
    jobs.layout.flex = "1 1 300px"
    buttons = row(for_me, undo, redo, jobs)
    buttons.layout.align_items = "flex-start"
    box = column(guide, buttons, notice, offer_box(autosave))
    box.add_class("wb-card")
    box.add_class("wb-top")
    return box


def offer_box(autosave: Autosave) -> w.Widget:
    """Return what an earlier session has left, over the page, so that nothing moves."""
    hint = "Open the same network, plan and run, and continue training that was cut off"
    accept = button("Go on", autosave.accept, hint, width="92px", primary=True)
    decline = button("Begin anew", autosave.decline, "Forget that session; its runs stay", width="auto")
    accept.layout.flex = decline.layout.flex = "none"
    text = w.HTML()
    box = w.HBox([text, accept, decline])
    box.add_class("wb-offer")

    def fill() -> None:
        saved = autosave.offer
        box.layout.display = "none" if saved is None else "flex"
        if saved is not None:
            words = f"<b>You were here before:</b> {escape(saved.describe())}."
            if saved.doing:
                words += f" <b>{escape(saved.doing)}</b> was cut off and can go on."
            text.value = f"<div role='status'>{words}</div>"

    follow(fill, (autosave, "offer"))
    return box


def step_statuses(session: Session) -> list[dict[str, str]]:
    """Return name, status and words of each step.

    At most one is "next", others are "done", "open" (they can be done at any time) or "missing" (something before it).
    """
    found = _statuses(session)
    next_ = next((i for i, (done, missing, _) in enumerate(found) if not done and not missing), None)
    steps = []
    for i, (name, (done, missing, words)) in enumerate(zip(STEPS, found, strict=True)):
        status = "done" if done else "missing" if missing else "next" if i == next_ else "open"
        if done and i < CHOSEN_STEPS and session.recover.run is None:
            status = "open"
        steps.append({"name": name, "status": status, "words": words})
    return steps


def _statuses(session: Session) -> list[tuple[bool, bool, str]]:
    """Return (done, something is missing, a sentence) of each step."""
    choose, recover = session.choose, session.recover
    network, plan, run = choose.network, session.plan.plan, recover.run
    if network is None or plan is None:
        error = choose.job.error if choose.job else ""
        waits = "Waits for a network to be open."
        return [(False, False, error or "The network is being opened."), *[(False, True, waits)] * 6]
    edited = len(plan.by_hand)
    planned = f"MACs x{plan.macs_ratio:.2f} fewer" + (f", {edited} layers by hand." if edited else ".")
    idle = plan.saves_nothing and run is None
    if plan.saves_nothing:
        planned = "This plan saves nothing yet: take a budget of work, or other layers."
    first = [
        (True, False, f"{network.name} on {choose.data.name if choose.data else 'no data'}."),
        (True, False, f"{len(plan)} layers; {session.look.picked or 'none'} is picked."),
        (not idle, False, planned),
    ]
    job = session.worker.running
    busy = f"{job.title}; you can look and plan meanwhile." if job is not None and job.kind in COMPRESSING else ""
    if run is None:
        waits = "Needs a compressed network: press Compress, or Compress for me."
        words = busy or "Press Compress, or let Compress for me do it all."
        return [*first, (False, idle and not busy, words), *[(False, True, waits)] * 3]
    made = (False, False, busy) if busy else _recovered(session, run)
    stages = sum(len(r.stages) - 1 for r in recover.runs)
    compared = f"{stages} measured stages beside the original."
    if stages < 2:
        compared = "1 stage beside the original: recover it, or compress by another plan, to have more to compare."
    timed, exported = session.speed.findings is not None, bool(session.take_home.made)
    speed = "Timed on this machine." if timed else "See how fast it is on this machine: press Measure."
    home = "Exported." if exported else "Save it as a file: for phones, for PyTorch, or a report."
    return [*first, made, (stages > 1, False, compared), (timed, False, speed), (exported, False, home)]


def _recovered(session: Session, run: Run) -> tuple[bool, bool, str]:
    recover, last = session.recover, run.last
    if not recover.as_planned:
        return False, False, "The plan has changed: press Compress again."
    assert last is not None
    words = f"{run.label[0].upper()}{run.label[1:]} is {last.name}"
    verdict, original = run.verdict(), run.stage(StageName.ORIGINAL)
    if last.score is not None and original is not None and original.score is not None:
        words += f": {original.score.shown:.1f} → {last.score.shown:.1f}"
        kinds = {"accuracy": " % right", "agreement": " % as the original"}
        words += f"{kinds.get(last.score.kind, f' {last.score.kind}')}; {judgement(run)}"
    trainable = not session.choose.untrainable
    unseen = verdict is not None and verdict.finding is Finding.NO_LOSS
    if last.name == StageName.DECOMPOSED and session.choose.calibratable and not unseen:
        return False, False, f"{words}. Bring accuracy back: press Calibrate, then Fine-tune."
    if last.name == StageName.CALIBRATED and trainable and verdict is not None and verdict.finding is Finding.LOSS:
        return False, False, f"{words}. Press Fine-tune to recover more."
    return True, False, f"{words}."
