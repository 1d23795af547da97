"""Check the messages of a page: an invalid value changes nothing and becomes a sentence, never a traceback."""

import logging
from functools import partial
from typing import Any

import ipywidgets as w
from traitlets import TraitError

from workbench.app.controls import Alert
from workbench.app.errors import sentence
from workbench.app.widgets.base import value_text
from workbench.app.widgets.layer_table import LayerTable
from workbench.app.widgets.page_start import walk

log = logging.getLogger(__name__)

NONSENSE = "was sent something that makes no sense"
INTEGER_WIDGETS = (w.IntSlider, w.IntText)
NUMBER_WIDGETS = (*INTEGER_WIDGETS, w.FloatSlider, w.FloatText, w.FloatRangeSlider)


def validate_messages(page: w.Widget, alert: Alert) -> None:
    """Check every message to the page's widgets, layouts and styles; `alert` shows why a value was refused."""
    for widget in walk(page):
        for target in (widget, getattr(widget, "layout", None), getattr(widget, "style", None)):
            if isinstance(target, w.Widget):
                target.comm.on_msg(partial(_receive, target, alert))


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
        problem = f"cannot be {', '.join(map(value_text, (values or {}).values()))}"
    except Exception as error:
        log.exception("a message of the page failed")
        alert.say(f"There is a fault in the workbench ({type(error).__name__}); the log has the details.")
    if problem:
        name = getattr(widget, "description", "") or getattr(widget, "label", "")
        subject = f'"{name}"' if name else "a part of the page"
        alert.say(sentence(ValueError(f"{subject} {problem}: nothing was changed")))
    if problem and isinstance(values, dict):
        widget.send_state([key for key in values if key in widget.keys])  # so that the page shows the unchanged values


def refusal(widget: w.Widget, values: Any) -> str:
    """Return why the values are invalid for the widget, as words that follow its name; "" if they are valid."""
    if not isinstance(values, dict):
        return NONSENSE
    read_only = [key for key, trait in widget.traits().items() if key in values and trait.read_only]
    if read_only:
        return f"has nothing that a page may set by {value_text(read_only[0])}"
    if isinstance(widget, NUMBER_WIDGETS) and "value" in values:
        return _number_problem(widget, values["value"])
    if isinstance(widget, w.Dropdown) and values.get("index", 0) is None:
        return "cannot be left open"
    row = values.get("selected") if isinstance(widget, LayerTable) else None
    return f"has no row {value_text(row)}" if row and row not in [line["name"] for line in widget.rows] else ""


def _number_problem(widget: w.Widget, value: Any) -> str:  # ipywidgets accepts NaN, and silently clamps numbers
    is_range, is_integer = isinstance(widget, w.FloatRangeSlider), isinstance(widget, INTEGER_WIDGETS)
    numbers = value if is_range and isinstance(value, list) else [value]
    valid = all(
        type(number) in (int, float) and widget.min <= number <= widget.max and not (is_integer and number % 1)
        for number in numbers
    )
    if valid and (not is_range or (len(numbers) == 2 and numbers[0] <= numbers[1])):
        return ""
    kind = "a whole number" if is_integer else "two numbers, the smaller one first," if is_range else "a number"
    return f"takes {kind} from {widget.min:g} to {widget.max:g}, not {value_text(value)}"
