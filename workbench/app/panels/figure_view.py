"""A plotly figure on the page that cannot fall behind.

``plotly.FigureWidget`` sends what has changed: a change that arrives while the page is still loading is lost, and the
figure stays empty (seen in one load of five). It also sends five megabytes of library for each figure. This view
sends the figure whole, which for ours is a few kilobytes, and the library once.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Concatenate, ParamSpec

import plotly.graph_objects as go
import traitlets
from plotly.offline import get_plotlyjs

from workbench.app.figures import DARK
from workbench.app.panels.patience import PatientWidget

HERE = Path(__file__).parent
P = ParamSpec("P")


class FigureView(PatientWidget):
    """Shows `figure`, which can be saved as PNG, SVG and CSV; change it through :meth:`show`.

    `picked` is the id of the point that was clicked last.
    """

    _esm = HERE / "figure_view.js"
    _css = HERE / "figure_view.css"
    spec = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    picked = traitlets.Unicode().tag(sync=True)
    dark = traitlets.Dict(DARK).tag(sync=True)

    def __init__(self, figure: go.Figure, label: str) -> None:
        self.figure = figure
        _library()
        super().__init__(spec=figure.to_json(validate=False), label=label)

    def show(self, fill: Callable[Concatenate[go.Figure, P], None], *args: P.args, **kwargs: P.kwargs) -> None:
        """``fill(figure, ...)``, then send the result to the page."""
        fill(self.figure, *args, **kwargs)
        self.spec = self.figure.to_json(validate=False)


class _Library(PatientWidget):
    """plotly.js itself; it makes itself known to the page as ``window.Plotly``."""

    _esm = get_plotlyjs() + "\nexport default {};"


@lru_cache(maxsize=1)
def _library() -> _Library:
    return _Library()
