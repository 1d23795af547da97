"""Draw a report's figures as SVG, readable on light and on dark pages; shape or position says the same as colour."""

from collections.abc import Sequence
from html import escape

from workbench.plan.plan import LayerPlan, Plan
from workbench.plan.spectra import Spectra
from workbench.runs.run import Stage
from workbench.tables import count

BLUE, GREY = "#0072b2", "#9aa5b1"
MAX_LAYERS, MAX_SPECTRA = 40, 9
WIDTH, LABEL_WIDTH, VALUE_WIDTH, ROW_HEIGHT = 760, 190, 130, 22
PANEL_WIDTH, PANEL_HEIGHT = 245, 110  # units of the SVG, which scales to the page


def scores(stages: Sequence[Stage]) -> str:
    """Draw the top-1 score of every stage and split as a dot on its 95 % interval."""
    found = [(f"{stage.name}, {split}", score) for stage in stages for split, score in stage.scores.items()]
    ends = [score.interval if score.is_share else (score.top1, score.top1) for _, score in found]
    start = min(low for low, _ in ends)
    span = max(high for _, high in ends) - start or 1.0
    rows = []
    for (label, score), interval in zip(found, ends, strict=True):
        low, high, top = ((value - start) / span for value in (*interval, score.top1))
        shapes = [_bar(low, high, 4, GREY), f'<circle cx="{_x(top):.1f}" cy="0" r="5" fill="{BLUE}"/>']
        rows.append((label, shapes, score.value))
    return _rows("Top-1 of each stage: the score on its 95 % interval", rows)


def layer_costs(plan: Plan) -> str:
    """Draw the MACs of the layers that cost most before and after, in the order of their calls."""
    parts = largest_layers(plan, MAX_LAYERS)
    top = max(max(p.layer.cost.macs, p.cost.macs) for p in parts) or 1
    rows = []
    for part in parts:
        before, after = part.layer.cost.macs, part.cost.macs
        bars = [_bar(0, before / top, 16, GREY), _bar(0, after / top, 8, BLUE)]
        rows.append((part.name or "(the network)", bars, f"{count(before)} → {count(after)}"))
    return _rows("MACs of each layer: before in grey, after in blue", rows)


def spectra(found: Spectra, plan: Plan) -> str:
    """Draw the singular values of the layers that cost most, those that the plan keeps in blue."""
    parts = largest_layers([part for part in plan if part.name in found], MAX_SPECTRA)
    panels = []
    for i, part in enumerate(parts):
        values = [float(value) for value in found[part.name].singular_out]
        scaled = [value / max(values[0], 1e-30) for value in values]
        words = f"{part.rank_out} of {len(values)}" if part.rank_out is not None else "kept whole"
        panels.append(
            f'<g transform="translate({i % 3 * (PANEL_WIDTH + 10)} {i // 3 * PANEL_HEIGHT})">'
            f'<text x="0" y="14">{escape(f"{part.name}: {words}")}</text>'
            f"{_area(scaled, len(values), GREY)}{_area(scaled[: part.rank_out], len(values), BLUE)}</g>"
        )
    height = -(-len(parts) // 3) * PANEL_HEIGHT
    return _svg("Singular values of the layers that cost most: kept ones in blue", height, "".join(panels))


def largest_layers(plan: Plan | list[LayerPlan], number: int) -> list[LayerPlan]:
    """Return the layers with the most MACs, in their order in the plan."""
    largest = sorted(plan, key=lambda part: -part.layer.cost.macs)[:number]
    return [part for part in plan if part in largest]


def _rows(title: str, rows: Sequence[tuple[str, Sequence[str], str]]) -> str:
    """Return SVG rows: a label, shapes around y = 0, and a value in words."""
    drawn = []
    for i, (label, shapes, value) in enumerate(rows):
        drawn.append(
            f'<g transform="translate(0 {ROW_HEIGHT * (i + 0.5)})">'
            f'<text x="{LABEL_WIDTH - 10}" y="4" text-anchor="end">{escape(label)}</text>{"".join(shapes)}'
            f'<text x="{WIDTH}" y="4" text-anchor="end">{escape(value)}</text></g>'
        )
    return _svg(title, ROW_HEIGHT * len(rows), "".join(drawn))


def _svg(title: str, height: float, content: str) -> str:
    return (
        f'<figure><svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(title)}" '
        f'viewBox="0 0 {WIDTH} {height}" font-size="12" fill="currentColor">{content}</svg>'
        f"<figcaption>{escape(title)}</figcaption></figure>"
    )


def _bar(begin: float, end: float, thickness: float, color: str) -> str:
    x, width = _x(begin), _x(end) - _x(begin)
    return f'<rect x="{x:.1f}" y="{-thickness / 2}" width="{width:.1f}" height="{thickness}" fill="{color}"/>'


def _x(share: float) -> float:
    return LABEL_WIDTH + share * (WIDTH - LABEL_WIDTH - VALUE_WIDTH)


def _area(values: Sequence[float], number: int, color: str) -> str:
    """Return the area under steps of equal width, `number` of which fill the panel."""
    bottom, step = PANEL_HEIGHT - 12, PANEL_WIDTH / number
    path = "".join(f"V{bottom - value * (bottom - 22):.1f}H{(i + 1) * step:.1f}" for i, value in enumerate(values))
    return f'<path d="M0 {bottom}{path}V{bottom}Z" fill="{color}"/>'
