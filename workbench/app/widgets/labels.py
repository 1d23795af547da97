"""Names for what ipywidgets leaves without one, so that a screen reader can say what a slider is for."""

from pathlib import Path

from workbench.app.widgets.base import PatientWidget


class Labels(PatientWidget):
    """Invisible; gives the controls of the page that it stands on their accessible names."""

    _esm = Path(__file__).parent / "labels.js"

    def __init__(self) -> None:
        super().__init__(layout={"display": "none"})
