"""What can wait while the hand moves a slider: what is not under its eye. No widgets."""

import asyncio
from collections.abc import Callable

REST = 0.6
"""Seconds without a change after which the hand is taken to rest."""


class Later:
    """Something to be done once the hand rests, once however often it was asked for meanwhile.

    Where no event loop runs (a script, a test) it is done at once.

    Parameters
    ----------
    do : what is to be done, in the thread of the loop, which is the one that may change widgets.
    """

    def __init__(self, do: Callable[[], None]) -> None:
        self._do = do
        self._waiting: asyncio.TimerHandle | None = None
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    def __call__(self, _: object = None) -> None:
        """Ask for it."""
        if self._loop is None or self._loop.is_closed():
            self._do()
            return
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = self._loop.call_later(REST, self._do)
