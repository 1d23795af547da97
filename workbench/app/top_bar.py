"""The bar at the top: steps, *Compress for me*, undo, jobs, and the offer to continue an earlier session."""

from html import escape

import ipywidgets as w

from workbench.app.controls import Alert, button, column, follow, limited, row
from workbench.app.session import Autosave, Session
from workbench.app.steps.recover.snapshot import COMPRESS_MINUTES, MAX_COMPRESS_MINUTES
from workbench.app.steps.recover.view import SAVES_NOTHING, Status, recovery_status
from workbench.app.widgets.guide import Guide
from workbench.app.widgets.job_row import JobList
from workbench.app.worker import JobKind
from workbench.network.verdict import MAX_DROP_POINTS

STEPS = ("Choose", "Look", "Plan", "Compress and recover", "Compare", "Speed and energy", "Take it home")
CHOSEN_STEPS = 3  # the first ones begin with a choice made for the user: a network, a layer, a plan


def top_bar(session: Session, refused: Alert) -> w.Widget:
    """Return the bar; `refused` says in it what of the page's was not taken."""
    guide, autosave, plan = Guide(session), session.autosave, session.plan
    hint = f"Compress, calibrate and fine-tune; save as much as loses at most {MAX_DROP_POINTS:g} point of accuracy"
    limits = (0.1, MAX_COMPRESS_MINUTES)
    minutes = limited(w.FloatText, "minutes", limits, 112, 58, value=COMPRESS_MINUTES, tooltip="For Compress for me")

    def compress() -> None:
        session.recover.compress_for_me(minutes.value)

    for_me = button("Compress for me", compress, hint, width="148px", primary=True)
    undo, redo = button("Undo", session.undo, width="72px"), button("Redo", session.redo, width="72px")
    noticed, unsaved, elsewhere = Alert(), Alert("warn"), Alert("warn")

    def show_steps() -> None:
        guide.steps = step_statuses(session)

    def enable() -> None:
        for_me.disabled = minutes.disabled = session.recover.busy or plan.plan is None
        undo.disabled, redo.disabled = not plan.undoable, not plan.redoable
        undo.tooltip = f"Take back: {plan.undoable} (Ctrl+Z)" if plan.undoable else "Nothing to take back"
        redo.tooltip = f"Again: {plan.redoable} (Ctrl+Shift+Z)" if plan.redoable else "Nothing was taken back"

    def show_notices() -> None:
        other = "This browser has another session open: the runs of both are in one list, the plans are apart."
        noticed.say(plan.notice)
        unsaved.say(autosave.problem)
        elsewhere.say(other if autosave.elsewhere else "")

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
    follow(show_notices, (plan, "notice"), (autosave, "problem elsewhere"))
    jobs = JobList(session.worker, kept=JobKind.AUTOMATIC)
    jobs.layout.flex = "1 1 300px"
    buttons = row(for_me, minutes, undo, redo, jobs)
    buttons.layout.align_items = "flex-start"
    box = column(guide, buttons, refused, noticed, unsaved, elsewhere, offer_box(autosave))
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
    """Return name, words and status of each step: "done", "next", "open" (at any time), "missing" (one before it)."""
    found = _statuses(session)
    next_ = next((i for i, (done, missing, _) in enumerate(found) if not done and not missing), None)
    steps = []
    for i, (name, (done, missing, words)) in enumerate(zip(STEPS, found, strict=True)):
        status = "done" if done else "missing" if missing else "next" if i == next_ else "open"
        if done and i < CHOSEN_STEPS and session.recover.run is None:
            status = "open"
        steps.append({"name": name, "status": status, "words": words})
    return steps


def _statuses(session: Session) -> list[Status]:
    choose, recover = session.choose, session.recover
    network, plan = choose.network, session.plan.plan
    if network is None or plan is None:
        error = choose.job.error if choose.job else ""
        waits = "Waits for a network to be open."
        return [(False, False, error or "The network is being opened."), *[(False, True, waits)] * 6]
    edited = f", {len(plan.by_hand)} layers by hand" if plan.by_hand else ""
    planned = f"MACs x{plan.macs_ratio:.2f} fewer{edited}."
    first = [
        (True, False, f"{network.name} on {choose.data.name if choose.data else 'no data'}."),
        (True, False, f"{len(plan)} layers; {session.look.picked or 'none'} is picked."),
        (not plan.saves_nothing or recover.run is not None, False, SAVES_NOTHING if plan.saves_nothing else planned),
        recovery_status(session),
    ]
    if recover.run is None:
        waits = "Needs a compressed network: press Compress, or Compress for me."
        return [*first, *[(False, True, waits)] * 3]
    stages = sum(len(r.stages) - 1 for r in recover.runs)
    compared = f"{stages} measured stages beside the original."
    if stages < 2:
        compared = "1 stage beside the original: recover it, or compress by another plan, to have more to compare."
    timed, exported = session.speed.findings is not None, bool(session.take_home.made)
    speed = "Timed on this machine." if timed else "See how fast it is on this machine: press Measure."
    home = "Exported." if exported else "Save it as a file: for phones, for PyTorch, or a report."
    return [*first, (stages > 1, False, compared), (timed, False, speed), (exported, False, home)]
