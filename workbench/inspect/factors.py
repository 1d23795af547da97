"""One convolution and the three that replace it: costs, break-even, and the coordinates of their drawing."""

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import NamedTuple

from workbench.kernels.complexity import Cost, break_even, factor_costs, total
from workbench.network.layers import Layer
from workbench.plan.spectrum import Spectrum
from workbench.tables import count, times

WIDTH, HEIGHT = 100.0, 47.0
"""Size of the drawing of the blocks."""
FACTOR_NAMES = ("1x1, down", "core", "1x1, up")
MEASURES = {"weights": "weights", "macs": "MACs"}
"""Attribute of a cost -> label."""
RATIOS = (1, 2, 4, 8)
"""Cost ratios, dense / factorised, of the lines in the plane of the ranks."""
COLUMNS_X, ROWS_Y = (9.0, 36.0, 62.5, 89.0), (33.0, 9.5)
"""x of the centres of the columns of blocks, and y of the rows: one convolution above, three below."""
MAX_BLOCK = 11.5
"""Largest width and height of a block's front."""

Points = list[tuple[float, float]]


class Block(NamedTuple):
    """A map as a box around (x, y): its width stands for the channels, its height for the map's side.

    `kind` is "map" for channels of the network, "rank" for those between two factors.
    """

    name: str
    kind: str
    x: float
    y: float
    width: float
    height: float

    @property
    def faces(self) -> tuple[Points, Points, Points]:
        """Corners of the front, the top and the right side."""
        left, right = self.x - self.width / 2, self.x + self.width / 2
        low, high = self.y - self.height / 2, self.y + self.height / 2
        dx, dy = 0.16 * self.height, 0.26 * self.height
        front = [(left, low), (right, low), (right, high), (left, high)]
        top = [(left, high), (right, high), (right + dx, high + dy), (left + dx, high + dy)]
        side = [(right, low), (right + dx, low + dy), (right + dx, high + dy), (right, high)]
        return front, top, side

    @property
    def label(self) -> tuple[float, float]:
        """Position of the name, above the block."""
        return self.x + 0.08 * self.height, self.y + 0.76 * self.height + 1.0


class Arrow(NamedTuple):
    """A convolution between two blocks, with texts of its kernel size (`above`) and its weights (`below`)."""

    start: tuple[float, float]
    end: tuple[float, float]
    above: str
    below: str

    @property
    def middle(self) -> float:
        """Horizontal centre of the texts."""
        return (self.start[0] + self.end[0]) / 2


@dataclass(frozen=True)
class Factors:
    """Tucker-2 factors of a convolution without groups; ValueError for another layer, or if a rank does not fit."""

    layer: Layer
    rank_in: int
    rank_out: int
    spectrum: Spectrum | None = None  # None if the layer's weights are not known

    def __post_init__(self) -> None:
        name = f"layer {self.layer.name}" if self.layer.name else "the layer"
        if not self.layer.shape.kernel_size or self.layer.shape.groups > 1:
            reason = "has groups" if self.layer.shape.groups > 1 else "is a matrix"
            raise ValueError(f"{name} {reason}: this picture shows one convolution and the three in its place")
        for rank_name, max_rank in zip(("rank_in", "rank_out"), self.layer.max_ranks, strict=True):
            rank = getattr(self, rank_name)
            if not 1 <= rank <= max_rank:
                raise ValueError(f"{name}: {rank_name}={rank!r} does not fit, it can be 1 to {max_rank}")

    @classmethod
    def of(cls, subject: Spectrum | Layer, rank_in: int | None = None, rank_out: int | None = None) -> "Factors":
        """Return the factors of an analysed layer or a Layer; ranks default to EVBMF's, or to half the channels."""
        if not isinstance(subject, Spectrum | Layer):
            raise TypeError(f'this takes one layer, like spectra["features.3"], not a {type(subject).__name__}')
        spectrum = subject if isinstance(subject, Spectrum) else None
        layer = subject if isinstance(subject, Layer) else subject.layer
        defaults = evbmf_ranks(spectrum) or tuple(max(1, max_rank // 2) for max_rank in layer.max_ranks)
        ranks = zip((rank_in, rank_out), defaults, strict=True)
        rank_in, rank_out = (default if rank is None else rank for rank, default in ranks)
        return cls(layer, rank_in, rank_out, spectrum)

    @property
    def parts(self) -> tuple[Cost, ...]:
        """Cost of each factor."""
        return tuple(factor_costs(self.layer.shape, rank_in=self.rank_in, rank_out=self.rank_out).values())

    @property
    def cost(self) -> Cost:
        """Cost of all factors."""
        return total(self.parts)

    @property
    def pays(self) -> bool:
        """Whether the factors need neither more weights nor more MACs than the dense layer."""
        return all(getattr(self.cost, measure) <= getattr(self.layer.cost, measure) for measure in MEASURES)

    @property
    def error(self) -> float | None:
        """Upper bound of the kernel's relative error; None if it is not known."""
        if self.spectrum is None or self.spectrum.in_ is None:
            return None
        return self.spectrum.error(rank_out=self.rank_out, rank_in=self.rank_in)

    def shares(self, measure: str) -> list[float]:
        """Return the "weights" or "macs" of the three factors as shares of the dense layer's."""
        return [getattr(part, measure) / getattr(self.layer.cost, measure) for part in self.parts]

    @property
    def max_share(self) -> float:
        """End of the axis of the costs, as a share of the dense layer's, with a margin."""
        return max(1.15, *(1.08 * sum(self.shares(measure)) for measure in MEASURES))

    def change_text(self, measure: str) -> str:
        """Return the change of a cost as a text, like "18.5 k → 3.55 k (x5.21 fewer)"."""
        old, new = getattr(self.layer.cost, measure), getattr(self.cost, measure)
        change = f"{times(old / new)} fewer" if new < old else f"{times(new / old)} more" if new > old else "the same"
        return f"{count(old)} → {count(new)} ({change})"

    @property
    def verdict(self) -> str:
        """A sentence: whether the factors pay, and up to which rank_out."""
        max_rank, max_paying = self.layer.max_ranks[1], int(break_even(self.layer.shape, rank_in=self.rank_in))
        phrases = {0: "no rank_out pays", max_rank: "any rank_out pays"}
        limit_text = phrases.get(max_paying, f"rank_out may be at most {max_paying}")
        return f"{'It pays' if self.pays else 'It does not pay'}. With rank_in = {self.rank_in}, {limit_text}."

    def line(self, ratio: float) -> Points:
        """Return (rank_in, rank_out) where the factors are `ratio` times cheaper than the dense layer."""
        ranks = range(1, self.layer.max_ranks[0] + 1)
        points = ((float(rank), break_even(self.layer.shape, rank_in=rank, ratio=ratio)) for rank in ranks)
        return [point for point in points if point[1] > 0]

    def label_position(self, ratio: float) -> tuple[float, float] | None:
        """Return the position of the line's label, beside the diagonal; None if there is no line."""
        max_in, max_out = self.layer.max_ranks
        candidates = [point for point in self.line(ratio) if point[0] <= 0.85 * max_in or max_in == 1]
        return min(candidates, key=lambda point: abs(point[0] / max_in - 1.8 * point[1] / max_out), default=None)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The dense layer's two maps, then the factors' four."""
        shape = self.layer.shape
        in_side, out_side = map(sqrt, shape.all_positions)
        counts = {"S": shape.in_channels, "rank_in": self.rank_in, "rank_out": self.rank_out, "T": shape.out_channels}
        sides = (in_side, in_side, out_side, out_side)  # the core has the stride
        above, below = ROWS_Y
        row = []
        for (name, channels), side, x in zip(counts.items(), sides, COLUMNS_X, strict=True):
            kind = "rank" if name.startswith("rank") else "map"
            width = max(0.35, MAX_BLOCK * channels / max(shape.in_channels, shape.out_channels))
            row.append(Block(f"{name} = {channels}", kind, x, below, width, MAX_BLOCK * side / max(in_side, out_side)))
        return (*(block._replace(y=above) for block in (row[0], row[-1])), *row)

    @property
    def arrows(self) -> tuple[Arrow, ...]:
        """The dense convolution, then the factors."""
        first, last, *factor_blocks = self.blocks
        kernel_size = "x".join(map(str, self.layer.shape.kernel_size))
        pointwise = "x".join("1" for _ in self.layer.shape.kernel_size)
        kernels = (f"{kernel_size} convolution", pointwise, f"{kernel_size} core", pointwise)
        costs, arrows = (self.layer.cost, *self.parts), []
        for (a, b), kernel, cost in zip([(first, last), *pairwise(factor_blocks)], kernels, costs, strict=True):
            ends = (a.x + a.width / 2 + 2.6, a.y), (b.x - b.width / 2 - 0.8, b.y)
            arrows.append(Arrow(*ends, kernel, f"{count(cost.weights)} weights"))
        return tuple(arrows)


def evbmf_ranks(spectrum: Spectrum | None) -> tuple[int, int] | None:
    """Return EVBMF's (rank_in, rank_out) of a layer; None if they are not known, or one of them is 0."""
    if spectrum is None or spectrum.in_ is None or not (spectrum.in_.rank and spectrum.out.rank):
        return None
    return spectrum.in_.rank, spectrum.out.rank
