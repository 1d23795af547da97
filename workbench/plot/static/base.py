"""Base of all printed figures: a figure that notebooks show, and axes without a frame."""

from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure


class NotebookFigure(Figure):
    """A figure that a notebook shows as a PNG image with an alternative text, under any matplotlib backend."""

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, bytes], dict[str, dict[str, str]]]:
        """Return the image, and an alternative text of its titles and axes."""
        content = BytesIO()
        self.savefig(content, format="png", dpi=110)
        texts = [self.get_suptitle()]
        for axes in self.axes:
            texts += [axes.get_title(), axes.get_title(loc="left")]
            texts += [" against ".join(filter(None, (axes.get_ylabel(), axes.get_xlabel())))]
        alt = ". ".join(dict.fromkeys(" ".join(text.split()).rstrip(".") for text in texts if text))
        return {"image/png": content.getvalue()}, {"image/png": {"alt": alt or "figure"}}


def new_axes(x: str, y: str, title: str, height: float = 3.6) -> tuple[NotebookFigure, Axes]:
    """Return a figure `height` inches high, and its axes with labels and title."""
    figure = NotebookFigure(figsize=(7.2, height), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
