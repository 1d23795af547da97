"""Title and introduction of a card; each says so where the network's weights are random."""

import ipywidgets as w

from workbench.app.state import State

RANDOM = " <em class='wb-chip'>random weights</em>"


def heading(state: State, step: int, title: str, text: str) -> w.HTML:
    """Number, title and a sentence or two, with a mark for as long as the open network was never trained.

    Parameters
    ----------
    step : of the journey; 0 where a card goes on with the step of the one before.
    """
    box = w.HTML()

    def fill(_: object = None) -> None:
        mark = RANDOM if state.network is not None and state.network.random_weights else ""
        number = f"<span class='wb-step'>{step}</span>" if step else ""
        box.value = f"<h2>{number}{title}{mark}</h2><p class='wb-soft'>{text}</p>"

    state.observe(fill, ["network"])
    fill()
    return box
