"""Images with what the networks answer, and the filters of the first convolution."""

from itertools import zip_longest

from matplotlib.figure import Figure

from workbench.inspect.gallery import Filters, Gallery
from workbench.plot.static.base import NotebookFigure


def gallery(found: Gallery, title: str = "") -> Figure:
    """Draw images with their true class, and what each network answers, right (✓) or wrong (✗)."""
    columns = min(6, len(found.pictures))
    rows = -(-len(found.pictures) // columns)
    figure = NotebookFigure(figsize=(1.9 * columns, 2.4 * rows), layout="constrained")
    figure.suptitle(title)
    for axes, picture in zip_longest(figure.subplots(rows, columns, squeeze=False).flat, found.pictures):
        axes.axis("off")
        if picture is None:
            continue
        axes.imshow(picture.image, interpolation="nearest")
        lines = [picture.name]
        for which, answer in (("original", picture.before), ("compressed", picture.after)):
            if answer is not None:
                mark = "" if answer.right is None else "✓ " if answer.right else "✗ "
                lines.append(f"{mark}{which}: {answer.name}, {100 * answer.probability:.0f} %")
        axes.set_title("\n".join(lines), fontsize=8, loc="left")
    return figure


def filters(found: Filters, title: str = "") -> Figure:
    """Draw the first convolution's filters above those of its factors, on one scale; grey is zero."""
    columns = min(16, len(found.original))
    rows = -(-len(found.original) // columns)
    figure = NotebookFigure(figsize=(7.2, 1.0 * rows + 0.8), layout="constrained")
    figure.suptitle(title or f"{found.layer}: {len(found.original)} filters, {100 * found.error:.1f} % off")
    shown = {"original": found.original, "compressed": found.reconstructed}
    for half, (name, images) in zip(figure.subfigures(2, 1, squeeze=False).flat, shown.items(), strict=True):
        half.suptitle(name, fontsize=9, x=0.01, ha="left")
        for axes, image in zip_longest(half.subplots(rows, columns, squeeze=False).flat, images):
            axes.axis("off")
            if image is not None:
                axes.imshow(image, interpolation="nearest")
    return figure
