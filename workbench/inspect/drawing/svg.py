"""Draw a network as SVG: the area of a block is a layer's cost, its filling the planned cost."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from math import sqrt
from pathlib import Path

from workbench.files import write_atomically
from workbench.inspect.drawing.fills import AREAS, COLORS, ERROR, UNCHANGED, Fill, Measured, fills, scale_of
from workbench.inspect.drawing.layout import ROW_GAP, Item, Layout, layout, mean_height
from workbench.network.network import Network
from workbench.network.tracing import Node, find_layers
from workbench.plan.plan import Plan
from workbench.tables import count, times

MIN_SIDE, MAX_SIDE, MEAN_SIDE = 56.0, 110.0, 24.0
"""Smallest and largest side of the largest block, and the target of the mean side."""
MIN_PLACE_SIZE = (10.0, 12.0)
"""Smallest width and height of a block's clickable area."""
MARK_SIZES = {"input": (8.0, 8.0), "output": (8.0, 8.0), "cat": (4.0, 22.0), "add": (13.0, 13.0), "mul": (13.0, 13.0)}
"""Kind of a node that is no layer -> width and height."""
OTHER_MARK_SIZE = (6.0, 6.0)
WIRE, INK = "#8A94A2", "currentColor"
FONT_SIZE, LETTER_WIDTH = 10.0, 5.5
MARGIN, RETURN_WIDTH = 14.0, 26.0
"""Margin around the drawing, and width at its left for connections between rows."""
MIN_NAMES_SHARE = 0.6
"""Smallest share of the names below a row that must fit; else the names of larger modules are tried."""
MIN_WIDTH = 600.0
"""Width of the legend."""


def graph_of(plan: Plan, network: Network | None = None) -> tuple[Node, ...]:
    """Return the graph of a plan's layers, from its spectra, or else by tracing the network."""
    graph = plan.spectra.graph if plan.spectra is not None else ()
    return graph or (find_layers(network).graph if network is not None else ())


@dataclass(frozen=True)
class Drawing:
    """A drawing of a network, which a notebook shows."""

    plan: Plan  # its layers, planned or kept
    graph: tuple[Node, ...]
    measured: Measured = field(default=None, repr=False)  # source of the colours; None for predicted kernel errors
    area: str = "macs"  # cost that the area of a block stands for, one of `AREAS`
    aspect: float = 2.4  # target of width / height

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The graph; if it lacks layers, a chain of the layers."""
        names = [part.name for part in self.plan]
        if self.graph and sorted(node.name for node in self.graph if node.kind == "layer") == sorted(names):
            return self.graph
        chain = [Node("layer", name, (i,)) for i, name in enumerate(names)]
        return (Node("input"), *chain, Node("output", inputs=(len(names),)))

    @cached_property
    def sizes(self) -> dict[str, tuple[float, float]]:
        """Width and height of each layer's block; their product is proportional to its cost."""
        costs = {part.name: getattr(part.layer.cost, self.area) for part in self.plan}
        largest = max(costs.values(), default=0) or 1
        sides = {name: sqrt(cost / largest) for name, cost in costs.items()}
        side = min(MAX_SIDE, max(MIN_SIDE, MEAN_SIDE * len(sides) / (sum(sides.values()) or 1)))
        users = Counter(i for node in self.nodes if node.kind == "layer" for i in {*node.inputs})
        slim = 1.0 if max(users.values(), default=0) > 2 else 1.35  # height to a square's; branches share the height
        return {name: (side * share / slim, side * share * slim) for name, share in sides.items()}

    @cached_property
    def layout(self) -> Layout:
        """Positions of all blocks and connections."""
        sizes = []
        for node in self.nodes:
            width, height = self.sizes.get(node.name, (0.0, 0.0))
            size = max(width, MIN_PLACE_SIZE[0]), max(height, MIN_PLACE_SIZE[1])
            sizes.append(size if node.kind == "layer" else MARK_SIZES.get(node.kind, OTHER_MARK_SIZE))
        return layout(sizes, [node.inputs for node in self.nodes], self.aspect)

    @cached_property
    def fills(self) -> dict[str, Fill]:
        """Fill of each layer's block."""
        return fills(self.plan, self.measured, self.area)

    def has_blocks_of(self, other: "Drawing") -> bool:
        """Return whether both have the same blocks, with any fills."""
        keys = [(p.plan.network, p.graph, p.area, [part.layer for part in p.plan]) for p in (self, other)]
        return keys[0] == keys[1]

    @property
    def legend(self) -> tuple[str, str, list[tuple[str, str]]]:
        """Text on areas and fillings, title of the colours, and each colour with its meaning."""
        text = f"Area: {AREAS[self.area]}."
        text += " Outline: before, filling: after." if self.plan.ranks else ""
        scale = scale_of(self.plan, self.measured)
        if scale is None:
            return text, "", []
        kept = [(COLORS[UNCHANGED], "kept")] if scale is ERROR else []
        return text, f"Colour: {scale.title}", [*zip(COLORS, scale.names, strict=False), *kept]

    @property
    def marks(self) -> str:
        """Text on the nodes that are no layers."""
        kinds = {node.kind for node in self.nodes}
        text = " Circles: sums and products." if kinds & {"add", "mul"} else ""
        return text + (" Bars: concatenations." if "cat" in kinds else "")

    @property
    def summary(self) -> str:
        """Number of layers, and cost of the whole network."""
        before, after = (getattr(cost, self.area) for cost in (self.plan.dense, self.plan.cost))
        change = f" → {count(after)}, {times(before / after)} fewer" if 0 < after < before else ""
        return f"{len(self.plan)} layers, {count(before)} {AREAS[self.area]}{change}"

    def save(self, path: str | Path) -> Path:
        """Write the drawing as an SVG file, on white."""
        write_atomically(path, self._repr_svg_().encode())
        return Path(path)

    def _repr_html_(self) -> str:
        return f'<div style="overflow-x:auto">{self.svg()}</div>'

    def _repr_svg_(self) -> str:
        return self.svg(on_white=True)

    def svg(self, *, framed: bool = True, on_white: bool = False) -> str:
        """Return the SVG text, `framed` by title and legend; `on_white` for a file, else in the page's colours."""
        has_rows = len(self.layout.bottoms) > 1
        left, top = MARGIN + (RETURN_WIDTH if has_rows else 0.0), MARGIN + (24.0 if framed else 0.0)
        width = self.layout.width + left + MARGIN + (RETURN_WIDTH / 2 if has_rows else 0.0)
        height = top + self.layout.height + (FONT_SIZE + 12.0) + (82.0 if framed else 0.0)
        width = max(MIN_WIDTH, width) if framed else width
        offset = (width - left - MARGIN - self.layout.width) / 2 if framed and not has_rows else 0.0
        translation = f"translate({left + offset:.1f} {top:.1f})"
        body = f'<g transform="{translation}">{self._wires()}{self._labels()}{self._blocks()}</g>'
        frame = self._frame(height - 46.0) if framed else ""
        background, ink = ('<rect width="100%" height="100%" fill="#ffffff"/>', "#1f2933") if on_white else ("", INK)
        label = escape(f"{self.plan.network}: {self.summary}")
        largest = sorted(self.plan, key=lambda part: -getattr(part.layer.cost, self.area))[:3]
        largest_texts = "; ".join(self.fills[part.name].words for part in largest)
        description = escape(f"{self.summary}, from left to right. The largest: {largest_texts}")
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="wb-network" role="img" aria-label="{label}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" color="{ink}" '
            f'fill="{INK}" font-family="system-ui, -apple-system, Segoe UI, DejaVu Sans, sans-serif" '
            f'font-size="{FONT_SIZE:g}"><desc>{description}</desc>{background}{frame}{body}</svg>'
        )

    def _wires(self) -> str:
        items = (*self.layout.blocks, *self.layout.lanes)
        paths = [f"M{_n(i.x - i.width / 2)} {_n(i.y)}h{_n(i.width)}" for i in self.layout.lanes]
        paths += [self._wire(item, after) for item in items for after in item.after]
        return f'<path class="wires" d="{"".join(paths)}" fill="none" stroke="{WIRE}" stroke-width="1.3"/>'

    def _wire(self, start: Item, end: Item) -> str:
        (x1, y1), (x2, y2) = self._side(start, 1), self._side(end, -1)
        if start.row == end.row:
            if y1 == y2:
                return f"M{_n(x1)} {_n(y1)}H{_n(x2)}"
            middle_x = (x1 + x2) / 2
            return f"M{_n(x1)} {_n(y1)}C{_n(middle_x)} {_n(y1)} {_n(middle_x)} {_n(y2)} {_n(x2)} {_n(y2)}"
        mean_y = mean_height(start.after)
        level, r, left = self.layout.bottoms[start.row] + ROW_GAP * 0.62, 6.0, -RETURN_WIDTH + 2
        path = f"M{_n(x1)} {_n(y1)}h3q{r} 0 {r} {r}V{_n(level - r)}q0 {r} {-r} {r}H{_n(left + r)}"
        path += f"q{-r} 0 {-r} {r}V{_n(mean_y - r)}q0 {r} {r} {r}"
        x = left + r
        return path + f"C{_n((x + x2) / 2)} {_n(mean_y)} {_n((x + x2) / 2)} {_n(y2)} {_n(x2)} {_n(y2)}"

    def _side(self, item: Item, side: int) -> tuple[float, float]:
        """Return where a connection leaves a block (`side` 1) or enters it (-1): at the visible border."""
        node = self.nodes[item.block]
        width = item.width if item.lane or node.kind != "layer" else self.sizes[node.name][0]
        return item.x + side * width / 2, item.y

    def _blocks(self) -> str:
        pairs = zip(self.nodes, self.layout.blocks, strict=True)
        return "".join(self._block(n.name, i) if n.kind == "layer" else _mark(n, i) for n, i in pairs)

    def _block(self, name: str, item: Item) -> str:
        (width, height), fill = self.sizes[name], self.fills[name]
        left, top, filled = -width / 2, -height / 2, height * min(1.0, fill.share)
        box = f'x="{left:.3f}" width="{width:.3f}"'
        dashes = ' stroke-dasharray="3 2"' if fill.share > 1 else ""  # costs more than before; its filling is cut off
        return (
            f'<g class="layer" data-layer="{escape(name)}" transform="translate({_n(item.x)} {_n(item.y)})">'
            f"<title>{escape(fill.words)}</title>"
            f'<rect class="place" x="{_n(-item.width / 2)}" y="{_n(-item.height / 2)}" width="{_n(item.width)}" '
            f'height="{_n(item.height)}" fill="none" pointer-events="all"/>'
            f'<rect class="original" {box} y="{top:.3f}" height="{height:.3f}" fill="{INK}" fill-opacity="0.05"/>'
            f'<rect class="planned" {box} y="{-top - filled:.3f}" height="{filled:.3f}" fill="{COLORS[fill.shade]}"/>'
            f'<rect class="outline" {box} y="{top:.3f}" height="{height:.3f}" fill="none" stroke="{INK}" '
            f'stroke-opacity="0.75"{dashes}/></g>'
        )

    def _labels(self) -> str:
        texts = []
        for row, bottom in enumerate(self.layout.bottoms):
            for x, text in self._names(row):
                texts.append(f'<text x="{_n(x)}" y="{_n(bottom + FONT_SIZE + 2)}">{escape(text)}</text>')
        return f'<g class="names" aria-hidden="true" opacity="0.75">{"".join(texts)}</g>'

    def _names(self, row: int) -> list[tuple[float, str]]:
        """Return (x, name) of the names below a row, with as many parts of the dotted names as fit."""
        pairs = zip(self.nodes, self.layout.blocks, strict=True)
        layers = sorted((i.x - i.width / 2, n.name.split(".")) for n, i in pairs if n.kind == "layer" and i.row == row)
        for depth in range(max((len(name) for _, name in layers), default=1), 0, -1):
            groups: list[tuple[float, list[str]]] = []
            for x, name in layers:
                if not groups or groups[-1][1] != name[:depth]:
                    groups.append((x, name[:depth]))
            texts = _fitting(groups)
            if len(texts) >= MIN_NAMES_SHARE * len(groups):
                break
        return texts

    def _frame(self, top: float) -> str:
        """Return the title, and the legend at height `top`."""
        head = f'<text x="{MARGIN}" y="20" font-size="13"><tspan font-weight="600">{escape(self.plan.network)}</tspan>'
        head += f'<tspan dx="10" opacity="0.8">{escape(self.summary)}</tspan></text>'
        text, title, colors = self.legend
        elements = [f'<text x="{MARGIN}" y="{top + 4}" opacity="0.85">{text}{self.marks}</text>']
        elements += [f'<text x="{MARGIN}" y="{top + 22}" opacity="0.85">{title}</text>'] if title else []
        x = MARGIN
        for color, name in colors:
            elements.append(f'<rect x="{x:.0f}" y="{top + 29}" width="10" height="10" fill="{color}"/>')
            elements.append(f'<text x="{x + 15:.0f}" y="{top + 38}" opacity="0.85">{name}</text>')
            x += 15 + LETTER_WIDTH * len(name) + 16
        return f'{head}<g class="legend" aria-hidden="true">{"".join(elements)}</g>'


def _mark(node: Node, item: Item) -> str:
    """Return the SVG of a node that is no layer."""
    x, y, r = item.x, item.y, item.width / 2
    circle = f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(r)}"'
    if node.kind == "cat":
        y, height = y - item.height / 2, item.height
        return f'<rect x="{_n(x - r)}" y="{_n(y)}" width="{_n(2 * r)}" height="{_n(height)}" rx="2" fill="{WIRE}"/>'
    if node.kind not in ("add", "mul"):
        return f'{circle} fill="{WIRE}"/>'
    rotation = f' transform="rotate(45 {_n(x)} {_n(y)})"' if node.kind == "mul" else ""
    cross = f"M{_n(x - r + 3)} {_n(y)}h{_n(2 * r - 6)}M{_n(x)} {_n(y - r + 3)}v{_n(2 * r - 6)}"
    ring = f'{circle} fill="none" stroke="{WIRE}" stroke-width="1.3"/>'
    return f'{ring}<path d="{cross}" stroke="{WIRE}" stroke-width="1.3"{rotation}/>'


def _fitting(names: Iterable[tuple[float, list[str]]]) -> list[tuple[float, str]]:
    """Return the names that fit; one in the module of the name before is cut to its last part."""
    labels: list[tuple[float, str]] = []
    module: list[str] = []
    for x, name in names:
        if not labels or labels[-1][0] + LETTER_WIDTH * (len(labels[-1][1]) + 1) <= x:
            labels.append((x, f".{name[-1]}" if labels and len(name) > 1 and module == name[:-1] else ".".join(name)))
            module = name[:-1]
    return labels


def _n(value: float) -> str:
    """Return a number with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")
