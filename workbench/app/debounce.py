"""Call a function once after a burst of requests."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

DELAY_S = 0.6  # from the last request to the call


class Debounce:
    """Calls a function once, `delay_s` after the last request; at once if no event loop runs."""

    def __init__(self, function: Callable[[], object], delay_s: float = DELAY_S) -> None:
        self._function, self._delay_s = function, delay_s
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        with suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()

    def __call__(self, *_: object) -> None:
        """Request a call."""
        if self._timer is not None:
            self._timer.cancel()
        if self._loop is None or self._loop.is_closed():
            self._function()
        else:
            self._timer = self._loop.call_later(self._delay_s, self._function)
