"""Results -> matplotlib figures, for notebooks that are read, reports and print. They are returned, never shown."""

from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from workbench.app.figures import BLUE, GREY, INK, ORANGE, VERMILLION
from workbench.kernels.evbmf import Evbmf


class Print(Figure):
    """A figure that a notebook shows as it is, whatever the plotting backend."""

    def _repr_png_(self) -> bytes:
        content = BytesIO()
        self.savefig(content, format="png", dpi=110)
        return content.getvalue()


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


def _axes(x: str, y: str, title: str) -> tuple[Figure, Axes]:
    figure = Print(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
