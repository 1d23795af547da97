"""Base class of our own widgets, with two minutes to load their code; and text from outside, made readable."""

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
    """Return the JavaScript of a widget's file, after that of ``common.js``."""
    return "".join((HERE / file).read_text(encoding="utf-8") for file in ("common.js", name))


class PageWidget(anywidget.AnyWidget):
    """An anywidget whose code may take two minutes to load, not two seconds; Voila's template allows as much."""

    def __init__(self, **traits: object) -> None:
        _longer_timeout()
        super().__init__(**traits)


class ItemsWidget(PageWidget):
    """A page widget with a large trait, of which only the items that change are sent."""

    items: ClassVar[str]
    """Name of the trait, a list or a dictionary."""

    def __init__(self, **traits: object) -> None:
        super().__init__(**traits)
        # asked once the page shows the widget: what was sent while it loaded may be lost
        self.on_msg(lambda _, content, __: self.send_state(self.items) if content == {"kind": "whole"} else None)

    def set_items(self, new: Any) -> None:
        """Set the trait; send its items that differ, or all where there are others than before."""
        old = getattr(self, self.items)
        if len(old) != len(new) or (isinstance(new, dict) and old.keys() != new.keys()):
            setattr(self, self.items, new)
            return
        changed = {key: new[key] for key in (new if isinstance(new, dict) else range(len(new))) if new[key] != old[key]}
        for key, value in changed.items():
            old[key] = value  # in place, which traitlets does not send
        if changed:
            self.send({"kind": "items", "items": changed})


@lru_cache(maxsize=1)
def _longer_timeout() -> anywidget.AnyWidget:
    return anywidget.AnyWidget(_esm=ESM)


def in_voila() -> bool:
    """Return whether Voila serves the page."""
    return os.environ.get("SERVER_SOFTWARE", "").startswith("voila")


def limit_threads() -> None:
    """Have PyTorch take ``$WORKBENCH_THREADS`` threads, or one under Voila: its kernels share the machine."""
    if in_voila() or "WORKBENCH_THREADS" in os.environ:
        torch.set_num_threads(setting("WORKBENCH_THREADS", 1))


def bundle(widget: Any, still: Callable[[], Any], **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the MIME bundle of a widget; unless Voila serves it, where it is alive, also that of a still picture."""
    shown = widget._repr_mimebundle_(**kwargs)
    if in_voila():
        return shown, {}
    picture, metadata = still()._repr_mimebundle_()
    return {**shown, **picture}, metadata


def readable(text: str, max_characters: int = 80) -> str:
    """Return the text without control characters and direction marks; of a long one the beginning and the end."""
    kept = text if len(text) <= 4 * max_characters else text[: 2 * max_characters] + text[-2 * max_characters :]
    seen = " ".join("".join(filter(str.isprintable, kept)).split())
    tail = max_characters // 3
    return seen if len(seen) <= max_characters else f"{seen[: max_characters - tail - 3]}...{seen[-tail:]}"


def shown(value: Any) -> str:
    """Return a value of the page as it was sent, in at most forty characters."""
    return "nothing" if value is None else readable(repr(value), 40)
