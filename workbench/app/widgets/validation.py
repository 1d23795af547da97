"""Check what a page sends: a value that cannot be becomes a sentence, never a traceback, and changes nothing.

ipywidgets checks kinds and moves numbers to the nearest that is allowed, all without a word; NaN passes, and what does
not pass is a traceback to the page.
"""

import logging
import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import ipywidgets as w
from traitlets import TraitError

from workbench.app.errors import sentence
from workbench.app.steps.plan.model import PlanModel
from workbench.app.widgets.layer_table import LayerTable
from workbench.app.widgets.names import shown
from workbench.app.widgets.resend import below

log = logging.getLogger(__name__)

NOTHING = "nothing was changed"
WHOLE = (w.IntSlider, w.IntText)
NUMBERS = (*WHOLE, w.FloatSlider, w.FloatText, w.FloatRangeSlider)


def validate_messages(page: w.Widget, plan: PlanModel) -> None:
    """Check every message of the page to its widgets; the plan's `notice` says what was refused."""
    for widget in _all(page):
        widget.comm.on_msg(partial(_receive, widget, plan))


def _all(page: w.Widget) -> Iterator[w.Widget]:
    """Return all widgets of a page, layouts and styles included."""
    for widget in below(page):
        yield widget
        yield from (part for name in ("layout", "style") if isinstance(part := getattr(widget, name, None), w.Widget))


def _receive(widget: w.Widget, plan: PlanModel, message: Any) -> None:
    data = message["content"].get("data")
    method = data.get("method") if isinstance(data, dict) else None
    values = data.get("state") if method == "update" else None
    problem = ""
    try:
        if method == "update":
            problem = refusal(widget, values)
            if not problem:
                widget.set_state(values)
        elif method == "request_state" or (method == "custom" and isinstance(data.get("content"), dict)):
            widget._handle_msg(message)
        else:
            problem = f"{_name(widget)} was sent something that makes no sense: {NOTHING}"
    except (TraitError, LookupError):
        log.info("refused: %s", data, exc_info=True)
        sent = ", ".join(map(shown, values.values())) if isinstance(values, dict) else ""
        problem = f"{_name(widget)} cannot be {sent}: {NOTHING}"
    except Exception as error:
        log.exception("a message of the page failed")
        problem = f"there is a fault in the workbench ({type(error).__name__}); the log has the details"
    if problem:
        plan.refuse(sentence(ValueError(problem)))
        known = [key for key in values if key in widget.keys] if isinstance(values, dict) else []
        if known:
            widget.send_state(known)  # the page is to show what is


def refusal(widget: w.Widget, values: Any) -> str:
    """Return why these values are not valid for the widget, in a sentence; "" if no error is found."""
    name = _name(widget)
    if not isinstance(values, dict):
        return f"{name} was sent something that makes no sense: {NOTHING}"
    fixed = [key for key in values if widget.has_trait(key) and widget.traits()[key].read_only]
    if fixed:
        return f"{name} has nothing that a page may set by {shown(fixed[0])}: {NOTHING}"
    if isinstance(widget, NUMBERS) and "value" in values:
        return _number(widget, name, values["value"])
    if isinstance(widget, w.Dropdown) and values.get("index", 0) is None:
        return f"{name} cannot be left open: {NOTHING}"
    if isinstance(widget, LayerTable) and values.get("selected"):
        row = values["selected"]
        if row not in [line["name"] for line in widget.rows]:
            return f"{name} has no row {shown(row)}: {NOTHING}"
    return ""


def _number(widget: w.Widget, name: str, value: Any) -> str:
    pair = isinstance(widget, w.FloatRangeSlider)
    numbers = value if pair and isinstance(value, list | tuple) and len(value) == 2 else [value]
    least, most = getattr(widget, "min", -math.inf), getattr(widget, "max", math.inf)
    kind = "a whole number" if isinstance(widget, WHOLE) else "two numbers" if pair else "a number"
    for number in numbers:
        if not _is_number(number, isinstance(widget, WHOLE)):
            return f"{name} takes {kind}, not {shown(number)}: {NOTHING}"
        if not least <= number <= most:
            return f"{name} can be {least:g} to {most:g}, not {shown(number)}: {NOTHING}"
    if pair and (len(numbers) != 2 or numbers[0] > numbers[1]):
        return f"{name} takes {kind}, the smaller one first, not {shown(value)}: {NOTHING}"
    return ""


def _is_number(value: Any, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or (math.isfinite(value) and (not whole or value.is_integer()))


def _name(widget: w.Widget) -> str:
    """Return the widget's name on the page."""
    name = getattr(widget, "description", "") or getattr(widget, "label", "")
    return f'"{name}"' if name else "a part of the page"
