"""A plotly figure on the page; each change sends the whole figure, a few kilobytes.

``plotly.FigureWidget`` sends changes only: a change that arrives while the page is loading is lost, and the figure
stays empty (in one of five page loads). It also sends five megabytes of library for each figure.
"""

from functools import lru_cache
from typing import Any

import traitlets
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from workbench.app.steps.look.model import LookModel
from workbench.app.widgets.base import HERE, PageWidget, script
from workbench.plot.colors import DARK


class FigureView(PageWidget):
    """Shows a figure, which can be saved as PNG, SVG and CSV."""

    _esm = script("figure_view.js")
    _css = HERE / "figure_view.css"
    traces = traitlets.Unicode().tag(sync=True)  # its data as JSON
    around = traitlets.Unicode().tag(sync=True)  # its layout as JSON, which is all that changes while a rank is moved
    label = traitlets.Unicode().tag(sync=True)
    picked = traitlets.Unicode().tag(sync=True)  # id of the point that was clicked last
    dark = traitlets.Dict(DARK).tag(sync=True)

    def __init__(self, label: str, height: int | None = None) -> None:
        super().__init__(label=label, traces="[]", around="{}")
        self._height = {} if height is None else {"height": height}  # pixels; replaces the figure's own height
        self.on_msg(lambda _, content, __: library() if content == {"kind": "library"} else None)

    def show(self, figure: dict[str, Any]) -> None:
        """Show a figure, given as a dictionary of its data and its layout."""
        with self.hold_sync():
            self.traces, self.around = to_json_plotly(figure["data"]), to_json_plotly(figure["layout"] | self._height)


@lru_cache(maxsize=1)
def library() -> PageWidget:
    """Send plotly.js to the page, once; it sets ``window.Plotly``."""
    return PageWidget(_esm=get_plotlyjs() + "\nexport default {};")


def pick_layers(look: LookModel, *figures: FigureView) -> None:
    """Pick the layer of a clicked point, whose id is the layer's name, or "name#number" of one of several points."""

    def pick(change: dict[str, Any]) -> None:
        look.pick(change["new"].split("#")[0])
        change["owner"].picked = ""  # the same point may be clicked again

    for figure in figures:
        figure.observe(pick, ["picked"])
