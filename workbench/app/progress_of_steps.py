"""The way through the page: what is done, what comes next, and what is still missing. No widgets."""

from dataclasses import dataclass
from typing import Literal

from workbench.app.history import BASELINE
from workbench.app.state import State
from workbench.app.tasks import ENOUGH, FOR_ME
from workbench.plan.plan import Plan

Status = Literal["done", "next", "open", "missing"]


@dataclass(frozen=True)
class Step:
    """A step of the journey.

    Attributes
    ----------
    name : its title on the page.
    status : "done"; "next", of which there is one at most; "open", which can be done at any time; or "missing", which
        needs something else first.
    words : what there is, or what to do, or what is missing, in a sentence.
    """

    name: str
    status: Status
    words: str


WORK = (FOR_ME, "Compressing", "Calibrating", "Fine-tuning", "Training")
"""How the titles of work on a compressed network begin."""
FIRST = 3
"""Steps that come with something chosen already: there is a network, a layer, a plan."""
NAMES = ("Choose", "Look", "Plan", "Compress and recover", "Compare", "Speed and energy", "Take it home")


def journey(state: State, *, timed: bool = False, exported: bool = False) -> tuple[Step, ...]:
    """The seven steps as they are now.

    Parameters
    ----------
    timed, exported : whether the compressed network has been timed, and whether a file of it has been made.
    """
    words = _words(state, timed, exported)
    next_ = next((i for i, (done, missing, _) in enumerate(words) if not done and not missing), None)
    steps = []
    for i, (name, (done, missing, text)) in enumerate(zip(NAMES, words, strict=True)):
        status: Status = "done" if done else "missing" if missing else "next" if i == next_ else "open"
        if done and i < FIRST and state.latest is None:
            status = "open"  # a choice made for the user is not a step that they have taken
        steps.append(Step(name, status, text))
    return tuple(steps)


def _words(state: State, timed: bool, exported: bool) -> list[tuple[bool, bool, str]]:
    """(done, something is missing, a sentence) of each step."""
    network, plan, latest = state.network, state.plan, state.latest
    if network is None or plan is None:
        waits = "Waits for a network to be open."
        what = state.job.error or "The network is being opened."
        return [(False, False, what), *[(False, True, waits)] * 6]
    opened = f"{network.name} on {state.data.name if state.data else 'no data'}."
    edited = sum(part.by_hand for part in plan)
    planned = f"MACs x{plan.macs_ratio:.2f} fewer" + (f", {edited} layers by hand." if edited else ".")
    if saves_nothing(plan):
        planned = "This plan saves nothing yet: take a budget of work, or other layers."
        idle = latest is None
    else:
        idle = False
    chosen = (True, False, opened)
    looked = (True, False, f"{len(plan)} layers; {state.selected or 'none'} is picked.")
    decided = (not idle, False, planned)
    if latest is None:
        waits = "Needs a compressed network: press Compress, or Compress for me."
        made = (False, idle, "Press Compress, or let Compress for me do it all.")
        made = (False, False, _busy(state)) if _busy(state) else made
        return [chosen, looked, decided, made, *[(False, True, waits)] * 3]
    busy = _busy(state)
    made = (False, False, busy) if busy else _recovered(state)
    compared = (len(state.results) > 2, False, _compared(state))
    speed = (timed, False, "Timed on this machine." if timed else "See how fast it is on this machine: press Measure.")
    home = (exported, False, "Exported." if exported else "Save it as a file: for phones, for PyTorch, or a report.")
    return [chosen, looked, decided, made, compared, speed, home]


def _busy(state: State) -> str:
    """What is being made of the network, in a sentence, or ""."""
    working = state.job.running and state.job.title.startswith(WORK)
    return f"{state.job.title} is going on; you can look and plan meanwhile." if working else ""


def _recovered(state: State) -> tuple[bool, bool, str]:
    latest, original = state.latest, state.original
    assert latest is not None
    if not state.compressed_as_planned:
        return False, False, "The plan has changed: press Compress again."
    stage = f"Run {latest.number} is {latest.stage}"
    if latest.score is not None and original is not None and original.score is not None:
        stage += f": {original.score.top1:.1f} → {latest.score.top1:.1f} % right"
    if latest.stage == "fine-tuned" and _best_before(state) > (latest.score.top1 if latest.score else 0.0) + ENOUGH:
        return False, False, f"{stage}, worse than before: press Compress, and Fine-tune with a smaller learning rate."
    recoverable = state.calibratable or state.trainable
    if latest.stage == "decomposed" and recoverable and (latest.score is None or points_lost(state) > 0):
        return False, False, f"{stage}. Bring accuracy back: press Calibrate, then Fine-tune."
    if latest.stage == "calibrated" and state.trainable and points_lost(state) > ENOUGH:
        return False, False, f"{stage}. Bring the rest back: press Fine-tune."
    return True, False, f"{stage}."


def _best_before(state: State) -> float:
    """Top-1 of the best earlier stage of the newest network; 0 where there is none, or no score."""
    latest = state.latest
    own = (r for r in state.results if r is not latest and latest is not None and r.number == latest.number)
    return max((r.score.top1 for r in own if r.score is not None and r.stage != BASELINE), default=0.0)


def saves_nothing(plan: Plan) -> bool:
    """Whether a plan leaves the network as it is, or as good as that."""
    return plan.macs_ratio <= 1.001 and plan.weights_ratio <= 1.001


def points_lost(state: State) -> float:
    """Percentage points of accuracy that the newest network is below the original; 0 where that is not known."""
    latest, original = state.latest, state.original
    if latest is None or original is None or latest.score is None or original.score is None:
        return 0.0
    return original.score.top1 - latest.score.top1


def _compared(state: State) -> str:
    number = len(state.results) - 1
    if number < 2:
        return "1 stage beside the original: recover it, or compress by another plan, to have more to compare."
    return f"{number} measured stages beside the original."
