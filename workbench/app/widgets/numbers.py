"""Input boxes for numbers, which say why a number was not accepted.

The bounded boxes of ipywidgets put the nearest allowed number in its place without a word.
"""

from html import escape
from typing import Any

import ipywidgets as w
from traitlets import validate

from workbench.app.widgets.base import shown


class _Bounded:
    """Base class of both boxes; `width` and `label` are pixels of the box with its text, and of the text."""

    def __init__(
        self, text: str, value: float, least: float, most: float, hint: str = "", *, width: int, label: int, **more: Any
    ) -> None:
        self.least, self.most, self._taken = least, most, value
        self.words = w.HTML(layout={"display": "none"})  # why the last number was not taken, or nothing
        tooltip = f"{hint}; {least:g} to {most:g}" if hint else f"{least:g} to {most:g}"
        about = {"description": text, "tooltip": tooltip, "layout": {"width": f"{width}px"}}
        super().__init__(**{"value": value, "style": {"description_width": f"{label}px"}, **about, **more})

    @validate("value")
    def _possible(self, proposal: dict[str, Any]) -> Any:
        """Return the number if it is within the limits, else the previous one."""
        value = proposal["value"]
        self.clear_words()
        if self.least <= value <= self.most:
            self._taken = value
        else:
            name = self.description  # type: ignore[attr-defined]
            can = f"{self.least:g} to {self.most:g}, not {shown(value)}"
            said = f"{name[0].upper()}{name[1:]} can be {can}: it is still {self._taken:g}."
            self.words.value, self.words.layout.display = f"<div class='wb-error' role='alert'>{escape(said)}</div>", ""
        return self._taken

    def clear_words(self) -> None:
        """Remove the message about a number that was not accepted."""
        self.words.value, self.words.layout.display = "", "none"


class WholeBox(_Bounded, w.IntText):  # type: ignore[misc]
    """A box for whole numbers."""


class NumberBox(_Bounded, w.FloatText):  # type: ignore[misc]
    """A box for any numbers."""
