"""The bar at the top: the journey's steps, what comes next, "Compress for me", undo, and an earlier session's offer."""

from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as w
import traitlets

from workbench.app.autosave import Keeper
from workbench.app.progress_of_steps import journey
from workbench.app.state import State
from workbench.app.steps.speed.model import Speeds
from workbench.app.steps.take_home.model import Exports
from workbench.app.tasks import ENOUGH, FOR_ME
from workbench.app.widgets.base import PatientWidget
from workbench.app.widgets.progress import progress_bar

HERE = Path(__file__).parent


class Guide(PatientWidget):
    """The steps; what the page says of itself goes to `keeper` and `state`, and a heartbeat is answered."""

    _esm = HERE / "guide.js"
    steps: traitlets.List[Any] = traitlets.List().tag(sync=True)

    def __init__(self, state: State, keeper: Keeper) -> None:
        super().__init__()
        self._state, self._keeper = state, keeper
        self.on_msg(self._heard)

    def _heard(self, _: object, content: Any, __: object) -> None:
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "beat":
            self.send({"kind": "beat"})
        elif kind == "here":
            self._keeper.arrived(content.get("browser"))
        elif kind == "undo":
            self._state.undo()
        elif kind == "redo":
            self._state.redo()


def guide_panel(state: State, speeds: Speeds, exports: Exports, keeper: Keeper | None = None) -> w.Widget:
    """The steps, and what can be done at any time."""
    keeper = keeper or Keeper(state)
    guide = Guide(state, keeper)
    for_me = w.Button(description="Compress for me", button_style="primary", layout={"width": "148px"})
    for_me.tooltip = (
        "Compress by the plan below, calibrate, and fine-tune as far as the images allow; if more than "
        f"{ENOUGH:g} point of accuracy is lost, try again and save less"
    )
    undo, redo = (w.Button(description=text, layout={"width": "72px"}) for text in ("Undo", "Redo"))
    notice = w.HTML()

    def steps(_: object = None) -> None:
        exported = bool(exports.made)
        found = [asdict(s) for s in journey(state, timed=speeds.findings is not None, exported=exported)]
        if guide.steps != found:
            guide.steps = found

    def buttons(_: object = None) -> None:
        for_me.disabled = state.job.running or state.plan is None or state.original is None
        undo.disabled, redo.disabled = not state.undoable, not state.redoable
        undo.tooltip = f"Take back: {state.undoable} (Ctrl+Z)" if state.undoable else "Nothing to take back"
        redo.tooltip = f"Again: {state.redoable} (Ctrl+Shift+Z)" if state.redoable else "Nothing was taken back"

    def told(_: object = None) -> None:
        other = "This browser has another session open: the runs of both are in one list, the plans are apart."
        texts = [keeper.problem, other if keeper.elsewhere else ""]
        notice.value = "".join(f"<div class='wb-warn' role='status'>{escape(text)}</div>" for text in texts if text)
        notice.layout.display = "" if notice.value else "none"  # an empty line would be a gap in the bar

    for_me.on_click(lambda _: state.compress_for_me())
    undo.on_click(lambda _: state.undo())
    redo.on_click(lambda _: state.redo())
    state.observe(steps, ["network", "data", "plan", "selected", "results", "smaller", "number"])
    state.job.observe(steps, ["error", "running"])
    speeds.observe(steps, ["findings"])
    exports.observe(steps, ["made"])
    state.observe(buttons, ["plan", "results", "undoable", "redoable"])
    state.job.observe(buttons, ["running"])
    keeper.observe(told, ["problem", "elsewhere"])
    steps()
    buttons()
    told()
    progress = progress_bar(state, FOR_ME, idle="")
    progress.layout.flex = "1 1 300px"
    row = w.HBox([for_me, undo, redo, progress], layout={"grid_gap": "8px", "align_items": "center"})
    row.layout.flex_flow = "row wrap"
    box = w.VBox([guide, row, notice, offer_box(state, keeper)], layout={"grid_gap": "6px"})
    box.add_class("wb-card")
    box.add_class("wb-top")
    return box


def offer_box(state: State, keeper: Keeper) -> w.Widget:
    """What an earlier session has left, with what can be done about it; over the page, so that nothing jumps."""
    text = w.HTML()
    accept = w.Button(description="Go on", button_style="primary", layout={"width": "92px", "flex": "none"})
    accept.tooltip = "Open the same network, plan and run, and go on with training that was cut off"
    decline = w.Button(
        description="Begin anew", tooltip="Forget that session; its runs stay", layout={"width": "auto", "flex": "none"}
    )
    box = w.HBox([text, accept, decline])
    box.add_class("wb-offer")

    def fill(_: object = None) -> None:
        left = keeper.offer
        box.layout.display = "none" if left is None else "flex"
        accept.disabled = left is None or (state.job.running and not state.opening)
        if left is not None:
            words = f"<b>You were here before:</b> {escape(left.saved.describe())}."
            if left.saved.doing:
                words += f" <b>{escape(left.saved.doing)}</b> was cut off and can go on."
            text.value = f"<div role='status'>{words}</div>"

    accept.on_click(lambda _: keeper.accept())
    decline.on_click(lambda _: keeper.decline())
    keeper.observe(fill, ["offer"])
    state.job.observe(fill, ["running"])
    fill()
    return box
