"""Name the controls that ipywidgets leaves without an accessible name."""

from pathlib import Path

from workbench.app.widgets.base import PageWidget


class Labels(PageWidget):
    """Gives the controls of its page their accessible names; invisible."""

    _esm = Path(__file__).parent / "labels.js"

    def __init__(self) -> None:
        super().__init__(layout={"display": "none"})
