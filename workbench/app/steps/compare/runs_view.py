"""Every run that is kept, of this session and earlier ones: go on with one, download all, sweep over budgets."""

from base64 import b64encode
from html import escape
from typing import Any

import ipywidgets as w

from workbench.app.history import results_of
from workbench.app.state import State
from workbench.app.steps.recover.model import Training
from workbench.app.widgets.layer_table import LayerTable
from workbench.app.widgets.numbers import WholeBox
from workbench.app.widgets.progress import progress_bar
from workbench.network.data import Accuracy
from workbench.runs.run import Run, Runs
from workbench.tables import times

HINT = "Top-1 accuracy to choose by, its 95 % interval, and of how many images."
STAGES = ("decomposed", "calibrated", "distilled", "fine-tuned", "from scratch")
COLUMNS = [
    {"key": "number", "title": "run", "kind": "number"},
    {"key": "created", "title": "made", "kind": "text"},
    {"key": "plan", "title": "plan", "kind": "reason"},
    {"key": "macs", "title": "fewer MACs", "kind": "number"},
    {"key": "weights", "title": "fewer weights", "kind": "number"},
    *({"key": stage, "title": stage, "kind": "score", "hint": HINT} for stage in STAGES),
]
AFTER = (("calibrate each", "calibrate"), ("calibrate and fine-tune each", "fine-tune"), ("no recovery", "none"))


def runs_panel(state: State) -> w.Widget:
    """The table of runs, and what can be done with the picked one."""
    table = LayerTable(label="Runs", columns=COLUMNS)
    resume = w.Button(description="Go on with this run", tooltip="Make it the compressed network again, from the store")
    forget = w.Button(description="Delete", layout={"width": "auto", "min_width": "148px"})
    asked = 0  # the run of which the button has asked whether it is really to go
    csv, note = w.HTML(), w.HTML()

    def picked() -> int:
        return next((line["number"] for line in table.rows if line["name"] == table.selected), 0)

    def fill(_: object = None) -> None:
        table.rows = [row(run) for run in reversed(state.runs)]
        if table.selected not in {line["name"] for line in table.rows}:
            table.selected = ""
        csv.value = csv_link(state.runs)
        none = "Every compression becomes a row here, and is still there after reopening."
        words = "Pick a row to go on with that run, or to delete it." if state.runs else none
        problem = f"<div class='wb-error' role='alert'>{escape(state.unkept)}</div>" if state.unkept else ""
        note.value = f"<div class='wb-soft'>{words}</div>{problem}"

    def ask(number: int = 0) -> None:
        nonlocal asked
        asked = number
        forget.description = f"Really delete run {number}?" if number else "Delete"
        forget.button_style = "danger" if number else ""
        forget.tooltip = "It cannot be had again" if number else "Take the picked run out of the store, for good"

    def delete(_: object) -> None:
        number = picked()
        if not number or asked == number:  # without one it is said that one is to be picked
            ask()
            state.forget(number)
        else:
            ask(number)

    def busy(_: object = None) -> None:
        resume.disabled = forget.disabled = not picked() or state.job.running
        ask()  # whoever does something else does not want it

    resume.on_click(lambda _: state.resume(picked()))
    forget.on_click(delete)
    state.observe(fill, ["runs", "unkept"])
    state.job.observe(busy, ["running"])
    table.observe(busy, ["selected"])
    fill()
    busy()
    row_layout = {"grid_gap": "8px", "flex_flow": "row wrap", "align_items": "center"}
    return w.VBox(
        [sweep_box(state), table, note, w.HBox([resume, forget, csv], layout=row_layout)], layout={"grid_gap": "6px"}
    )


def sweep_box(state: State) -> w.Widget:
    """Several budgets at once."""
    span = w.FloatRangeSlider(
        value=(1.5, 6.0),
        min=1.1,
        max=10.0,
        step=0.1,
        readout_format=".1f",
        description="fewer MACs, from - to",
        style={"description_width": "142px"},
        layout={"width": "430px"},
    )
    number = WholeBox("budgets", 4, 2, 12, width=122, label=62)
    after = w.Dropdown(
        options=AFTER, description="then", style={"description_width": "32px"}, layout={"width": "256px"}
    )
    start = w.Button(description="Sweep", button_style="primary", layout={"width": "100px"})
    start.tooltip = "Compress to every budget and recover each; the points come as they are ready"

    def busy(_: object = None) -> None:
        start.disabled = state.job.running or state.plan is None or bool(state.misfit) or not state.results
        for box in (span, number, after):
            box.disabled = state.job.running

    def sweep(_: object) -> None:
        epochs = Training(epochs=5, schedule="cosine", learn_from="both")
        least, most = span.value
        state.sweep(budgets(least, most, number.value), after.value, epochs)

    start.on_click(sweep)
    state.job.observe(busy, ["running"])
    state.observe(busy, ["plan", "misfit", "results"])
    busy()
    row_layout = {"grid_gap": "8px", "flex_flow": "row wrap", "align_items": "center"}
    progress = progress_bar(state, "Sweeping", "Opening run", idle="")
    return w.VBox([w.HBox([span, number, after, start, number.words], layout=row_layout), progress])


def budgets(least: float, most: float, number: int) -> list[float]:
    """So many ratios between two, each the same factor above the one before, to two digits behind the point."""
    step = (most / least) ** (1 / (number - 1)) if number > 1 else 1.0
    return [round(least * step**i, 2) for i in range(number)]


def row(run: Run) -> dict[str, Any]:
    """What the table shows of a run."""
    scores = {r.stage: _score(r.score) for r in results_of(run) if r.score}
    return {
        "name": str(run.number),
        "number": run.number,
        "created": run.created[:16].replace("T", " "),
        "plan": run.plan.describe(),
        "macs": times(run.plan.macs_ratio),
        "weights": times(run.plan.weights_ratio),
        **{stage: scores.get(stage, "-") for stage in STAGES},
    }


def _score(score: Accuracy) -> str:
    """Two lines, the second is shown small."""
    low, high = score.interval
    return f"{score.top1:.1f} %\n{low:.1f} to {high:.1f} % ({score.n})"


def csv_link(runs: tuple[Run, ...]) -> str:
    """A link that downloads the runs; it holds them, so that no server is asked."""
    if not runs:
        return ""
    content = b64encode(Runs(runs).to_csv().encode()).decode()
    return f"<a class='wb-link' download='runs.csv' href='data:text/csv;base64,{content}'>Download as CSV</a>"
