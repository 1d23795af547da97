"""One convolution and the three that replace it: blocks, costs, and the plane of the ranks."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Polygon

from workbench.inspect.factors import FACTOR_NAMES, HEIGHT, MEASURES, RATIOS, WIDTH, Factors, evbmf_ranks
from workbench.network.layers import Layer
from workbench.plan.spectrum import Spectrum
from workbench.plot import colors
from workbench.plot.static.base import NotebookFigure


def factors(layer: Spectrum | Layer, rank_in: int | None = None, rank_out: int | None = None) -> NotebookFigure:
    """Draw one convolution and the three that replace it at these ranks: shapes, costs, and which ranks pay.

    Parameters
    ----------
    layer : a Spectrum, like ``spectra["features.3"]``, or a Layer, whose weights are not known.
    rank_in, rank_out : EVBMF's by default, or half the channels.

    Raises
    ------
    ValueError : if three convolutions cannot replace the layer, or a rank does not fit.
    """
    factors = Factors.of(layer, rank_in, rank_out)
    figure = NotebookFigure(figsize=(8.6, 6.2), layout="constrained")
    name = f"{factors.layer.name}: " if factors.layer.name else ""
    figure.suptitle(f"{name}{factors.layer.describe()}. {factors.verdict}", fontsize=11)
    grid = figure.add_gridspec(2, 2, height_ratios=(1.05, 1))
    _draw_blocks(figure.add_subplot(grid[0, :]), factors)
    costs, plane = figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])
    _draw_costs(costs, factors)
    _draw_plane(plane, factors)
    for axes, columns in ((costs, 3), (plane, 2)):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8, ncols=columns, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    return figure


def _draw_blocks(axes: Axes, factors: Factors) -> None:
    axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    axes.axis("off")
    for block in factors.blocks:
        for corners, color in zip(block.faces, colors.BLOCK_SHADES[block.kind], strict=True):
            axes.add_patch(Polygon(corners, facecolor=color, edgecolor=colors.INK, linewidth=0.8))
        axes.text(*block.label, block.name, ha="center", va="bottom", fontsize=9, weight="bold")
    for arrow, color in zip(factors.arrows, colors.ARROW_COLORS, strict=True):
        style = {"arrowstyle": "-|>", "color": color, "linewidth": 2, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", arrow.end, arrow.start, arrowprops=style)
        axes.text(arrow.middle, arrow.end[1] + 0.9, arrow.above, ha="center", va="bottom", fontsize=9, weight="bold")
        axes.text(arrow.middle, arrow.end[1] - 1.1, arrow.below, ha="center", va="top", fontsize=8)


def _draw_costs(axes: Axes, factors: Factors) -> None:
    starts = [0.0] * len(MEASURES)
    shares = [factors.shares(measure) for measure in MEASURES]
    for i, (name, color) in enumerate(zip(FACTOR_NAMES, colors.FACTOR_COLORS, strict=True)):
        widths = [100 * share[i] for share in shares]
        axes.barh(list(MEASURES.values()), widths, left=starts, height=0.45, color=color, label=name)
        starts = [start + width for start, width in zip(starts, widths, strict=True)]
    axes.axvline(100, color=colors.VERMILLION, linewidth=2)
    above: dict[str, Any] = {"ha": "center", "va": "bottom", "transform": axes.get_xaxis_transform()}
    axes.text(100, 1.0, "dense", fontsize=9, color=colors.DARK_RED, **above)
    for i, measure in enumerate(MEASURES):
        axes.text(0, i + 0.28, factors.change_text(measure), ha="left", va="top", fontsize=9)
    axes.set(xlabel="percent of the dense layer", xlim=(0, 100 * factors.max_share), ylim=(1.6, -0.45))


def _draw_plane(axes: Axes, factors: Factors) -> None:
    max_in, max_out = factors.layer.max_ranks
    box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1}
    styles = {1: (colors.VERMILLION, 2, "break-even", colors.DARK_RED)}
    for ratio in RATIOS:
        line, width, text, color = styles.get(ratio, (colors.EDGE, 0.9, f"x{ratio}", colors.SLATE))
        if position := factors.label_position(ratio):
            x, y = zip(*factors.line(ratio), strict=True)
            axes.plot(x, y, color=line, linewidth=width)
            if ratio == 1:
                axes.fill_between(x, y, color=colors.GREEN, alpha=0.14, linewidth=0)
            axes.text(*position, text, ha="center", va="center", fontsize=8, color=color, bbox=box)
    if ranks := evbmf_ranks(factors.spectrum):
        diamond: dict[str, Any] = {"fillstyle": "none", "markeredgewidth": 2}
        axes.plot(*ranks, "D", color=colors.GREEN, markersize=8, label="EVBMF's ranks", **diamond)
    dot: dict[str, Any] = {"color": colors.INK, "markersize": 8, "markeredgecolor": "white"}
    axes.plot(factors.rank_in, factors.rank_out, "o", label="these ranks", **dot)
    axes.set(xlabel="rank_in", ylabel="rank_out", xlim=(0, 1.03 * max_in), ylim=(0, 1.06 * max_out))
