"""Title and introduction of a card; each says so where the network's weights are random."""

import ipywidgets as w

from workbench.app.steps.choose.model import ChooseModel

RANDOM = " <em class='wb-chip'>random weights</em>"
"""Mark of a network that was never trained."""


def heading(choose: ChooseModel, step: int, title: str, text: str) -> w.HTML:
    """Return number, title and a sentence or two.

    Parameters
    ----------
    step : its number; 0 where a card belongs to the step of the one before.
    """
    box = w.HTML()

    def fill(_: object = None) -> None:
        mark = RANDOM if choose.network is not None and choose.network.random_weights else ""
        number = f"<span class='wb-step'>{step}</span>" if step else ""
        box.value = f"<h2>{number}{title}{mark}</h2><p class='wb-soft'>{text}</p>"

    choose.observe(fill, ["network"])
    fill()
    return box
