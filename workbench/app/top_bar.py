"""The bar at the top: steps, *Compress for me*, undo, jobs, and the offer to continue an earlier session."""

from dataclasses import asdict
from html import escape

import ipywidgets as w

from workbench.app.autosave import Autosave
from workbench.app.controls import button, column, follow, row
from workbench.app.session import Session
from workbench.app.step_status import step_statuses
from workbench.app.widgets.guide import Guide
from workbench.app.widgets.job_row import JobList
from workbench.app.worker import JobKind
from workbench.runs.compress import MAX_DROP


def top_bar(session: Session) -> w.Widget:
    """Return the bar."""
    guide, autosave, plan = Guide(session), session.autosave, session.plan
    hint = (
        "Compress by the plan below, calibrate, and fine-tune as far as the images allow; if more than "
        f"{100 * MAX_DROP:g} point of accuracy is lost, try again and save less"
    )
    for_me = button("Compress for me", session.recover.compress_for_me, hint, width="148px", primary=True)
    undo, redo = button("Undo", session.undo, width="72px"), button("Redo", session.redo, width="72px")
    notice = w.HTML()

    def show_steps() -> None:
        found = [asdict(step) for step in step_statuses(session)]
        if guide.steps != found:
            guide.steps = found

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
        left = autosave.offer
        box.layout.display = "none" if left is None else "flex"
        if left is not None:
            words = f"<b>You were here before:</b> {escape(left.saved.describe())}."
            if left.saved.doing:
                words += f" <b>{escape(left.saved.doing)}</b> was cut off and can go on."
            text.value = f"<div role='status'>{words}</div>"

    follow(fill, (autosave, "offer"))
    return box
