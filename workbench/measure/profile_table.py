"""What each part of a network costs and takes: multiply-adds, bytes and seconds, by part, by layer and by kind."""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.tables import count, html_table, quantity, text_table

KINDS = {
    "dense": "whole convolutions",
    "core": "cores",
    "1x1": "1x1 factors",
    "linear": "fully connected layers",
}
"""Kinds of parts, and how they are called: convolutions left whole, the cores of factorised ones, the 1x1 convolutions
around (or inside) those, and all of fully connected layers, factorised or not."""
OTHER = "everything else"
"""What is no convolution and no linear layer: activations, pooling, normalisation, and PyTorch itself."""


@dataclass(frozen=True)
class Group:
    """Parts that are looked at together, or one part: multiply-adds, bytes and seconds of one pass.

    Attributes
    ----------
    name : of the layer or the kind.
    macs : multiply-adds, of all inputs of the batch.
    moved : bytes, each weight, input and output once: see :func:`~workbench.kernels.complexity.bytes_moved`.
    seconds : measured.
    """

    name: str
    macs: int
    moved: int
    seconds: float

    @property
    def intensity(self) -> float:
        """Multiply-adds for each byte moved."""
        return self.macs / self.moved if self.moved else 0.0

    @property
    def rate(self) -> float:
        """Multiply-adds a second."""
        return self.macs / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Row(Group):
    """One convolution or linear layer of the model as it is; `name` is its module's.

    Attributes
    ----------
    layer : its name in the original network: that of the module, or of the layer it is a factor of.
    part : "dense", "factor_in", "core" or "factor_out".
    kind : a key of `KINDS`.
    kernel : its size in words, like "3x3", "3x3, 2 groups" or "linear".
    """

    layer: str
    part: str
    kind: str
    kernel: str


@dataclass(frozen=True)
class Profile:
    """What each part of a network costs and takes. Its text and HTML are a table.

    Attributes
    ----------
    network : its name.
    rows : one for each convolution and linear layer that was called, in the order of their first call.
    other : seconds of everything else.
    batch, threads, channels_last, repeats : how it was measured.
    device : where, "cpu" or "cuda".
    item : bytes of a number.
    """

    network: str
    rows: tuple[Row, ...]
    other: float
    batch: int = 1
    threads: int = 1
    channels_last: bool = False
    repeats: int = 1
    device: str = "cpu"
    item: int = 4

    @property
    def seconds(self) -> float:
        """Of one pass of the whole batch."""
        return sum(row.seconds for row in self.rows) + self.other

    @property
    def macs(self) -> int:
        """Of all rows; what others do (like a product of activations) is not in it."""
        return sum(row.macs for row in self.rows)

    @property
    def moved(self) -> int:
        """Bytes of all rows."""
        return sum(row.moved for row in self.rows)

    def by_layer(self) -> tuple[Group, ...]:
        """Sums over the parts of each layer of the original network, in their order."""
        return self._grouped([row.layer for row in self.rows])

    def by_kind(self) -> tuple[Group, ...]:
        """Sums over each kind of part, in the order of `KINDS`; kinds that there are not are left out."""
        found = {group.name: group for group in self._grouped([row.kind for row in self.rows])}
        return tuple(found[kind] for kind in KINDS if kind in found)

    def _grouped(self, names: Sequence[str]) -> tuple[Group, ...]:
        pairs = list(zip(names, self.rows, strict=True))
        groups = []
        for name in dict.fromkeys(names):
            rows = [row for key, row in pairs if key == name]
            groups.append(
                Group(name, sum(r.macs for r in rows), sum(r.moved for r in rows), sum(r.seconds for r in rows))
            )
        return tuple(groups)

    def describe(self) -> str:
        """Like "vgg16: 412 ms a pass (1 input, 1 thread, median of 10)"."""
        inputs, threads = _plural(self.batch, "input"), _plural(self.threads, "thread")
        where = threads if self.device == "cpu" else self.device
        form = ", channels last" if self.channels_last else ""
        time_ = quantity(self.seconds, "s")
        return f"{self.network}: {time_} a pass ({inputs}, {where}{form}, median of {self.repeats})"

    _headers = ("layer", "part", "kernel", "MACs", "bytes", "MACs per byte", "time", "share", "MAC/s")
    _left = (0, 1, 2)

    def _rows(self) -> list[list[str]]:
        whole = self.seconds or 1.0
        rows = [[row.layer, row.part, row.kernel, *_cells(row, whole)] for row in self.rows]
        share = f"{self.other / whole:.1%}"
        rows.append([OTHER, "", "", "", "", "", quantity(self.other, "s"), share, ""])
        rows.append(["total", "", "", *_cells(Group("total", self.macs, self.moved, self.seconds), whole)])
        return rows

    def __str__(self) -> str:
        return f"{self.describe()}\n" + text_table(self._headers, self._rows(), left=self._left)

    def _repr_html_(self) -> str:
        return html_table(self._headers, self._rows(), caption=self.describe(), left=self._left)


def _cells(group: Group, whole: float) -> list[str]:
    rate = count(group.rate) if group.seconds else "-"
    costs = [count(group.macs), quantity(group.moved, "B"), f"{group.intensity:.3g}"]
    return [*costs, quantity(group.seconds, "s"), f"{group.seconds / whole:.1%}", rate]


def _plural(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
