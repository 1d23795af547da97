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
DEFAULT_STEPS = 3  # the first steps: the page starts with a network, a layer and a plan


def top_bar(session: Session, guide: Guide, input_alert: Alert) -> w.Widget:
    """Return the bar at the top; `input_alert` shows why an input was refused."""
    autosave, plan, recover = session.autosave, session.plan, session.recover
    hint = f"Compress, calibrate and fine-tune; save as much as loses at most {MAX_DROP_POINTS:g} point of accuracy"
    limits = (0.1, MAX_COMPRESS_MINUTES)
    minutes = limited(w.FloatText, "minutes", limits, 112, 58, value=COMPRESS_MINUTES, tooltip="For Compress for me")
    name, verdict = w.HTML(layout={"flex": "1 1 auto"}), w.HTML()
    notice_alert, save_alert, tab_alert = Alert(), Alert("warn"), Alert("warn")

    def compress() -> None:
        recover.compress_for_me(minutes.value)
        guide.shown = STEPS.index("Compress") + 1

    compress_button = button("Compress for me", compress, hint, width="148px")

    def run_next_step() -> None:
        next_step(session, guide)[1]()

    next_button = button("", run_next_step, width="auto", primary=True)

    def show_steps() -> None:
        guide.steps = step_statuses(session)
        text, _, hint = next_step(session, guide)
        is_start = recover.run is None and text == f"Next: {STEPS[3]}"
        next_button.description, next_button.tooltip = text, hint
        next_button.layout.display = "" if text and not is_start else "none"
        compress_button.button_style = "primary" if is_start else ""
        compress_button.disabled = minutes.disabled = recover.busy or plan.plan is None
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
    follow(lambda: notice_alert.say(plan.notice), (plan, "notice"))
    follow(lambda: save_alert.say(autosave.problem), (autosave, "problem"))
    other_tab = "This browser has another session open: the runs of both are in one list, the plans are apart."
    follow(lambda: tab_alert.say(other_tab if autosave.elsewhere else ""), (autosave, "elsewhere"))
    buttons = w.HBox([compress_button, minutes, next_button], layout={"grid_gap": "8px", "align_items": "center"})
    heading = w.HBox([name, buttons], layout={"flex_flow": "row wrap", "align_items": "center", "grid_gap": "4px 16px"})
    alerts = (input_alert, notice_alert, save_alert, tab_alert)
    box = column(column(heading, verdict, gap=0), overview(session), JobList(session.worker), *alerts, gap=6)
    return w.VBox([box.add_class("wb-top"), offer_box(autosave)])


def next_step(session: Session, guide: Guide) -> tuple[str, Callable[[], object], str]:
    """Return text, action and reason of the highlighted button; the text is "" if there is nothing to do."""
    steps, recover, run = guide.steps, session.recover, session.recover.run

    def show_step(number: int) -> Callable[[], None]:
        return lambda: setattr(guide, "shown", number)

    if session.choose.random_weights and run is None:
        return "Upload weights", show_step(1), "Random weights have no redundancy to find"
    index = next((i for i, step in enumerate(steps) if step["status"] == "next"), None)
    if index is None or (STEPS[index] == "Compress" and recover.busy):
        return "", show_step(1), ""
    if STEPS[index] == "Compress" and run is not None:
        if not recover.as_planned:
            return "Compress again", recover.decompose, steps[index]["words"]
        if run.last is not None and run.last.name == StageName.DECOMPOSED:
            return "Next: Calibrate", recover.calibrate, steps[index]["words"]
    return f"Next: {STEPS[index]}", show_step(index + 1), steps[index]["words"]


def offer_box(autosave: Autosave) -> w.Widget:
    """Return the box over the page that offers to continue an earlier session."""
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
            sentence = f"<b>You were here before:</b> {escape(saved.describe())}."
            if saved.interrupted_work:
                sentence += f" <b>{escape(saved.interrupted_work)}</b> was cut off and can go on."
            text.value = f"<div role='status'>{sentence}</div>"

    follow(fill, (autosave, "offer"))
    return box


def step_statuses(session: Session) -> list[dict[str, str]]:
    """Return name, words and status of each step: "done", "next", "open" (possible now), "missing" (not yet)."""
    named = zip(STEPS, _statuses(session), strict=True)
    steps = [{"name": name, "status": status, "words": words} for name, (status, words) in named]
    next_ = next((step for step in steps if step["status"] == "open"), None)
    if next_ is not None:
        next_["status"] = "next"
    for step in steps[:DEFAULT_STEPS]:
        if step["status"] == "done" and session.recover.run is None:
            step["status"] = "open"
    return steps


def _statuses(session: Session) -> list[Status]:
    choose, recover = session.choose, session.recover
    network, plan = choose.network, session.plan.plan
    if network is None or plan is None:
        error = choose.job.error if choose.job else ""
        reason = "Waits for a network to be open."
        return [("open", error or "The network is being opened."), *[("missing", reason)] * 6]
    edited = f", {len(plan.by_hand)} layers by hand" if plan.by_hand else ""
    plan_text = SAVES_NOTHING if plan.saves_nothing else f"MACs x{plan.macs_ratio:.2f} fewer{edited}."
    prepared = [
        ("done", f"{network.name} on {choose.data.name if choose.data else 'no data'}."),
        ("done", f"{len(plan)} layers; {session.look.picked or 'none'} is picked."),
        ("open" if plan.saves_nothing and recover.run is None else "done", plan_text),
        recovery_status(session),
    ]
    if recover.run is None:
        reason = "Needs a compressed network: press Compress, or Compress for me."
        return [*prepared, *[("missing", reason)] * 3]
    stages = sum(len(r.stages) - 1 for r in recover.runs)
    is_timed, is_exported = session.speed.findings is not None, bool(session.take_home.made)
    compare_hint = "1 stage beside the original: recover it, or compress by another plan, to have more to compare."
    speed_hint = "See how fast it is on this machine: press Measure."
    export_hint = "Save it as a file: for phones, for PyTorch, or a report."
    return [
        *prepared,
        ("done", f"{stages} measured stages beside the original.") if stages > 1 else ("open", compare_hint),
        ("done", "Timed on this machine.") if is_timed else ("open", speed_hint),
        ("done", "Exported.") if is_exported else ("open", export_hint),
    ]
