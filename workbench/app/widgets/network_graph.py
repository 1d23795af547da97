"""A drawing of the network in which the user picks a layer."""

from html import escape

import traitlets

from workbench.app.widgets.base import HERE, ItemsWidget, script
from workbench.inspect.drawing.fills import COLORS
from workbench.inspect.drawing.svg import Drawing


class NetworkGraph(ItemsWidget):
    """A drawing whose blocks can be picked, by mouse or keyboard; a change of the plan only fills them anew."""

    _esm = script("network_graph.js")
    _css = HERE / "network_graph.css"
    items = "fills"
    label = traitlets.Unicode("The network, drawn").tag(sync=True)
    svg = traitlets.Unicode().tag(sync=True)  # the drawing
    legend = traitlets.Unicode().tag(sync=True)  # HTML
    fills = traitlets.Dict().tag(sync=True)  # layer -> share, colour, words
    selected = traitlets.Unicode().tag(sync=True)

    def __init__(self, **traits: object) -> None:
        super().__init__(**traits)
        self.picture: Drawing | None = None
        self.on_msg(lambda _, content, __: self._send_file() if content == {"kind": "save"} else None)

    def show(self, picture: Drawing | None) -> None:
        """Show a picture, or none; if only its fills have changed, send only these."""
        previous, self.picture = self.picture, picture
        with self.hold_sync():
            if picture is None:
                self.svg = ""
                return
            if previous is None or not picture.has_blocks_of(previous):
                self.svg = picture.svg(framed=False)
            fills = picture.fills.items()
            self.set_items({name: [round(fill.share, 4), COLORS[fill.shade], fill.words] for name, fill in fills})
            self.legend = _legend(picture)

    def _send_file(self) -> None:
        if self.picture is not None:
            self.send({"name": f"{self.picture.plan.network}.svg", "svg": self.picture.svg(on_white=True)})


def _legend(picture: Drawing) -> str:
    text, title, colors = picture.legend
    keys = "".join(f'<span><i style="background:{color}"></i>{escape(name)}</span>' for color, name in colors)
    return f'<span title="{escape(picture.marks.strip())}">{escape(text)}</span><b>{escape(title)}</b>{keys}'
