"""Base classes of the page's own widgets, and functions that make text from the page readable."""

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import torch

from workbench.app.server.serve import setting

HERE = Path(__file__).parent

ESM = """
if (!window.workbenchServed && !window.workbenchTimeout) {
  window.workbenchTimeout = true;
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  AbortSignal.timeout = (milliseconds) => timeout(milliseconds === 2000 ? 120000 : milliseconds);
}
export default {};
"""


def script(name: str) -> str:
    """Return the code of ``common.js``, followed by that of a widget's JavaScript file."""
    return "".join((HERE / file).read_text(encoding="utf-8") for file in ("common.js", name))


class PageWidget(anywidget.AnyWidget):
    """An anywidget whose code may take two minutes to load, not two seconds, as in Voila's template."""

    def __init__(self, **traits: object) -> None:
        _timeout_widget()
        super().__init__(**traits)


class ItemsWidget(PageWidget):
    """A page widget with a large trait, of which it sends only the items that change."""

    items: ClassVar[str]
    """Name of the trait, a list or a dictionary."""

    def __init__(self, **traits: object) -> None:
        super().__init__(**traits)
        # The page asks for all items once it shows the widget: messages sent while it loads may be lost.
        self.on_msg(lambda _, content, __: self.send_state(self.items) if content == {"kind": "whole"} else None)

    def set_items(self, new: Any) -> None:
        """Set the trait; send only the items that changed, or all if items are new or gone."""
        old = getattr(self, self.items)
        if len(old) != len(new) or (isinstance(new, dict) and old.keys() != new.keys()):
            setattr(self, self.items, new)
            return
        changed = {key: new[key] for key in (new if isinstance(new, dict) else range(len(new))) if new[key] != old[key]}
        for key, value in changed.items():
            old[key] = value  # in place, so that traitlets does not send all
        if changed:
            self.send({"kind": "items", "items": changed})


@lru_cache(maxsize=1)
def _timeout_widget() -> anywidget.AnyWidget:
    return anywidget.AnyWidget(_esm=ESM)


def in_voila() -> bool:
    """Return whether Voila serves this kernel's page."""
    return os.environ.get("SERVER_SOFTWARE", "").startswith("voila")


def limit_threads() -> None:
    """Limit PyTorch to ``$WORKBENCH_THREADS`` threads, or to one under Voila, whose kernels share the machine."""
    if in_voila() or "WORKBENCH_THREADS" in os.environ:
        torch.set_num_threads(setting("WORKBENCH_THREADS", 1))


def bundle(widget: Any, draw_static: Callable[[], Any], **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a widget's MIME bundle and metadata; outside Voila with a static picture, for viewers without a kernel."""
    data = widget._repr_mimebundle_(**kwargs)
    if in_voila():
        return data, {}
    picture, metadata = draw_static()._repr_mimebundle_()
    return {**data, **picture}, metadata


def readable(text: str, max_characters: int = 80) -> str:
    """Return the text without control characters and direction marks; a long one is cut in the middle."""
    ends = text if len(text) <= 4 * max_characters else text[: 2 * max_characters] + text[-2 * max_characters :]
    clean = " ".join("".join(filter(str.isprintable, ends)).split())
    tail = max_characters // 3
    return clean if len(clean) <= max_characters else f"{clean[: max_characters - tail - 3]}...{clean[-tail:]}"


def value_text(value: Any) -> str:
    """Return a value that the page sent as text of at most 40 characters."""
    return "nothing" if value is None else readable(repr(value), 40)
