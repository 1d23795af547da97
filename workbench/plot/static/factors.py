"""One convolution and the three in its place -> a matplotlib figure, for where nothing can be moved."""

from matplotlib.axes import Axes
from matplotlib.patches import Polygon

from workbench.inspect.factors import COLORS, HEIGHT, NAMES, RATIOS, WIDTH, Factors, evbmf_ranks
from workbench.network.layers import Layer
from workbench.plan.spectrum import Spectrum
from workbench.plot.interactive.base import GREEN, INK, VERMILLION
from workbench.plot.interactive.factors import LABELS, SHADES, WHATS
from workbench.plot.static.results import Print

SOFT = "#52606D"


def plot_factors(layer: Spectrum | Layer, rank_in: int | None = None, rank_out: int | None = None) -> Print:
    """One convolution and the three in its place at these ranks: shapes, costs, and which ranks pay.

    Parameters
    ----------
    layer : of ``spectra["features.3"]``, or a Layer alone, of which no weights are known.
    rank_in, rank_out : left out, EVBMF's, or half the channels.

    Raises
    ------
    ValueError : if the layer is no convolution that three others can replace, or a rank does not fit.
    """
    shown = Factors.of(layer, rank_in, rank_out)
    figure = Print(figsize=(8.6, 6.2), layout="constrained")
    name = f"{shown.layer.name}: " if shown.layer.name else ""
    figure.suptitle(f"{name}{shown.layer.describe()}. {shown.verdict}", fontsize=11)
    grid = figure.add_gridspec(2, 2, height_ratios=(1.05, 1))
    _draw_blocks(figure.add_subplot(grid[0, :]), shown)
    _draw_costs(figure.add_subplot(grid[1, 0]), shown)
    _draw_plane(figure.add_subplot(grid[1, 1]), shown)
    return figure


def _draw_blocks(axes: Axes, shown: Factors) -> None:
    axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    axes.axis("off")
    for block in shown.blocks:
        shades = SHADES[block.name.startswith("R")]
        for corners, color in zip(block.faces, shades, strict=True):
            axes.add_patch(Polygon(corners, facecolor=color, edgecolor=INK, linewidth=0.8))
        axes.text(*block.label, block.name, ha="center", va="bottom", fontsize=9, weight="bold")
    for arrow in shown.arrows:
        style = {"arrowstyle": "-|>", "color": arrow.color, "linewidth": 2, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", arrow.end, arrow.start, arrowprops=style)
        axes.text(arrow.middle, arrow.end[1] + 0.9, arrow.above, ha="center", va="bottom", fontsize=9, weight="bold")
        axes.text(arrow.middle, arrow.end[1] - 1.1, arrow.below, ha="center", va="top", fontsize=8)


def _draw_costs(axes: Axes, shown: Factors) -> None:
    left = [0.0, 0.0]
    shares = [shown.shares(what) for what in WHATS]
    for i, (name, color) in enumerate(zip(NAMES, COLORS, strict=True)):
        widths = [share[i] for share in shares]
        axes.barh(LABELS, widths, left=left, height=0.45, color=color, label=name)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.axvline(100, color=VERMILLION, linewidth=2)
    axes.text(
        100, 1.0, "dense", ha="center", va="bottom", fontsize=9, color="#A33F00", transform=axes.get_xaxis_transform()
    )
    for i, what in enumerate(WHATS):
        axes.text(0, i + 0.28, shown.compared(what).replace("->", "→"), ha="left", va="top", fontsize=9)
    axes.set(xlabel="percent of the dense layer", xlim=(0, max(115.0, 1.08 * max(left))), ylim=(1.6, -0.45))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.2))


def _draw_plane(axes: Axes, shown: Factors) -> None:
    most_in, most_out = shown.layer.max_ranks
    for ratio in RATIOS:
        points, at = shown.line(ratio), shown.mark(ratio)
        if at is None:
            continue
        x, y = [point[0] for point in points], [point[1] for point in points]
        first = ratio == 1
        axes.plot(x, y, color=VERMILLION if first else "#7B8794", linewidth=2 if first else 0.9)
        if first:
            axes.fill_between(x, y, color=GREEN, alpha=0.14, linewidth=0)
        box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1}
        text, color = ("break-even", "#A33F00") if first else (f"x{ratio}", SOFT)
        axes.text(*at, text, ha="center", va="center", fontsize=8, color=color, bbox=box)
    found = evbmf_ranks(shown.spectrum)
    if found:
        axes.plot(*found, "D", markersize=8, color=GREEN, fillstyle="none", markeredgewidth=2, label="EVBMF's ranks")
    axes.plot(shown.rank_in, shown.rank_out, "o", markersize=8, color=INK, markeredgecolor="white", label="these ranks")
    axes.set(xlabel="R3: input rank", ylabel="R4: output rank", xlim=(0, 1.03 * most_in), ylim=(0, 1.06 * most_out))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.2))
