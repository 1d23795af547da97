"""A table in which the user picks a row."""

from typing import Any

import traitlets

from workbench.app.widgets.base import ItemsWidget, script


class LayerTable(ItemsWidget):
    """A table whose rows can be picked, by mouse or keyboard, and saved as a CSV file if `file` names one."""

    _esm = script("layer_table.js")
    items = "rows"
    label = traitlets.Unicode("Layers").tag(sync=True)
    columns: traitlets.List[Any] = traitlets.List().tag(sync=True)
    rows: traitlets.List[Any] = traitlets.List().tag(sync=True)
    selected = traitlets.Unicode().tag(sync=True)
    file = traitlets.Unicode().tag(sync=True)
