"""Place the blocks of a graph in columns, from left to right, in rows like those of a text.

A block's column is the length of the longest path that leads to it. A connection over several columns has a lane there,
which those of one block share. The order in a column is by barycentres; the heights are the least squares distances to
the neighbours' that leave the gaps, with the longest chain kept straight. Rows end where a single value flows.

References: Sugiyama, Tagawa, Toda, *Methods for visual understanding of hierarchical system structures*, IEEE
Transactions on Systems, Man, and Cybernetics 1981.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, combinations, pairwise
from math import inf
from operator import add
from statistics import fmean

from scipy.optimize import isotonic_regression

GAP_X, GAP_Y, LANE_GAP, ROW_GAP = 16.0, 9.0, 7.0, 34.0
"""Between columns, between blocks of a column, beside a lane, and between rows; in the units of the sizes."""
GAP_PER_HEIGHT = 0.16
"""Width that is added to the gap after a column, as a share of the height that the steepest connection there takes."""
MAX_GAP_X = 34.0
MAX_ROW_WIDTH = 900.0
"""Width up to which all is in one row, whatever its shape."""
SWEEPS = 6
"""Passes over all columns, once to order their blocks and once to choose heights."""
CHAIN_WEIGHT = 1e9
"""Weight of the longest chain's blocks when heights are chosen; that of others is `BLOCK_WEIGHT`, that of lanes 1."""
BLOCK_WEIGHT = 1e3


@dataclass
class Item:
    """A block, or a lane through its column; (x, y) is its centre."""

    block: int  # its number, for a lane that of the block that it comes from
    column: int
    width: float = 0.0
    height: float = 0.0
    lane: bool = False
    weight: float = 1.0
    x: float = 0.0
    y: float = 0.0
    row: int = 0
    before: list["Item"] = field(default_factory=list, repr=False)
    after: list["Item"] = field(default_factory=list, repr=False)


@dataclass(frozen=True)
class Layout:
    """Where everything is, in the units of the sizes that were given."""

    width: float
    height: float
    blocks: tuple[Item, ...]  # in the order of the graph
    lanes: tuple[Item, ...]  # of connections over several columns
    bottoms: tuple[float, ...]  # of the rows


def layout(sizes: Sequence[tuple[float, float]], inputs: Sequence[Sequence[int]], aspect: float = 2.4) -> Layout:
    """Place blocks of these sizes; each comes after its `inputs`. `aspect` is the width / height that is aimed at."""
    blocks = _blocks(sizes, inputs)
    lanes = _connect(blocks, inputs)
    columns: list[list[Item]] = [[] for _ in range(1 + max(block.column for block in blocks))]
    for item in (*lanes, *blocks):  # a lane is above the block that it passes
        columns[item.column].append(item)
    _order(columns)
    _straighten(columns)
    bottoms = _rows(columns, aspect)
    width = max(block.x + block.width / 2 for block in blocks)
    return Layout(width, max(bottoms), tuple(blocks), tuple(lanes), tuple(bottoms))


def _blocks(sizes: Sequence[tuple[float, float]], inputs: Sequence[Sequence[int]]) -> list[Item]:
    blocks: list[Item] = []
    for i, (width, height) in enumerate(sizes):
        column = max((blocks[j].column + 1 for j in inputs[i]), default=0)
        blocks.append(Item(i, column, width, height, weight=BLOCK_WEIGHT))
    for item in reversed(blocks):  # the longest paths to the last block are kept straight
        if item is blocks[-1] or item.weight == CHAIN_WEIGHT:
            item.weight = CHAIN_WEIGHT
            for j in inputs[item.block]:
                if blocks[j].column == item.column - 1:
                    blocks[j].weight = CHAIN_WEIGHT
    return blocks


def _connect(blocks: Sequence[Item], inputs: Sequence[Sequence[int]]) -> list[Item]:
    """Link blocks of neighbouring columns, others by lanes; return the lanes."""
    lanes: list[Item] = []
    paths: dict[int, list[Item]] = {}  # block -> itself and its lanes, column by column
    for block, sources in zip(blocks, inputs, strict=True):
        for source in sources:
            path = paths.setdefault(source, [blocks[source]])
            while path[-1].column < block.column - 1:
                lane = Item(source, path[-1].column + 1, lane=True)
                path[-1].after.append(lane)
                lane.before.append(path[-1])
                path.append(lane)
                lanes.append(lane)
            last = path[block.column - blocks[source].column - 1]
            if last not in block.before:
                last.after.append(block)
                block.before.append(last)
    return lanes


def _order(columns: list[list[Item]]) -> None:
    """Order each column by the mean place of its neighbours, keeping the order with the fewest crossings."""
    best, order = inf, columns
    for sweep in range(SWEEPS):
        forwards = sweep % 2 == 0
        for column in columns if forwards else reversed(columns):
            near = [item.before if forwards else item.after for item in column]
            means = [fmean(item.y for item in items) if items else place for place, items in enumerate(near)]
            column[:] = [column[i] for i in sorted(range(len(column)), key=means.__getitem__)]
            for place, item in enumerate(column):
                item.y = place - (len(column) - 1) / 2
        crossings = _crossings(columns)
        if crossings < best:
            best, order = crossings, [list(column) for column in columns]
    columns[:] = order


def _crossings(columns: list[list[Item]]) -> int:
    number = 0
    for column in columns:
        ends = [y for item in column for y in sorted(after.y for after in item.after)]
        number += sum(one > other for one, other in combinations(ends, 2))
    return number


def _straighten(columns: list[list[Item]]) -> None:
    """Choose heights: chains and lanes straight, what branches off and comes together around the middle."""
    for column in columns:
        _place(column, [mean_height(item.before) for item in column])
    for _ in range(SWEEPS):
        for column in reversed(columns):
            _place(column, [_wanted(item, item.after, lambda other: other.before) for item in column])
        for column in columns:
            _place(column, [_wanted(item, item.before, lambda other: other.after) for item in column])


def _wanted(item: Item, near: Sequence[Item], back: Callable[[Item], Sequence[Item]]) -> float:
    """Return the height of a neighbour that this is the only neighbour of, or between several, else the present one."""
    if len(near) == 1:
        straight = len(back(near[0])) == 1 or item.weight == near[0].weight == CHAIN_WEIGHT
        return near[0].y if straight else item.y
    return mean_height(near) if near and not item.lane else item.y


def mean_height(items: Sequence[Item]) -> float:
    """Return the mean of the heights, by weight: that of the longest chain if it is among them."""
    total = sum(item.weight for item in items)
    return sum(item.weight * item.y for item in items) / total if items else 0.0


def _place(column: Sequence[Item], wanted: Sequence[float]) -> None:
    """Set heights closest to the wanted ones, in this order, with gaps."""
    offset, offsets = 0.0, [0.0]
    for above, below in pairwise(column):
        gap = LANE_GAP if above.lane or below.lane else GAP_Y
        offset += (above.height + below.height) / 2 + gap
        offsets.append(offset)
    free = [y - shift for y, shift in zip(wanted, offsets, strict=True)]
    heights = isotonic_regression(free, weights=[item.weight for item in column]).x
    for item, height, shift in zip(column, heights.tolist(), offsets, strict=True):
        item.y = round(height + shift, 1)


def _rows(columns: list[list[Item]], aspect: float) -> list[float]:
    """Break the columns into rows of the best shape, set where every item is, and return the rows' bottoms."""
    widths = [max(item.width for item in column) for column in columns]
    rises = [max((abs(i.y - after.y) for i in column for after in i.after), default=0.0) for column in columns]
    gaps = [min(MAX_GAP_X, GAP_X + GAP_PER_HEIGHT * rise) for rise in rises]
    breaks = [c + 1 for c, column in enumerate(columns[:-1]) if len(column) == 1]

    def scale_of(starts: Sequence[int]) -> float:
        """Return how large these rows are drawn on a page of width `aspect` and height 1."""
        rows = list(pairwise([*starts, len(columns)]))
        width = max(sum(widths[begin:end]) + sum(gaps[begin : end - 1]) for begin, end in rows)
        height = sum(sum(_extent(columns[begin:end])) + ROW_GAP for begin, end in rows)
        return min(aspect / width, 1 / height)

    starts = _broken(widths, gaps, breaks, inf)
    best = scale_of(starts)
    for number in range(2, len(breaks) + 2) if sum(widths) + sum(gaps) > MAX_ROW_WIDTH else ():
        candidate = _balanced(widths, gaps, breaks, number)
        scale = scale_of(candidate)
        if len(candidate) == number and scale <= best:
            break
        starts, best = (candidate, scale) if scale > best else (starts, best)
    bottoms, bottom = [], 0.0
    for row, (begin, end) in enumerate(pairwise([*starts, len(columns)])):
        above, below = _extent(columns[begin:end])
        centre = bottom + above
        x = 0.0
        for c in range(begin, end):
            for item in columns[c]:
                item.x, item.y, item.row = x + widths[c] / 2, item.y + centre, row
                item.width = widths[c] if item.lane else item.width
            x += widths[c] + gaps[c]
        bottoms.append(centre + below)
        bottom = bottoms[-1] + ROW_GAP
    return bottoms


def _balanced(widths: Sequence[float], gaps: Sequence[float], breaks: Sequence[int], number: int) -> list[int]:
    """Return the columns at which at most `number` rows begin, the longest of which is as short as can be."""
    low, high = 0.0, sum(widths) + sum(gaps)
    while high - low > 1.0:
        middle = (low + high) / 2
        low, high = (low, middle) if len(_broken(widths, gaps, breaks, middle)) <= number else (middle, high)
    return _broken(widths, gaps, breaks, high)


def _broken(widths: Sequence[float], gaps: Sequence[float], breaks: Sequence[int], limit: float) -> list[int]:
    """Return the columns at which rows begin, if rows are no wider than `limit`, as far as `breaks` allow."""
    starts, edges = [0], [0.0, *accumulate(map(add, widths, gaps))]
    for column, following in pairwise([*breaks, len(widths)]):
        if edges[following] - edges[starts[-1]] > limit:
            starts.append(column)
    return starts


def _extent(columns: Sequence[Sequence[Item]]) -> tuple[float, float]:
    """Return how far items reach above and below the middle."""
    items = [item for column in columns for item in column]
    above = max(item.height / 2 - item.y for item in items)
    return above, max(item.height / 2 + item.y for item in items)
