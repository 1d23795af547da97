"""Check what a page sends: a value that cannot be becomes a sentence, never a traceback, and changes nothing."""

import logging
from functools import partial
from typing import Any

import ipywidgets as w
from traitlets import TraitError

from workbench.app.controls import Alert
from workbench.app.errors import sentence
from workbench.app.widgets.base import shown
from workbench.app.widgets.layer_table import LayerTable
from workbench.app.widgets.page_start import below

log = logging.getLogger(__name__)

NONSENSE = "was sent something that makes no sense"
INTEGER_WIDGETS = (w.IntSlider, w.IntText)
NUMBER_WIDGETS = (*INTEGER_WIDGETS, w.FloatSlider, w.FloatText, w.FloatRangeSlider)


def validate_messages(page: w.Widget, alert: Alert) -> None:
    """Check every message of the page to its widgets, layouts and styles; `alert` says what was refused."""
    for widget in below(page):
        for part in (widget, getattr(widget, "layout", None), getattr(widget, "style", None)):
            if isinstance(part, w.Widget):
                part.comm.on_msg(partial(_receive, part, alert))


def _receive(widget: w.Widget, alert: Alert, message: Any) -> None:
    data = message["content"].get("data")
    method = data.get("method") if isinstance(data, dict) else None
    values = data.get("state") if method == "update" else None
    problem = ""
    try:
        if method == "update":
            problem = refusal(widget, values)
            if not problem:
                alert.say("")
                widget.set_state(values)
        elif method == "request_state" or (method == "custom" and isinstance(data.get("content"), dict)):
            widget._handle_msg(message)
        else:
            problem = NONSENSE
    except (TraitError, LookupError):
        log.info("refused: %s", data, exc_info=True)
        problem = f"cannot be {', '.join(map(shown, (values or {}).values()))}"
    except Exception as error:
        log.exception("a message of the page failed")
        alert.say(f"There is a fault in the workbench ({type(error).__name__}); the log has the details.")
    if problem:
        name = getattr(widget, "description", "") or getattr(widget, "label", "")
        subject = f'"{name}"' if name else "a part of the page"
        alert.say(sentence(ValueError(f"{subject} {problem}: nothing was changed")))
    if problem and isinstance(values, dict):
        widget.send_state([key for key in values if key in widget.keys])  # the page is to show what is


def refusal(widget: w.Widget, values: Any) -> str:
    """Return why these values are not valid for the widget, in words that follow its name; "" if no error is found."""
    if not isinstance(values, dict):
        return NONSENSE
    fixed = [key for key, trait in widget.traits().items() if key in values and trait.read_only]
    if fixed:
        return f"has nothing that a page may set by {shown(fixed[0])}"
    if isinstance(widget, NUMBER_WIDGETS) and "value" in values:
        return _number(widget, values["value"])
    if isinstance(widget, w.Dropdown) and values.get("index", 0) is None:
        return "cannot be left open"
    row = values.get("selected") if isinstance(widget, LayerTable) else None
    return f"has no row {shown(row)}" if row and row not in [line["name"] for line in widget.rows] else ""


def _number(widget: w.Widget, value: Any) -> str:  # ipywidgets takes NaN, or the nearest number without a word
    pair, whole = isinstance(widget, w.FloatRangeSlider), isinstance(widget, INTEGER_WIDGETS)
    numbers = value if pair and isinstance(value, list) else [value]
    valid = all(
        type(number) in (int, float) and widget.min <= number <= widget.max and not (whole and number % 1)
        for number in numbers
    )
    if valid and (not pair or (len(numbers) == 2 and numbers[0] <= numbers[1])):
        return ""
    kind = "a whole number" if whole else "two numbers, the smaller one first," if pair else "a number"
    return f"takes {kind} from {widget.min:g} to {widget.max:g}, not {shown(value)}"
