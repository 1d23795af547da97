"""Place the blocks of a graph in columns, from left to right, in rows like those of a text.

A block's column is the length of the longest path to it. A connection over several columns has a lane in each; all
connections of a block share its lanes. Barycentres give the order in a column; heights minimise the squared distances
to the neighbours' heights, subject to the gaps, with the longest chain straight. Rows break where a single value flows.

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
"""Gaps between columns, between blocks of a column, beside a lane, and between rows, in the units of the sizes."""
GAP_PER_HEIGHT = 0.16
"""Extra width of the gap after a column, as a share of the largest difference in height of a connection there."""
MAX_GAP_X = 34.0
MAX_ROW_WIDTH = 900.0
"""Largest width of a drawing that always stays in one row."""
SWEEPS = 6
"""Number of passes over all columns, for the order of their blocks and for their heights."""
CHAIN_WEIGHT = 1e9
"""Weight of the longest chain's blocks in the choice of heights; other blocks have `BLOCK_WEIGHT`, lanes 1."""
BLOCK_WEIGHT = 1e3


@dataclass
class Item:
    """A block, or a lane through its column; (x, y) is its centre."""

    block: int  # number of the block, or of the block from which the lane comes
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
    """Positions of all blocks and lanes, in the units of the sizes."""

    width: float
    height: float
    blocks: tuple[Item, ...]  # in the order of the graph
    lanes: tuple[Item, ...]  # of connections over several columns
    bottoms: tuple[float, ...]  # of the rows


def layout(sizes: Sequence[tuple[float, float]], inputs: Sequence[Sequence[int]], aspect: float = 2.4) -> Layout:
    """Place blocks of these sizes; each comes after its `inputs`. `aspect` is the target of width / height."""
    blocks = _blocks(sizes, inputs)
    lanes = _connect(blocks, inputs)
    columns: list[list[Item]] = [[] for _ in range(1 + max(block.column for block in blocks))]
    for item in (*lanes, *blocks):  # a lane is above the block that it passes
        columns[item.column].append(item)
    _order(columns)
    _straighten(columns)
    bottoms = _break_rows(columns, aspect)
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
    """Link each block to its inputs, over several columns by lanes; return the lanes."""
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
    """Order each column by the mean position of its neighbours; keep the order with the fewest crossings."""
    fewest, best_order = inf, columns
    for sweep in range(SWEEPS):
        forwards = sweep % 2 == 0
        for column in columns if forwards else reversed(columns):
            neighbours = [item.before if forwards else item.after for item in column]
            means = [fmean(item.y for item in items) if items else i for i, items in enumerate(neighbours)]
            column[:] = [column[i] for i in sorted(range(len(column)), key=means.__getitem__)]
            for position, item in enumerate(column):
                item.y = position - (len(column) - 1) / 2
        crossings = _crossings(columns)
        if crossings < fewest:
            fewest, best_order = crossings, [list(column) for column in columns]
    columns[:] = best_order


def _crossings(columns: list[list[Item]]) -> int:
    crossings = 0
    for column in columns:
        end_heights = [end for item in column for end in sorted(after.y for after in item.after)]
        crossings += sum(above > below for above, below in combinations(end_heights, 2))
    return crossings


def _straighten(columns: list[list[Item]]) -> None:
    """Choose heights: chains and lanes are straight; blocks before and after branches are in the middle of them."""
    for column in columns:
        _set_heights(column, [mean_height(item.before) for item in column])
    for _ in range(SWEEPS):
        for column in reversed(columns):
            _set_heights(column, [_target_height(item, item.after, lambda near: near.before) for item in column])
        for column in columns:
            _set_heights(column, [_target_height(item, item.before, lambda near: near.after) for item in column])


def _target_height(item: Item, neighbours: Sequence[Item], opposite: Callable[[Item], Sequence[Item]]) -> float:
    """Return the height of a single neighbour with no other neighbour, the mean of several, or else the present one."""
    if len(neighbours) == 1:
        straight = len(opposite(neighbours[0])) == 1 or item.weight == neighbours[0].weight == CHAIN_WEIGHT
        return neighbours[0].y if straight else item.y
    return mean_height(neighbours) if neighbours and not item.lane else item.y


def mean_height(items: Sequence[Item]) -> float:
    """Return the weighted mean of the heights: that of the longest chain, if it is among the items."""
    total = sum(item.weight for item in items)
    return sum(item.weight * item.y for item in items) / total if items else 0.0


def _set_heights(column: Sequence[Item], targets: Sequence[float]) -> None:
    """Set heights closest to the targets, in the order of the column and with gaps."""
    offset, offsets = 0.0, [0.0]
    for above, below in pairwise(column):
        gap = LANE_GAP if above.lane or below.lane else GAP_Y
        offset += (above.height + below.height) / 2 + gap
        offsets.append(offset)
    unshifted = [target - shift for target, shift in zip(targets, offsets, strict=True)]
    heights = isotonic_regression(unshifted, weights=[item.weight for item in column]).x
    for item, height, shift in zip(column, heights.tolist(), offsets, strict=True):
        item.y = round(height + shift, 1)


def _break_rows(columns: list[list[Item]], aspect: float) -> list[float]:
    """Break the columns into rows of the best shape, set every item's position, and return the rows' bottoms."""
    widths = [max(item.width for item in column) for column in columns]
    rises = [max((abs(i.y - after.y) for i in column for after in i.after), default=0.0) for column in columns]
    gaps = [min(MAX_GAP_X, GAP_X + GAP_PER_HEIGHT * rise) for rise in rises]
    breaks = [c + 1 for c, column in enumerate(columns[:-1]) if len(column) == 1]

    def page_scale(starts: Sequence[int]) -> float:
        """Return the scale of these rows on a page of width `aspect` and height 1."""
        rows = list(pairwise([*starts, len(columns)]))
        width = max(sum(widths[start:stop]) + sum(gaps[start : stop - 1]) for start, stop in rows)
        height = sum(sum(_extent(columns[start:stop])) + ROW_GAP for start, stop in rows)
        return min(aspect / width, 1 / height)

    starts = _row_starts(widths, gaps, breaks, inf)
    best_scale = page_scale(starts)
    for n_rows in range(2, len(breaks) + 2) if sum(widths) + sum(gaps) > MAX_ROW_WIDTH else ():
        candidate = _balanced_starts(widths, gaps, breaks, n_rows)
        scale = page_scale(candidate)
        if len(candidate) == n_rows and scale <= best_scale:
            break
        starts, best_scale = (candidate, scale) if scale > best_scale else (starts, best_scale)
    bottoms, bottom = [], 0.0
    for row, (start, stop) in enumerate(pairwise([*starts, len(columns)])):
        above, below = _extent(columns[start:stop])
        centre = bottom + above
        x = 0.0
        for c in range(start, stop):
            for item in columns[c]:
                item.x, item.y, item.row = x + widths[c] / 2, item.y + centre, row
                item.width = widths[c] if item.lane else item.width
            x += widths[c] + gaps[c]
        bottoms.append(centre + below)
        bottom = bottoms[-1] + ROW_GAP
    return bottoms


def _balanced_starts(widths: Sequence[float], gaps: Sequence[float], breaks: Sequence[int], n_rows: int) -> list[int]:
    """Return the first columns of at most `n_rows` rows, the longest of which is as short as possible."""
    low, high = 0.0, sum(widths) + sum(gaps)
    while high - low > 1.0:
        middle = (low + high) / 2
        low, high = (low, middle) if len(_row_starts(widths, gaps, breaks, middle)) <= n_rows else (middle, high)
    return _row_starts(widths, gaps, breaks, high)


def _row_starts(widths: Sequence[float], gaps: Sequence[float], breaks: Sequence[int], limit: float) -> list[int]:
    """Return the first columns of rows no wider than `limit`, as far as `breaks` allow."""
    starts, edges = [0], [0.0, *accumulate(map(add, widths, gaps))]
    for column, next_break in pairwise([*breaks, len(widths)]):
        if edges[next_break] - edges[starts[-1]] > limit:
            starts.append(column)
    return starts


def _extent(columns: Sequence[Sequence[Item]]) -> tuple[float, float]:
    """Return the largest distances above and below the middle."""
    items = [item for column in columns for item in column]
    above = max(item.height / 2 - item.y for item in items)
    return above, max(item.height / 2 + item.y for item in items)
