"""A plotly figure as plain dictionaries, filled in the same words as the figure itself.

plotly.py validates whatever is assigned: that finds mistakes while a figure is built, and takes three quarters of the
kernel's time while a hand moves a slider. The `fill_...` functions take either.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import plotly.graph_objects as go
from plotly.basedatatypes import BaseFigure


class Plain:
    """Attributes that are entries of a dictionary; one that is not there yet is made when something is put into it.

    Parameters
    ----------
    inside : what it reads and writes.
    """

    __slots__ = ("_inside",)

    def __init__(self, inside: dict[str, Any]) -> None:
        object.__setattr__(self, "_inside", inside)

    def __getattr__(self, name: str) -> Any:
        """The value; a dictionary, there or not, as a :class:`Plain` of its own, and so in lists."""
        if name.startswith("__"):
            raise AttributeError(name)
        value = self._inside.get(name)
        if value is None:
            value = self._inside[name] = {}
        return _plain(value)

    def __setattr__(self, name: str, value: Any) -> None:
        """Put it there; None takes away what is there."""
        if value is None:
            self._inside.pop(name, None)
        else:
            self._inside[name] = value

    __getitem__ = __getattr__
    __setitem__ = __setattr__


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return Plain(value)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [Plain(one) for one in value]
    return value


class PlainFigure(Plain):
    """All of a figure: `data` and `layout`.

    Parameters
    ----------
    figure : it is copied, without its template: ours is empty, and plotly.js takes any for a new one each time.
    """

    def __init__(self, figure: go.Figure) -> None:
        whole = figure.to_dict()
        whole["layout"].pop("template", None)
        super().__init__(whole)

    @property
    def parts(self) -> dict[str, Any]:
        """The dictionary itself."""
        return dict(self._inside)

    def batch_update(self) -> AbstractContextManager[None]:
        """Nothing happens in between anyway."""
        return nullcontext()

    def update_xaxes(self, **changes: Any) -> None:
        """The same for all of its x axes."""
        self._update("xaxis", changes)

    def update_yaxes(self, **changes: Any) -> None:
        """The same for all of its y axes."""
        self._update("yaxis", changes)

    def _update(self, kind: str, changes: dict[str, Any]) -> None:
        for axis in self._axes(kind):
            for name, value in changes.items():
                setattr(axis, name, value)

    def _axes(self, kind: str) -> Iterator[Plain]:
        layout = self._inside["layout"]
        return (Plain(layout[name]) for name in list(layout) if name.startswith(kind))


Drawing: TypeAlias = BaseFigure | PlainFigure
"""What a `fill_...` function fills."""
