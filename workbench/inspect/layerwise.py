"""A plan layer by layer and factor by factor: what each of the small layers costs that take a layer's place."""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.kernels.complexity import Cost, total, tucker1_parts, tucker2_parts
from workbench.plan.plan import DECISIONS, LayerPlan, Plan, ratio
from workbench.tables import count, html_table, text_table, times

FACTORS = ("factor_in", "core", "factor_out")


@dataclass(frozen=True)
class LayerRow:
    """One layer of a :class:`Layerwise` table.

    Attributes
    ----------
    part : the layer, its decision and its ranks.
    factors : cost of each factor by its name in the decomposed network, in the order of the calls: three for Tucker-2,
        two for Tucker-1, none for a layer that is kept.
    """

    part: LayerPlan
    factors: dict[str, Cost]

    @property
    def original(self) -> Cost:
        """The dense layer."""
        return self.part.layer.cost

    @property
    def compressed(self) -> Cost:
        """All factors together, or the dense layer if it is kept."""
        return total(list(self.factors.values())) if self.factors else self.original


@dataclass(frozen=True, repr=False)
class Layerwise:
    """Weights and MACs of every layer, and of each of the factors in its place, as in the paper's tables.

    Attributes
    ----------
    plan : what is shown.
    rows : one a layer, in the order of the calls.
    """

    plan: Plan
    rows: tuple[LayerRow, ...]

    _headers = (
        "layer",
        "shape",
        "ranks",
        *("weights", "now", "ratio", "of which"),
        *("MACs", "now", "ratio", "of which"),
    )
    _left = (0, 1, 6, 10)

    def _cells(self) -> list[list[str]]:
        cells = []
        for row in self.rows:
            part = row.part
            ranks = ", ".join(str(r) for r in (part.rank_in, part.rank_out) if r is not None)
            ranks = ranks or DECISIONS[part.decision]
            costs = _compared(row.original, row.compressed, list(row.factors.values()))
            cells.append([part.name, part.layer.describe(), ranks, *costs])
        if self.plan.other != Cost(0, 0):
            cells.append(["other parts", "", "", *_compared(self.plan.other, self.plan.other, [])])
        return [*cells, ["total", "", "", *_compared(self.plan.dense, self.plan.cost, [])]]

    def __str__(self) -> str:
        return f"{self._caption()}\n{text_table(self._headers, self._cells(), left=self._left)}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self._headers, self._cells(), caption=self._caption(), left=self._left)

    def _caption(self) -> str:
        return (
            f"{self.plan.network} layer by layer: {self.plan.describe()}. MACs (the paper's FLOPs) of one input; "
            "ranks: input, output (the paper's R3, R4); of which: 1x1 + core + 1x1"
        )


def layerwise(plan: Plan) -> Layerwise:
    """The plan as a table like the paper's of AlexNet: three factors beside each layer. Nothing is computed but costs.

    Returns
    -------
    Layerwise whose rows add up to the plan's predicted weights and MACs, together with ``plan.other``.

    References: Kim et al., ICLR 2016, sec. 4 (the layer-wise table of AlexNet).
    """
    return Layerwise(plan, tuple(LayerRow(part, _factors(part)) for part in plan))


def _factors(part: LayerPlan) -> dict[str, Cost]:
    if part.rank_out is None:
        return {}
    if part.rank_in is None:
        return dict(zip(FACTORS[1:], tucker1_parts(part.layer.shape, rank_out=part.rank_out), strict=True))
    parts = tucker2_parts(part.layer.shape, rank_in=part.rank_in, rank_out=part.rank_out)
    return dict(zip(FACTORS, parts, strict=True))


def _compared(before: Cost, after: Cost, factors: Sequence[Cost]) -> list[str]:
    cells = []
    for what in ("weights", "macs"):
        old, new, each = getattr(before, what), getattr(after, what), [getattr(cost, what) for cost in factors]
        cells += [count(old), count(new), times(ratio(old, new)), " + ".join(map(count, each))]
    return cells
