"""The bar at the top: steps, *Compress for me*, undo, jobs, and the offer to continue an earlier session."""

from dataclasses import asdict
from html import escape

import ipywidgets as w

from workbench.app.autosave import Autosave
from workbench.app.session import Session
from workbench.app.step_status import step_statuses
from workbench.app.widgets.guide import Guide
from workbench.app.widgets.job_row import JobList
from workbench.app.worker import JobKind
from workbench.runs.compress import MAX_DROP


def top_bar(session: Session) -> w.Widget:
    """Return the bar."""
    guide, autosave, plan = Guide(session), session.autosave, session.plan
    for_me = w.Button(description="Compress for me", button_style="primary", layout={"width": "148px"})
    for_me.tooltip = (
        "Compress by the plan below, calibrate, and fine-tune as far as the images allow; if more than "
        f"{100 * MAX_DROP:g} point of accuracy is lost, try again and save less"
    )
    undo, redo = (w.Button(description=text, layout={"width": "72px"}) for text in ("Undo", "Redo"))
    notice = w.HTML()

    def show_steps(_: object = None) -> None:
        found = [asdict(step) for step in step_statuses(session)]
        if guide.steps != found:
            guide.steps = found

    def enable(_: object = None) -> None:
        for_me.disabled = session.recover.busy or plan.plan is None
        undo.disabled, redo.disabled = not plan.undoable, not plan.redoable
        undo.tooltip = f"Take back: {plan.undoable} (Ctrl+Z)" if plan.undoable else "Nothing to take back"
        redo.tooltip = f"Again: {plan.redoable} (Ctrl+Shift+Z)" if plan.redoable else "Nothing was taken back"

    def show_notice(_: object = None) -> None:
        other = "This browser has another session open: the runs of both are in one list, the plans are apart."
        texts = [autosave.problem, other if autosave.elsewhere else ""]
        notice.value = "".join(f"<div class='wb-warn' role='status'>{escape(text)}</div>" for text in texts if text)
        notice.layout.display = "" if notice.value else "none"  # an empty line would be a gap in the bar

    for_me.on_click(lambda _: session.recover.compress_for_me())
    undo.on_click(lambda _: session.undo())
    redo.on_click(lambda _: session.redo())
    for model, names in (
        (session.choose, ["opened"]),
        (session.look, ["selected"]),
        (plan, ["plan"]),
        (session.recover, ["run", "runs"]),
        (session.speed, ["findings"]),
        (session.take_home, ["made"]),
        (session.worker, ["jobs"]),
    ):
        model.observe(show_steps, names)
    plan.observe(enable, ["plan", "undoable", "redoable"])
    session.worker.observe(enable, ["jobs"])
    autosave.observe(show_notice, ["problem", "elsewhere"])
    show_steps()
    enable()
    show_notice()
    jobs = JobList(session.worker, kept=JobKind.AUTOMATIC)
    jobs.layout.flex = "1 1 300px"
    row = w.HBox([for_me, undo, redo, jobs], layout={"grid_gap": "8px", "align_items": "flex-start"})
    row.layout.flex_flow = "row wrap"
    box = w.VBox([guide, row, notice, offer_box(autosave)], layout={"grid_gap": "6px"})
    box.add_class("wb-card")
    box.add_class("wb-top")
    return box


def offer_box(autosave: Autosave) -> w.Widget:
    """Return what an earlier session has left, over the page, so that nothing moves."""
    text = w.HTML()
    accept = w.Button(description="Go on", button_style="primary", layout={"width": "92px", "flex": "none"})
    accept.tooltip = "Open the same network, plan and run, and continue training that was cut off"
    decline = w.Button(description="Begin anew", tooltip="Forget that session; its runs stay")
    decline.layout.width, decline.layout.flex = "auto", "none"
    box = w.HBox([text, accept, decline])
    box.add_class("wb-offer")

    def fill(_: object = None) -> None:
        left = autosave.offer
        box.layout.display = "none" if left is None else "flex"
        if left is not None:
            words = f"<b>You were here before:</b> {escape(left.saved.describe())}."
            if left.saved.doing:
                words += f" <b>{escape(left.saved.doing)}</b> was cut off and can go on."
            text.value = f"<div role='status'>{words}</div>"

    accept.on_click(lambda _: autosave.accept())
    decline.on_click(lambda _: autosave.decline())
    autosave.observe(fill, ["offer"])
    fill()
    return box
