"""Runs of this and earlier sessions: continue one, download all, sweep over budgets."""

from base64 import b64encode
from typing import Any

import ipywidgets as w
import numpy as np

from workbench.app.controls import Alert, button, column, follow, limited, row, slot
from workbench.app.session import Session
from workbench.app.widgets.layer_table import LayerTable
from workbench.network.scores import Score
from workbench.runs.run import Run, Runs
from workbench.tables import times

SCORE_HINT = "Top-1 accuracy, or agreement with the original, to choose by; its 95 % interval; the number of images."
STAGES = ("decomposed", "calibrated", "distilled", "fine-tuned", "from scratch")
RUN_COLUMNS = [
    {"key": "number", "title": "run", "kind": "number"},
    {"key": "created", "title": "made", "kind": "text", "expert": True},
    {"key": "plan", "title": "plan", "kind": "reason"},
    {"key": "macs", "title": "fewer MACs", "kind": "number"},
    {"key": "weights", "title": "fewer weights", "kind": "number", "expert": True},
    *({"key": stage, "title": stage, "kind": "score", "hint": SCORE_HINT} for stage in STAGES),
]
RECOVERIES = (("calibrate each", "calibrate"), ("calibrate and fine-tune each", "fine-tune"), ("no recovery", "none"))


def runs_view(session: Session) -> w.Widget:
    """Return the table of runs, and what can be done with the picked one."""
    recover, worker = session.recover, session.worker
    table, csv, note, problem = LayerTable(label="Runs", columns=RUN_COLUMNS), w.HTML(), w.HTML(), Alert()
    asked = 0  # the run that the button has asked about

    def picked() -> int:
        return next((line["number"] for line in table.rows if line["name"] == table.selected), 0)

    def fill() -> None:
        table.set_items([run_row(run) for run in reversed(recover.stored)])
        if not picked():
            table.selected = ""
        csv.value = csv_link(recover.stored)
        none = "Every compression becomes a row here, and is still there after reopening."
        words = "Pick a row to go on with that run, or to delete it." if recover.stored else none
        note.value = f"<div class='wb-soft'>{words}</div>"
        problem.say(recover.store_problem)

    def ask(number: int = 0) -> None:
        nonlocal asked
        asked = number
        delete.description = f"Really delete run {number}?" if number else "Delete"
        delete.button_style = "danger" if number else ""

    def press() -> None:
        number = picked()
        confirmed = asked == number
        ask(0 if confirmed else number)
        if confirmed:
            recover.delete(number)

    def enable() -> None:
        resume.disabled = delete.disabled = not picked() or recover.busy
        ask()

    hint = "Make it the compressed network again, from the store"
    resume = button("Go on with this run", lambda: recover.resume(picked()), hint)
    delete = button("Delete", press, "Take the picked run out of the store, for good", width="auto")
    delete.layout.min_width = "148px"
    follow(fill, (recover, "stored store_problem"))
    follow(enable, (worker, "jobs"), (table, "selected"))
    return column(sweep_box(session), table, note, problem, row(resume, delete, csv))


def sweep_box(session: Session) -> w.Widget:
    """Return the controls of a sweep over several budgets."""
    recover, plan, worker = session.recover, session.plan, session.worker
    limits = {"min": 1.1, "max": 10.0, "step": 0.1, "value": (1.5, 6.0), "readout_format": ".1f"}
    span = slot(w.FloatRangeSlider, "fewer MACs, from - to", 430, 142, **limits)
    number = limited(w.IntText, "budgets", (2, 12), 122, 62, value=4)
    recovery = slot(w.Dropdown, "then", 256, 32, options=RECOVERIES)

    def sweep() -> None:
        low, high = span.value
        recover.sweep(np.geomspace(low, high, number.value).round(2).tolist(), recovery.value)

    def enable() -> None:
        start.disabled = recover.busy or plan.plan is None
        for box in (span, number, recovery):
            box.disabled = recover.busy

    hint = "Compress to every budget and recover each; the points come as they are ready"
    start = button("Sweep", sweep, hint, width="100px", primary=True)
    follow(enable, (worker, "jobs"), (plan, "plan"))
    return row(span, number, recovery, start)


def run_row(run: Run) -> dict[str, Any]:
    """Return what the table shows of a run; a score in two lines, the second of which is shown small."""
    scores = {str(s.name): _score(s.score) for s in run.stages if s.score}
    return {
        "name": str(run.number),
        "number": run.number,
        "created": run.created[:16].replace("T", " "),
        "plan": run.plan.describe(),
        "macs": times(run.plan.macs_ratio),
        "weights": times(run.plan.weights_ratio),
        **{stage: scores.get(stage, "-") for stage in STAGES},
    }


def _score(score: Score) -> str:
    if not score.is_share:
        return f"{score.value}\n{score.kind} ({score.n})"
    low, high = score.interval
    same = "same, " if score.kind == "agreement" else ""
    return f"{score.shown:.1f} %\n{same}{100 * low:.1f} to {100 * high:.1f} % ({score.n})"


def csv_link(runs: tuple[Run, ...]) -> str:
    """Return a link that holds the runs as CSV."""
    content = b64encode(Runs(runs).to_csv().encode()).decode()
    link = f"<a class='wb-link' download='runs.csv' href='data:text/csv;base64,{content}'>Download as CSV</a>"
    return link if runs else ""
