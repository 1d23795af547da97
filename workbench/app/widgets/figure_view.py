"""A plotly figure on the page that cannot fall behind.

``plotly.FigureWidget`` sends what has changed: a change that arrives while the page is still loading is lost, and the
figure stays empty (seen in one load of five). It also sends five megabytes of library for each figure. This view
sends the figure whole, which for ours is a few kilobytes, and the library once to a page that has none of its own.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Concatenate, ParamSpec

import plotly.graph_objects as go
import traitlets
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from workbench.app.widgets.base import PatientWidget
from workbench.plot.interactive.base import DARK
from workbench.plot.interactive.plain import Drawing, PlainFigure

HERE = Path(__file__).parent
P = ParamSpec("P")


class FigureView(PatientWidget):
    """Shows a figure, which can be saved as PNG, SVG and CSV; change it through :meth:`show`.

    `traces` and `around` are the JSON of its data and of its layout: where only the latter changes, as while a hand
    moves a rank, plotly.js redraws only that. `picked` is the id of the point that was clicked last.
    """

    _esm = HERE / "figure_view.js"
    _css = HERE / "figure_view.css"
    traces = traitlets.Unicode().tag(sync=True)
    around = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    picked = traitlets.Unicode().tag(sync=True)
    dark = traitlets.Dict(DARK).tag(sync=True)

    def __init__(self, figure: go.Figure, label: str) -> None:
        self._figure = PlainFigure(figure)
        super().__init__(label=label, **self._parts())
        self.on_msg(_asked)

    def show(self, fill: Callable[Concatenate[Drawing, P], None], *args: P.args, **kwargs: P.kwargs) -> None:
        """``fill(figure, ...)``, then send the result to the page."""
        fill(self._figure, *args, **kwargs)
        with self.hold_sync():
            for name, part in self._parts().items():
                setattr(self, name, part)

    def _parts(self) -> dict[str, str]:
        parts = self._figure.parts
        return {"traces": to_json_plotly(parts["data"]), "around": to_json_plotly(parts["layout"])}


def _asked(_: object, content: object, __: object) -> None:
    if isinstance(content, dict) and content.get("kind") == "library":
        library()


class _Library(PatientWidget):
    """plotly.js itself; it makes itself known to the page as ``window.Plotly``."""

    _esm = ""

    def __init__(self) -> None:
        super().__init__(_esm=get_plotlyjs() + "\nexport default {};")


@lru_cache(maxsize=1)
def library() -> _Library:
    """Send plotly.js to the page, once."""
    return _Library()
