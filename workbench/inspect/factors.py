"""One convolution and the three in its place, as the numbers of a picture. Two modules draw it; nothing here does."""

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

from workbench.kernels.complexity import Cost, break_even, dense_cost, total, tucker2_parts
from workbench.network.layers import Layer
from workbench.plan.spectrum import Spectrum
from workbench.plot.interactive.base import BLUE, GREEN, GREY, ORANGE, PURPLE
from workbench.tables import count, times

WIDTH, HEIGHT = 100.0, 47.0
"""Size of the drawing of the blocks."""

NAMES = ("1x1, down", "core", "1x1, up")
COLORS = (BLUE, ORANGE, GREEN)
"""The three factors, in the order of the calls."""

RATIOS = (1, 2, 4, 8)
"""How many times cheaper than the dense layer the lines in the plane of the ranks are."""

Points = list[tuple[float, float]]

_CENTRES = (9.0, 36.0, 62.5, 89.0)
_ROWS = (33.0, 9.5)
_WIDEST, _TALLEST = 11.5, 11.5


@dataclass(frozen=True)
class Block:
    """The channels of a map as a box, as long as there are channels and as tall as the map's side.

    Attributes
    ----------
    name : like "R3 = 14".
    x, y : its centre.
    width, height : of its front.
    color : of its front.
    """

    name: str
    x: float
    y: float
    width: float
    height: float
    color: str

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
        """Where its name stands: above it."""
        return self.x + 0.08 * self.height, self.y + 0.76 * self.height + 1.0


@dataclass(frozen=True)
class Arrow:
    """A convolution between two blocks: what it is (`above`) and what it costs (`below`)."""

    start: tuple[float, float]
    end: tuple[float, float]
    above: str
    below: str
    color: str

    @property
    def middle(self) -> float:
        """Where its words are centred."""
        return (self.start[0] + self.end[0]) / 2


@dataclass(frozen=True)
class Factors:
    """A convolution at two ranks.

    Attributes
    ----------
    layer : a convolution without groups.
    rank_in, rank_out : paper's R3, R4.
    spectrum : for the error of the kernel and EVBMF's ranks; None if the layer's weights are not at hand.

    Raises
    ------
    ValueError : naming the layer, if it is no convolution that three others can replace, or the rank that does not fit.
    """

    layer: Layer
    rank_in: int
    rank_out: int
    spectrum: Spectrum | None = None

    def __post_init__(self) -> None:
        name = f"layer {self.layer.name}" if self.layer.name else "the layer"
        if not self.layer.shape.kernel_size or self.layer.shape.groups > 1:
            what = "has groups" if self.layer.shape.groups > 1 else "is a matrix"
            raise ValueError(f"{name} {what}: this picture shows one convolution and the three in its place")
        for which, most in zip(("rank_in", "rank_out"), self.layer.max_ranks, strict=True):
            rank = getattr(self, which)
            if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= most:
                raise ValueError(f"{name}: {which}={rank!r} does not fit, it can be 1 to {most}")

    @classmethod
    def of(cls, subject: Spectrum | Layer, rank_in: int | None = None, rank_out: int | None = None) -> "Factors":
        """From an analysed layer, or from a layer alone; ranks that are left out are EVBMF's, or half the channels."""
        if not isinstance(subject, Spectrum | Layer):
            raise TypeError(f'this takes one layer, like spectra["features.3"], not a {type(subject).__name__}')
        spectrum = subject if isinstance(subject, Spectrum) else None
        layer = subject if isinstance(subject, Layer) else subject.layer
        found = evbmf_ranks(spectrum) or (max(1, layer.max_ranks[0] // 2), max(1, layer.max_ranks[1] // 2))
        return cls(
            layer, found[0] if rank_in is None else rank_in, found[1] if rank_out is None else rank_out, spectrum
        )

    @property
    def parts(self) -> tuple[Cost, Cost, Cost]:
        """Cost of each of the three."""
        return tucker2_parts(self.layer.shape, rank_in=self.rank_in, rank_out=self.rank_out)

    @property
    def cost(self) -> Cost:
        """All three together."""
        return total(self.parts)

    @property
    def dense(self) -> Cost:
        """The one convolution."""
        return dense_cost(self.layer.shape)

    @property
    def pays(self) -> bool:
        """Whether the three need neither more weights nor more MACs than the one."""
        return self.cost.weights <= self.dense.weights and self.cost.macs <= self.dense.macs

    @property
    def break_even(self) -> int:
        """Largest rank_out that pays at this rank_in; 0 if none does."""
        return int(break_even(self.layer.shape, rank_in=self.rank_in))

    @property
    def error(self) -> float | None:
        """Upper limit of the kernel's relative error, if it is known."""
        if self.spectrum is None or self.spectrum.in_ is None:
            return None
        return self.spectrum.error(rank_out=self.rank_out, rank_in=self.rank_in)

    def shares(self, what: str) -> tuple[float, float, float]:
        """The three factors' `what` ("weights" or "macs"), in percent of the dense layer's."""
        first, core, last = (100 * getattr(part, what) / getattr(self.dense, what) for part in self.parts)
        return first, core, last

    def compared(self, what: str) -> str:
        """Like "18.5 k -> 3.55 k (x5.21 fewer)"."""
        old, new = getattr(self.dense, what), getattr(self.cost, what)
        change = f"{times(old / new)} fewer" if new < old else f"{times(new / old)} more" if new > old else "the same"
        return f"{count(old)} -> {count(new)} ({change})"

    @property
    def verdict(self) -> str:
        """Whether it pays, and up to where."""
        most, limit = self.layer.max_ranks[1], self.break_even
        where = "no R4 pays" if limit == 0 else "any R4 pays" if limit == most else f"R4 may be at most {limit}"
        return f"{'It pays' if self.pays else 'It does not pay'}. With R3 = {self.rank_in}, {where}."

    def line(self, ratio: float) -> Points:
        """(rank_in, rank_out) on the line where the three are `ratio` times cheaper than the one."""
        shape = self.layer.shape
        ranks = range(1, self.layer.max_ranks[0] + 1)
        found = ((float(rank), break_even(shape, rank_in=rank, ratio=ratio)) for rank in ranks)
        return [point for point in found if point[1] > 0]

    def mark(self, ratio: float) -> tuple[float, float] | None:
        """Where that line is named; None if there is none."""
        most_in, most_out = self.layer.max_ranks
        inside = [at for at in self.line(ratio) if at[0] <= 0.85 * most_in or most_in == 1]
        # Beside the diagonal, where ranks are mostly tried.
        return min(inside, key=lambda at: abs(at[0] / most_in - 1.8 * at[1] / most_out), default=None)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The dense layer's two maps, then the factors' four."""
        shape = self.layer.shape
        s, t = shape.in_channels, shape.out_channels
        inside, outside = (sqrt(sum(pair[i] for pair in shape.positions)) for i in (0, 1))
        named = (("S", s, GREY), ("R3", self.rank_in, PURPLE), ("R4", self.rank_out, PURPLE), ("T", t, GREY))
        sides = (inside, inside, outside, outside)  # the core is the one with the stride
        made = []
        for row, columns in zip(_ROWS, ((0, 3), (0, 1, 2, 3)), strict=True):
            for i in columns:
                name, channels, color = named[i]
                width = max(0.35, _WIDEST * channels / max(s, t))
                height = _TALLEST * sides[i] / max(inside, outside)
                made.append(Block(f"{name} = {channels}", _CENTRES[i], row, width, height, color))
        return tuple(made)

    @property
    def arrows(self) -> tuple[Arrow, ...]:
        """The dense convolution, then the three."""
        first, last, *four = self.blocks
        size = "x".join(map(str, self.layer.shape.kernel_size))
        ones = "x".join("1" for _ in self.layer.shape.kernel_size)
        pairs = [(first, last), *pairwise(four)]
        words = (f"{size} convolution", ones, f"{size} core", ones)
        costs = (self.dense, *self.parts)
        return tuple(
            Arrow(
                (a.x + a.width / 2 + 2.6, a.y),
                (b.x - b.width / 2 - 0.8, b.y),
                word,
                f"{count(cost.weights)} weights",
                color,
            )
            for (a, b), word, cost, color in zip(pairs, words, costs, ("#52606D", *COLORS), strict=True)
        )


def evbmf_ranks(spectrum: Spectrum | None) -> tuple[int, int] | None:
    """EVBMF's (rank_in, rank_out) of a layer; None if they are not known or nothing but noise was found."""
    if spectrum is None or spectrum.in_ is None or not (spectrum.in_.rank and spectrum.out.rank):
        return None
    return spectrum.in_.rank, spectrum.out.rank
