"""Singular values of an unfolding, EVBMF's threshold and free energy, and the explained share."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from workbench.kernels.evbmf import Evbmf
from workbench.plan.spectrum import Spectrum
from workbench.plot.colors import BLUE, GREY, GRID, INK, ORANGE, VERMILLION
from workbench.plot.static.base import NotebookFigure, new_axes


def spectrum(spectrum: Evbmf | Spectrum, title: str = "") -> Figure:
    """Draw singular values, the threshold between signal and noise, and the posterior means of the signal.

    For a layer's spectrum, like ``spectra["conv1"]``, it draws the output channels; ``.in_`` has the input channels.
    """
    evbmf = spectrum if isinstance(spectrum, Evbmf) else spectrum.out
    title = title or ("" if isinstance(spectrum, Evbmf) else f"{spectrum.layer.name}, output channels")
    figure, axes = new_axes("direction, strongest first", "singular value", title)
    values, rank = evbmf.singular_values, evbmf.rank
    index = np.arange(1, len(values) + 1)
    axes.bar(index[:rank], values[:rank], color=BLUE, label=f"signal: rank {rank}")
    axes.bar(index[rank:], values[rank:], color=GREY, hatch="///", edgecolor="white", label="noise")
    if rank and not evbmf.exact:
        label = "without the noise's part"
        axes.plot(index[:rank], evbmf.shrunk, "o", color=ORANGE, markeredgecolor=INK, label=label)
    if evbmf.threshold > 0:
        axes.set_ylim(top=1.5 * max(evbmf.threshold, values[0]))  # room for the legend
        axes.axhline(evbmf.threshold, color=VERMILLION, linestyle="--", label=f"threshold {evbmf.threshold:.3g}")
    axes.legend(frameon=False)
    return figure


def free_energy(found: Evbmf, title: str = "") -> Figure:
    """Draw the free energy against the noise variance, with its global minimum, which sets the threshold."""
    figure, axes = new_axes("noise variance (logarithmic)", "free energy per singular value", title)
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


def explained(spectrum: Spectrum, title: str = "") -> Figure:
    """Draw the singular values of both unfoldings, and the share of the squared norm that the first ones explain."""
    figure = NotebookFigure(figsize=(8.2, 3.5), layout="constrained")
    figure.suptitle(title or spectrum.layer.name)
    left, right = figure.subplots(1, 2)
    modes = [("output channels", spectrum.singular_out, BLUE, "o-")]
    if spectrum.singular_in is not None:
        modes.append(("input channels", spectrum.singular_in, ORANGE, "s-"))
    for name, values, color, fmt in modes:
        squares = np.concatenate([[0.0], np.cumsum(values**2)])
        style = {"color": color, "markersize": 3, "linewidth": 1.2}
        left.plot(range(1, len(values) + 1), values, fmt, label=name, **style)
        right.plot(range(len(squares)), 100 * squares / (squares[-1] or 1.0), fmt, **style)
    left.set(xlabel="direction, strongest first", ylabel="singular value")
    left.set_ylim(bottom=0)
    left.legend(frameon=False)
    right.set(xlabel="directions kept", ylabel="explained (%)", ylim=(0, 103))
    right.grid(axis="y", color=GRID)
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    return figure
