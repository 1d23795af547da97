"""Build the controls of the page, and link them to models."""

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
    """Call a function now and whenever a trait changes; a source is (model, names of traits, blanks between)."""
    for model, names in sources:
        model.observe(lambda _: update(), names.split())
    update()


def updated_html(text: Callable[[], str], *sources: tuple[HasTraits, str], **layout: str) -> w.HTML:
    """Return a widget with the HTML that a function returns, now and whenever a trait changes; see `follow`."""
    box = w.HTML(layout=layout)
    follow(lambda: setattr(box, "value", text()), *sources)
    return box


class UserChanges:
    """Tells the changes that a user makes in boxes from those made within `filling`."""

    def __init__(self) -> None:
        self._filling = False

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Change boxes without a call of what observes them."""
        self._filling = True
        try:
            yield
        finally:
            self._filling = False

    def observe(self, box: w.Widget, act: Callable[[str, Any], object], name: str) -> None:
        """Call a function with this name and each value that the user gives the box."""
        box.observe(lambda change: None if self._filling else act(name, change["new"]), "value")


def button(
    text: str, act: Callable[[], object], tooltip: str = "", *, width: str | None = None, primary: bool = False
) -> w.Button:
    """Return a button that calls a function."""
    style = "primary" if primary else ""
    made = w.Button(description=text, tooltip=tooltip, button_style=style, layout={"width": width})
    made.on_click(lambda _: act())
    return made


def slot(kind: Any, text: str, width: int, label: int, **more: Any) -> Any:
    """Return a box with a text beside it; `width` is that of both and `label` that of the text, in pixels."""
    layout, style = {"width": f"{width}px"}, {"description_width": f"{label}px"}
    return kind(description=text, layout=layout, style=style, **more)


def limited(kind: Any, text: str, limits: tuple[float, float], width: int, label: int, **more: Any) -> Any:
    """Return a slot for a number; its limits are checked when the page sends one, see `validate_messages`."""
    box = slot(kind, text, width, label, **more)
    box.min, box.max = limits
    box.tooltip = "{}; {:g} to {:g}".format(box.tooltip or text, *limits)
    return box


class Alert(w.HTML):  # type: ignore[misc]
    """A sentence on what went wrong, or in the colours of a warning; it takes no room while there is none."""

    def __init__(self, kind: str = "error") -> None:
        super().__init__(layout={"display": "none"})
        self._kind = kind

    def say(self, text: str) -> None:
        """Show a sentence; "" for none."""
        self.value = f"<div class='wb-{self._kind}' role='alert'>{escape(text)}</div>" if text else ""
        self.layout.display = "" if text else "none"


def expert(widget: Any) -> Any:
    """Mark a widget as one that is shown to experts only; return it."""
    return widget.add_class("wb-expert")


def row(*children: w.Widget, gap: int = 8) -> w.HBox:
    """Return widgets beside each other, which wrap where the page is narrow; `gap` in pixels."""
    return w.HBox(children, layout={"grid_gap": f"{gap}px", "flex_flow": "row wrap", "align_items": "center"})


def column(*children: w.Widget, gap: int = 6) -> w.VBox:
    """Return widgets below each other; `gap` in pixels."""
    return w.VBox(children, layout={"grid_gap": f"{gap}px"})


def beside(*parts: tuple[w.Widget, int]) -> w.HBox:
    """Return widgets beside each other, each with its share of the width; below each other where the page is narrow."""
    for widget, share in parts:
        widget.layout.flex, widget.layout.min_width = f"{share} 1 0%", "min(100%, 380px)"
    return w.HBox([widget for widget, _ in parts], layout={"grid_gap": "20px", "flex_flow": "row wrap"})


def data_url(image: Image, side: int | None) -> str:
    """Return a picture as a data URL; small ones are enlarged without blurring, large ones reduced to `side` pixels."""
    picture, content = Pillow.fromarray(image), BytesIO()
    kind = "PNG" if side is None or max(picture.size) <= side else "JPEG"
    if side is not None:
        picture.thumbnail((2 * side, 2 * side))
    picture.save(content, kind, quality=85)
    return f"data:image/{kind.lower()};base64,{b64encode(content.getvalue()).decode()}"
