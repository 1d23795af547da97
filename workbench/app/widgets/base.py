"""Widgets of our own that a slow page does not lose.

anywidget 0.11 gives every widget two seconds to load its code on the page. One that takes longer hears nothing from its
kernel ever again. On a busy machine, and with plotly.js to be read, that happens now and then. So the first thing that
a page gets from us is a widget that makes these two seconds two minutes; in Voila the page's template has done so.
"""

from functools import lru_cache

import anywidget

ESM = """
if (!window.workbenchServed && !window.workbenchPatience) {
  window.workbenchPatience = true;
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  AbortSignal.timeout = (milliseconds) => timeout(milliseconds === 2000 ? 120000 : milliseconds);
}
export default {};
"""


class PatientWidget(anywidget.AnyWidget):
    """An anywidget; before the first of them the page learns to wait."""

    def __init__(self, **traits: object) -> None:
        _patience()
        super().__init__(**traits)


class _Patience(anywidget.AnyWidget):
    _esm = ESM


@lru_cache(maxsize=1)
def _patience() -> _Patience:
    return _Patience()
