"""Results -> matplotlib figures, for notebooks that are read, reports and print. They are returned, never shown."""

from collections.abc import Sequence
from io import BytesIO
from itertools import zip_longest

from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from workbench.inspect.gallery import Filters, Gallery
from workbench.inspect.rank_curve import CurvePoint
from workbench.kernels.evbmf import Evbmf
from workbench.measure.profile_table import KINDS, Profile
from workbench.measure.roofline import Roofline
from workbench.plot.interactive.base import BLUE, GREY, INK, ORANGE, VERMILLION
from workbench.plot.interactive.roofline import MARKS, WHO, roof_line, rows_of
from workbench.tables import count, quantity

PRINTED = {"circle": "o", "square": "s", "triangle-up": "^", "diamond": "D"}
"""Plotly's symbols in matplotlib."""


class Print(Figure):
    """A figure that a notebook shows as it is, whatever the plotting backend."""

    def _repr_png_(self) -> bytes:
        content = BytesIO()
        self.savefig(content, format="png", dpi=110)
        return content.getvalue()

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, bytes], dict[str, dict[str, str]]]:
        """The picture, and for whoever cannot see it its titles and axes."""
        words = [self.get_suptitle()]
        for axes in self.axes:
            words += [axes.get_title(), axes.get_title(loc="left")]
            words += [" against ".join(filter(None, (axes.get_ylabel(), axes.get_xlabel())))]
        alt = ". ".join(dict.fromkeys(" ".join(text.split()).rstrip(".") for text in words if text))
        return {"image/png": self._repr_png_()}, {"image/png": {"alt": alt or "figure"}}


def plot_spectrum(found: Evbmf, title: str = "") -> Figure:
    """Singular values, the threshold between signal and noise, and the posterior means of those that are kept."""
    figure, axes = _axes("direction, strongest first", "singular value", title)
    n = len(found.singular_values)
    index = range(1, n + 1)
    axes.bar(index[: found.rank], found.singular_values[: found.rank], color=BLUE, label=f"signal: rank {found.rank}")
    rest = found.singular_values[found.rank :]
    axes.bar(index[found.rank :], rest, color=GREY, hatch="///", edgecolor="white", label="noise")
    if found.rank and not found.exact:
        axes.plot(
            index[: found.rank], found.shrunk, "o", color=ORANGE, markeredgecolor=INK, label="without the noise's part"
        )
    if found.threshold > 0:
        axes.set_ylim(top=1.3 * max(found.threshold, found.singular_values[0]))  # room for the legend
        axes.axhline(found.threshold, color=VERMILLION, linestyle="--", label=f"threshold {found.threshold:.3g}")
    axes.legend(frameon=False)
    return figure


def plot_free_energy(found: Evbmf, title: str = "") -> Figure:
    """Free energy against the noise variance, with its global minimum: why the threshold is where it is."""
    figure, axes = _axes("noise variance (logarithmic)", "free energy per singular value", title)
    variances, energies = found.curve()
    if not variances.size:
        axes.text(0.5, 0.5, "no noise: the matrix is of exactly low rank", ha="center", transform=axes.transAxes)
        return figure
    axes.semilogx(variances, energies, color=BLUE, linewidth=2)
    axes.xaxis.set_minor_formatter(NullFormatter())
    lowest = found.free_energy(found.noise_variance)[0]
    label = f"minimum: noise variance {found.noise_variance:.3g}, rank {found.rank}"
    axes.plot([found.noise_variance], [lowest], "*", color=VERMILLION, markersize=15, label=label)
    axes.legend(frameon=False)
    return figure


def plot_gallery(found: Gallery, title: str = "") -> Figure:
    """Images with their true class, and what each network says of them, right (✓) or wrong (✗)."""
    columns = min(6, len(found.pictures))
    rows = -(-len(found.pictures) // columns)
    figure = Print(figsize=(1.9 * columns, 2.4 * rows), layout="constrained")
    figure.suptitle(title)
    for axes, picture in zip_longest(figure.subplots(rows, columns, squeeze=False).flat, found.pictures):
        axes.axis("off")
        if picture is None:
            continue
        axes.imshow(picture.image, interpolation="nearest")
        answers = [("original", picture.before), ("compressed", picture.after)]
        lines = [
            f"{'✓' if answer.label == picture.label else '✗'} {who}: {answer.name}, {100 * answer.probability:.0f} %"
            for who, answer in answers
            if answer is not None
        ]
        axes.set_title("\n".join([picture.name, *lines]), fontsize=8, loc="left")
    return figure


def plot_sensitivity(points: Sequence[CurvePoint], title: str = "") -> Figure:
    """Top-1 accuracy with its 95 % interval, and agreement with the original, against the output rank of one layer."""
    count = f" of {points[0].n} images" if points else ""
    figure, axes = _axes("output rank", f"share{count} (%)", title)
    ranks = [point.rank_out for point in points]
    axes.plot(ranks, [point.top1 for point in points], "o-", color=BLUE, label="accuracy")
    low, high = zip(*[point.interval for point in points], strict=True) if points else ((), ())
    axes.fill_between(ranks, low, high, color=BLUE, alpha=0.15, linewidth=0, label="95 % interval")
    axes.plot(ranks, [point.agreement for point in points], "s:", color=ORANGE, label="same answer as the original")
    axes.set_ylim(0, 105)
    axes.legend(frameon=False)
    return figure


def plot_filters(found: Filters, title: str = "") -> Figure:
    """The first convolution's filters above those that its factors stand for; grey is zero, all on one scale."""
    columns = min(16, len(found.original))
    rows = -(-len(found.original) // columns)
    figure = Print(figsize=(7.2, 1.0 * rows + 0.8), layout="constrained")
    figure.suptitle(title or f"{found.layer}: {len(found.original)} filters, {100 * found.error:.1f} % off")
    shown = {"original": found.original, "compressed": found.reconstructed}
    for half, (name, images) in zip(figure.subfigures(2, 1, squeeze=False).flat, shown.items(), strict=True):
        half.suptitle(name, fontsize=9, x=0.01, ha="left")
        for axes, image in zip_longest(half.subplots(rows, columns, squeeze=False).flat, images):
            axes.axis("off")
            if image is not None:
                axes.imshow(image, interpolation="nearest")
    return figure


def plot_roofline(
    before: Profile, after: Profile | None = None, roofline: Roofline | None = None, title: str = ""
) -> Figure:
    """Each part of one or two networks under this machine's roofline, as large as the time that it takes.

    Parameters
    ----------
    before, after : profiles of the original (hollow) and of the compressed network (filled).
    roofline : of this machine. A part can lie above it: what is in a cache does not wait for the memory.
    """
    figure = Print(figsize=(7.2, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel="multiply-adds for each byte moved", ylabel="billion multiply-adds a second", title=title)
    axes.set(xscale="log", yscale="log")
    axes.spines[["top", "right"]].set_visible(False)
    profiles = {who: p for who, p in zip(WHO, (before, after), strict=True) if p is not None}
    rows = [row for profile in profiles.values() for row in rows_of(profile)]
    slowest = max((row.seconds for row in rows), default=1.0)
    for who, profile in profiles.items():
        for kind, (symbol, color) in MARKS.items():
            found = [row for row in rows_of(profile) if row.kind == kind]
            if not found:
                continue
            look = {"facecolors": "none", "edgecolors": color} if who == "original" else {"color": color, "alpha": 0.85}
            area = [20 + 380 * row.seconds / slowest for row in found]
            x, y = [row.intensity for row in found], [row.rate / 1e9 for row in found]
            axes.scatter(x, y, area, marker=PRINTED[symbol], label=f"{who}: {KINDS[kind]}", **look)
    line = roof_line(rows, roofline)
    if roofline is not None and line:
        axes.plot(*zip(*line, strict=True), color=INK, linewidth=2, label="this machine's roof")
        text = f"{quantity(roofline.bandwidth, 'B/s')}, {count(roofline.peak)} MAC/s"
        axes.annotate(text, line[1], (0, 6), textcoords="offset points", fontsize=8)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    legend = axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set_sizes([40])
    return figure


def _axes(x: str, y: str, title: str) -> tuple[Figure, Axes]:
    figure = Print(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
