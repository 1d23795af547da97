"""Compute the status of each step: done, next, or missing something."""

from dataclasses import dataclass
from typing import Literal

from workbench.app.session import Session
from workbench.app.worker import COMPRESSING
from workbench.runs.compress import MAX_DROP
from workbench.runs.run import Run, StageName

Status = Literal["done", "next", "open", "missing"]
STEPS = ("Choose", "Look", "Plan", "Compress and recover", "Compare", "Speed and energy", "Take it home")
CHOSEN_STEPS = 3
"""Number of first steps that begin with a choice made for the user: a network, a layer, a plan."""


@dataclass(frozen=True)
class StepStatus:
    """Status of a step."""

    name: str  # its title on the page
    status: Status  # at most one is "next"; "open" can be done at any time; "missing" needs another step first
    words: str  # what there is, what to do, or what is missing, in a sentence


def step_statuses(session: Session) -> tuple[StepStatus, ...]:
    """Return the status of the seven steps."""
    found = _statuses(session)
    next_ = next((i for i, (done, missing, _) in enumerate(found) if not done and not missing), None)
    steps = []
    for i, (name, (done, missing, words)) in enumerate(zip(STEPS, found, strict=True)):
        status: Status = "done" if done else "missing" if missing else "next" if i == next_ else "open"
        if done and i < CHOSEN_STEPS and session.recover.run is None:
            status = "open"
        steps.append(StepStatus(name, status, words))
    return tuple(steps)


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
    lost, original = run.lost(), run.stage(StageName.ORIGINAL)
    if last.score is not None and original is not None and original.score is not None:
        words += f": {100 * original.score.top1:.1f} → {100 * last.score.top1:.1f} %"
        words += " right" if last.score.kind == "accuracy" else " as the original"
    trainable = not session.choose.untrainable
    if last.name == StageName.DECOMPOSED and session.choose.calibratable and (lost is None or lost > 0):
        return False, False, f"{words}. Bring accuracy back: press Calibrate, then Fine-tune."
    if last.name == StageName.CALIBRATED and trainable and lost is not None and lost > MAX_DROP:
        return False, False, f"{words}. Press Fine-tune to recover more."
    return True, False, f"{words}."
