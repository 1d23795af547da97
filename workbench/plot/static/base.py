"""What all printed figures share: a figure that notebooks show, and axes without a frame."""

from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure


class NotebookFigure(Figure):
    """A figure that a notebook shows as a PNG image with an alternative text, for any matplotlib backend."""

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, bytes], dict[str, dict[str, str]]]:
        """Return the image, and its titles and axes as the alternative text."""
        content = BytesIO()
        self.savefig(content, format="png", dpi=110)
        words = [self.get_suptitle()]
        for axes in self.axes:
            words += [axes.get_title(), axes.get_title(loc="left")]
            words += [" against ".join(filter(None, (axes.get_ylabel(), axes.get_xlabel())))]
        alt = ". ".join(dict.fromkeys(" ".join(text.split()).rstrip(".") for text in words if text))
        return {"image/png": content.getvalue()}, {"image/png": {"alt": alt or "figure"}}


def new_axes(x: str, y: str, title: str, height: float = 3.6) -> tuple[NotebookFigure, Axes]:
    """Return a figure of that height in inches, and its axes with these labels."""
    figure = NotebookFigure(figsize=(7.2, height), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
