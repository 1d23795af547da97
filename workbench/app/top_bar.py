"""The bar at the top: network, verdict, next step, tiles, jobs; and the offer to continue an earlier session."""

from collections.abc import Callable
from html import escape

import ipywidgets as w

from workbench.app.controls import Alert, button, column, follow, limited
from workbench.app.overview import overview, verdict_text
from workbench.app.session import Autosave, Session
from workbench.app.steps.recover.settings import COMPRESS_MINUTES, MAX_COMPRESS_MINUTES
from workbench.app.steps.recover.view import SAVES_NOTHING, Status, recovery_status
from workbench.app.widgets.glossary import RANDOM
from workbench.app.widgets.guide import Guide
from workbench.app.widgets.job_row import JobList
from workbench.network.verdict import MAX_DROP_POINTS
from workbench.runs.run import StageName

STEPS = ("Choose", "Look", "Plan", "Compress", "Compare", "Speed", "Take home")
CHOSEN_STEPS = 3  # the first steps, for which the page begins with a network, a layer and a plan


def top_bar(session: Session, guide: Guide, refused: Alert) -> w.Widget:
    """Return the bar at the top; `refused` is its message about inputs that were not accepted."""
    autosave, plan, recover = session.autosave, session.plan, session.recover
    hint = f"Compress, calibrate and fine-tune; save as much as loses at most {MAX_DROP_POINTS:g} point of accuracy"
    limits = (0.1, MAX_COMPRESS_MINUTES)
    minutes = limited(w.FloatText, "minutes", limits, 112, 58, value=COMPRESS_MINUTES, tooltip="For Compress for me")
    name, verdict = w.HTML(layout={"flex": "1 1 auto"}), w.HTML()
    noticed, unsaved, elsewhere = Alert(), Alert("warn"), Alert("warn")

    def compress() -> None:
        recover.compress_for_me(minutes.value)
        guide.shown = STEPS.index("Compress") + 1

    for_me = button("Compress for me", compress, hint, width="148px")

    def go_on() -> None:
        next_step(session, guide)[1]()

    onward = button("", go_on, width="auto", primary=True)

    def show_steps() -> None:
        guide.steps = step_statuses(session)
        text, _, hint = next_step(session, guide)
        begins = recover.run is None and text == f"Next: {STEPS[3]}"  # what comes next is all of it
        onward.description, onward.tooltip = text, hint
        onward.layout.display = "" if text and not begins else "none"
        for_me.button_style = "primary" if begins else ""
        for_me.disabled = minutes.disabled = recover.busy or plan.plan is None
        network, mark = session.choose.network, RANDOM if session.choose.random_weights else ""
        name.value = f"<h1>{escape(network.name if network else session.choose.choice.network)}{mark}</h1>"
        verdict.value = f"<p class='wb-verdict' role='status'>{escape(verdict_text(session))}</p>"

    follow(
        show_steps,
        (session.choose, "opened"),
        (session.look, "picked"),
        (plan, "plan"),
        (recover, "run runs"),
        (session.speed, "findings"),
        (session.take_home, "made"),
        (session.worker, "jobs"),
    )
    follow(lambda: noticed.say(plan.notice), (plan, "notice"))
    follow(lambda: unsaved.say(autosave.problem), (autosave, "problem"))
    other = "This browser has another session open: the runs of both are in one list, the plans are apart."
    follow(lambda: elsewhere.say(other if autosave.elsewhere else ""), (autosave, "elsewhere"))
    buttons = w.HBox([for_me, minutes, onward], layout={"grid_gap": "8px", "align_items": "center"})
    first = w.HBox([name, buttons], layout={"flex_flow": "row wrap", "align_items": "center", "grid_gap": "4px 16px"})
    said = (refused, noticed, unsaved, elsewhere)
    box = column(column(first, verdict, gap=0), overview(session), JobList(session.worker), *said, gap=6)
    return w.VBox([box.add_class("wb-top"), offer_box(autosave)])


def next_step(session: Session, guide: Guide) -> tuple[str, Callable[[], object], str]:
    """Return the highlighted button's text, what it does, and why; ("", ...) when all is done, or is being done."""
    steps, recover, run = guide.steps, session.recover, session.recover.run

    def lead(number: int) -> Callable[[], None]:
        return lambda: setattr(guide, "shown", number)

    if session.choose.random_weights and run is None:
        return "Upload weights", lead(1), "Random weights have no redundancy to find"
    found = next((i for i, step in enumerate(steps) if step["status"] == "next"), None)
    if found is None or (STEPS[found] == "Compress" and recover.busy):
        return "", lead(1), ""
    if STEPS[found] == "Compress" and run is not None:
        if not recover.as_planned:
            return "Compress again", recover.decompose, steps[found]["words"]
        if run.last is not None and run.last.name == StageName.DECOMPOSED:
            return "Next: Calibrate", recover.calibrate, steps[found]["words"]
    return f"Next: {STEPS[found]}", lead(found + 1), steps[found]["words"]


def offer_box(autosave: Autosave) -> w.Widget:
    """Return what an earlier session has left, over the page, so that nothing moves."""
    hint = "Open the same network, plan and run, and continue what was cut off"
    accept = button("Go on", autosave.accept, hint, width="92px", primary=True)
    decline = button("Begin anew", autosave.decline, "Forget that session; its runs stay", width="auto")
    accept.layout.flex = decline.layout.flex = "none"
    text = w.HTML()
    box = w.HBox([text, accept, decline]).add_class("wb-offer")

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
    found = zip(STEPS, _statuses(session), strict=True)
    steps = [{"name": name, "status": status, "words": words} for name, (status, words) in found]
    following = next((step for step in steps if step["status"] == "open"), None)
    if following is not None:
        following["status"] = "next"
    for step in steps[:CHOSEN_STEPS]:
        if step["status"] == "done" and session.recover.run is None:
            step["status"] = "open"
    return steps


def _statuses(session: Session) -> list[Status]:
    choose, recover = session.choose, session.recover
    network, plan = choose.network, session.plan.plan
    if network is None or plan is None:
        error = choose.job.error if choose.job else ""
        waits = "Waits for a network to be open."
        return [("open", error or "The network is being opened."), *[("missing", waits)] * 6]
    edited = f", {len(plan.by_hand)} layers by hand" if plan.by_hand else ""
    planned = SAVES_NOTHING if plan.saves_nothing else f"MACs x{plan.macs_ratio:.2f} fewer{edited}."
    first = [
        ("done", f"{network.name} on {choose.data.name if choose.data else 'no data'}."),
        ("done", f"{len(plan)} layers; {session.look.picked or 'none'} is picked."),
        ("open" if plan.saves_nothing and recover.run is None else "done", planned),
        recovery_status(session),
    ]
    if recover.run is None:
        waits = "Needs a compressed network: press Compress, or Compress for me."
        return [*first, *[("missing", waits)] * 3]
    stages = sum(len(r.stages) - 1 for r in recover.runs)
    timed, exported = session.speed.findings is not None, bool(session.take_home.made)
    few = "1 stage beside the original: recover it, or compress by another plan, to have more to compare."
    speed = "See how fast it is on this machine: press Measure."
    home = "Save it as a file: for phones, for PyTorch, or a report."
    return [
        *first,
        ("done", f"{stages} measured stages beside the original.") if stages > 1 else ("open", few),
        ("done", "Timed on this machine.") if timed else ("open", speed),
        ("done", "Exported.") if exported else ("open", home),
    ]
