"""Table of a plan layer by layer, with the cost of each factor."""

from dataclasses import dataclass

from workbench.kernels.complexity import Cost, factor_costs
from workbench.plan.plan import DECISIONS, LayerPlan, Plan, ratio
from workbench.tables import Table, count, times


@dataclass(frozen=True, repr=False)
class Layerwise(Table):
    """Weights and MACs of every layer and of the factors that replace it, as in the paper's tables."""

    plan: Plan

    headers = ("layer", "shape", "ranks", "weights", "now", "ratio", "of which", "MACs", "now", "ratio", "of which")
    left = (0, 1, 2, 6, 10)

    @property
    def caption(self) -> str:
        """Network, policy, and the meaning of the columns."""
        return (
            f"{self.plan.network} layer by layer: {self.plan.describe()}. MACs (the paper's FLOPs) of one input; "
            "ranks: input, output (the paper's R3, R4); of which: 1x1 + core + 1x1"
        )

    @property
    def rows(self) -> list[list[str]]:
        """One row for each layer, one for other parts if they cost something, and the total."""
        rows = []
        for part in self.plan:
            ranks = ", ".join(str(r) for r in (part.rank_in, part.rank_out) if r is not None)
            costs = _cost_cells(part.layer.cost, part.cost, *factors_of(part).values())
            rows.append([part.name, part.layer.describe(), ranks or DECISIONS[part.decision], *costs])
        if self.plan.other != Cost(0, 0):
            rows.append(["other parts", "", "", *_cost_cells(self.plan.other, self.plan.other)])
        return [*rows, ["total", "", "", *_cost_cells(self.plan.dense, self.plan.cost)]]


def layerwise(plan: Plan) -> Layerwise:
    """Return the plan as a table like the paper's of AlexNet, with three factors for each layer.

    References: Kim et al., ICLR 2016, sec. 4 (the layer-wise table of AlexNet).
    """
    return Layerwise(plan)


def factors_of(part: LayerPlan) -> dict[str, Cost]:
    """Return the cost of each factor by its name in the decomposed network; empty for a layer that is kept."""
    if part.rank_out is None:
        return {}
    return factor_costs(part.layer.shape, rank_in=part.rank_in, rank_out=part.rank_out)


def _cost_cells(before: Cost, after: Cost, *factors: Cost) -> list[str]:
    """Return four cells for weights and four for MACs: before, after, ratio, and the cost of each factor."""
    cells = []
    for measure in ("weights", "macs"):
        old, new = getattr(before, measure), getattr(after, measure)
        by_factor = " + ".join(count(getattr(cost, measure)) for cost in factors)
        cells += [count(old), count(new), times(ratio(old, new)), by_factor]
    return cells
