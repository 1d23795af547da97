"""Base class of our own widgets, which a slow page does not lose; and text from outside, made fit for the page."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import anywidget

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
    """Return a widget's JavaScript, with the functions that all of them share before it."""
    return "".join((HERE / file).read_text(encoding="utf-8") for file in ("common.js", name))


class PageWidget(anywidget.AnyWidget):
    """An anywidget; the first gives its code two minutes to load instead of two seconds, as Voila's template does."""

    def __init__(self, **traits: object) -> None:
        _longer_timeout()
        super().__init__(**traits)


@lru_cache(maxsize=1)
def _longer_timeout() -> anywidget.AnyWidget:
    return anywidget.AnyWidget(_esm=ESM)


def readable(text: str, max_characters: int = 80) -> str:
    """Return the text without control characters and direction marks; of a long one the beginning and the end."""
    kept = text if len(text) <= 4 * max_characters else text[: 2 * max_characters] + text[-2 * max_characters :]
    seen = " ".join("".join(filter(str.isprintable, kept)).split())
    tail = max_characters // 3
    return seen if len(seen) <= max_characters else f"{seen[: max_characters - tail - 3]}...{seen[-tail:]}"


def shown(value: Any) -> str:
    """Return a value of the page as it was sent, in at most forty characters."""
    return "nothing" if value is None else readable(repr(value), 40)
