"""Fills of the layers in a drawing: the share of the cost that a plan leaves, and a colour for the quality."""

from dataclasses import dataclass
from itertools import pairwise

from workbench.inspect.comparison import Comparison
from workbench.plan.importance import Importance
from workbench.plan.plan import DECISIONS, Plan
from workbench.tables import count

AREAS = {"macs": "multiply-adds", "weights": "weights"}
"""Costs that the area of a block can stand for."""
SHADES = ("#0072B2", "#6FB7E0", "#F2DDB0", "#E69F00", "#B84A00")
"""From good to bad; readers with any colour vision tell blue from orange, and light from dark."""
UNCHANGED, UNKNOWN = len(SHADES), len(SHADES) + 1
"""Shades of a layer that a plan keeps, and of one without a value."""
COLORS = (*SHADES, "#C3CAD3", "#8FA9BF")


@dataclass(frozen=True)
class Scale:
    """A scale of colours: values up to the first of the `limits` have the first shade, and so on."""

    title: str
    limits: tuple[float, float, float, float]
    unit: str
    factor: int = 1  # converts a value to the unit
    falling: bool = False  # whether large values are good

    def shade(self, value: float) -> int:
        """Return the number of a value's shade."""
        return sum((value <= limit) if self.falling else (value > limit) for limit in self.limits)

    @property
    def names(self) -> list[str]:
        """Range of each shade."""
        ends = [f"{self.factor * limit:g}" for limit in self.limits]
        middle = ["–".join(sorted(pair, key=float)) for pair in pairwise(ends)]
        signs = (">", "≤") if self.falling else ("≤", ">")
        return [f"{signs[0]} {ends[0]} {self.unit}", *middle, f"{signs[1]} {ends[-1]} {self.unit}"]


ERROR = Scale("kernel error", (0.2, 0.35, 0.5, 0.7), "%", 100)
IMPORTANCE = Scale("expected change of the answers", (0.0001, 0.001, 0.01, 0.1), "%", 100)
SNR = Scale("signal to noise", (25.0, 15.0, 10.0, 5.0), "dB", falling=True)
Measured = Importance | Comparison | None


@dataclass(frozen=True)
class Fill:
    """Filling of one layer's block."""

    share: float  # planned / original cost
    shade: int  # number of its colour in `COLORS`
    words: str  # description of the layer in one line


def scale_of(plan: Plan, measured: Measured) -> Scale | None:
    """Return the scale of the colours; None without a plan and without measurements."""
    if isinstance(measured, Comparison):
        return SNR
    if isinstance(measured, Importance):
        return IMPORTANCE
    return ERROR if plan.ranks else None


def fills(plan: Plan, measured: Measured = None, area: str = "macs") -> dict[str, Fill]:
    """Return the fills of the layers by name."""
    scale, values = scale_of(plan, measured), _shown_values(plan, measured)
    fills_by_name = {}
    for part in plan:
        before, after = (getattr(cost, area) for cost in (part.layer.cost, part.cost))
        shade = UNCHANGED if scale is ERROR else UNKNOWN
        text = f"{part.name}: {part.layer.describe()}, {count(before)} {AREAS[area]}"
        if part.decision != "keep":
            ranks = " x ".join(str(rank) for rank in (part.rank_in, part.rank_out) if rank is not None)
            text += f", planned {count(after)} ({DECISIONS[part.decision]}, {ranks})"
        elif scale is ERROR:
            text += ", kept"
        if scale is not None and part.name in values:
            shade = scale.shade(values[part.name])
            text += f"; {scale.title} {scale.factor * values[part.name]:.3g} {scale.unit}"
        fills_by_name[part.name] = Fill(after / before if before else 1.0, shade, text)
    return fills_by_name


def _shown_values(plan: Plan, measured: Measured) -> dict[str, float]:
    """Return the values of the layers that have one; importance is at the plan's ranks, or else at half ranks."""
    if isinstance(measured, Comparison):
        return {layer.name: layer.snr_db for layer in measured.layers}
    if measured is None:
        return {part.name: part.error for part in plan if part.decision != "keep" and part.error is not None}
    halves: dict[str, tuple[int | None, int]] = {}
    for part in plan:
        half_in, half_out = (max(1, rank // 2) for rank in part.layer.max_ranks)
        halves[part.name] = (None if part.layer.method == "tucker1" else half_in, half_out)
    ranks = (plan.ranks or halves).items()  # without rank_in, the last column
    return {
        name: float(measured.lost[name][rank_out, -1 if rank_in is None else rank_in])
        for name, (rank_in, rank_out) in ranks
        if name in measured.lost
    }
