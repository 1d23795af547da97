"""Build the controls of the page and link them to models."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from io import BytesIO
from typing import Any

import ipywidgets as w
from PIL import Image as Pillow
from traitlets import HasTraits

from workbench.inspect.gallery import Image


def follow(update: Callable[[], object], *sources: tuple[HasTraits, str]) -> None:
    """Call a function now and after each change of a trait; a source is (model, "trait names, by blanks")."""
    for model, names in sources:
        model.observe(lambda _: update(), names.split())
    update()


def updated_html(text: Callable[[], str], *sources: tuple[HasTraits, str], **layout: str) -> w.HTML:
    """Return a widget that shows the HTML a function returns, updated after each change of a trait; see `follow`."""
    box = w.HTML(layout=layout)
    follow(lambda: setattr(box, "value", text()), *sources)
    return box


class UserChanges:
    """Calls functions when the user changes an input box, not when code does so within `filling`."""

    def __init__(self) -> None:
        self._filling = False

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Change boxes without calling their observers."""
        self._filling = True
        try:
            yield
        finally:
            self._filling = False

    def observe(self, box: w.Widget, act: Callable[[str, Any], object], name: str) -> None:
        """Call a function with `name` and the new value whenever the user changes the box."""
        box.observe(lambda change: None if self._filling else act(name, change["new"]), "value")


def button(
    text: str, act: Callable[[], object], tooltip: str = "", *, width: str | None = None, primary: bool = False
) -> w.Button:
    """Return a button that calls a function."""
    style = "primary" if primary else ""
    control = w.Button(description=text, tooltip=tooltip, button_style=style, layout={"width": width})
    control.on_click(lambda _: act())
    return control


def slot(widget_class: Any, text: str, width: int, label: int, **options: Any) -> Any:
    """Return an input box with its label; `width` is that of both and `label` that of the label, in pixels."""
    layout, style = {"width": f"{width}px"}, {"description_width": f"{label}px"}
    return widget_class(description=text, layout=layout, style=style, **options)


def limited(widget_class: Any, text: str, limits: tuple[float, float], width: int, label: int, **options: Any) -> Any:
    """Return a labelled box for a number; `validate_messages` checks its limits when the page sends a number."""
    box = slot(widget_class, text, width, label, **options)
    box.min, box.max = limits
    box.tooltip = "{}; {:g} to {:g}".format(box.tooltip or text, *limits)
    return box


class Alert(w.HTML):  # type: ignore[misc]
    """An error message, or a warning; hidden while it is empty."""

    def __init__(self, kind: str = "error") -> None:
        super().__init__(layout={"display": "none"})
        self._kind = kind

    def say(self, text: str) -> None:
        """Show a sentence; "" hides the alert."""
        self.value = f"<div class='wb-{self._kind}' role='alert'>{escape(text)}</div>" if text else ""
        self.layout.display = "" if text else "none"


def expert(widget: Any) -> Any:
    """Mark a widget as shown to experts only, and return it."""
    return widget.add_class("wb-expert")


def row(*children: w.Widget, gap: int = 8) -> w.HBox:
    """Return a row of widgets, which wraps on a narrow page; `gap` in pixels."""
    return w.HBox(children, layout={"grid_gap": f"{gap}px", "flex_flow": "row wrap", "align_items": "center"})


def column(*children: w.Widget, gap: int = 6) -> w.VBox:
    """Return a column of widgets; `gap` in pixels."""
    return w.VBox(children, layout={"grid_gap": f"{gap}px"})


def beside(*parts: tuple[w.Widget, int]) -> w.HBox:
    """Return a row of (widget, its share of the width), which becomes a column on a narrow page."""
    for widget, share in parts:
        widget.layout.flex, widget.layout.min_width = f"{share} 1 0%", "min(100%, 380px)"
    return w.HBox([widget for widget, _ in parts], layout={"grid_gap": "20px", "flex_flow": "row wrap"})


def data_url(image: Image, side: int | None) -> str:
    """Return a picture as a data URL; small ones are enlarged unblurred, large ones reduced to `side` pixels."""
    picture, content = Pillow.fromarray(image), BytesIO()
    kind = "PNG" if side is None or max(picture.size) <= side else "JPEG"
    if side is not None:
        picture.thumbnail((2 * side, 2 * side))
    picture.save(content, kind, quality=85)
    return f"data:image/{kind.lower()};base64,{b64encode(content.getvalue()).decode()}"
