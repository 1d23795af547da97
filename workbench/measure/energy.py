"""Joules for one image: measured where the machine has counters, elsewhere an estimate that always says it is one.

The counters are read by Zeus (NVIDIA's and AMD's GPUs, Intel's and AMD's RAPL, Apple's and Jetson's chips). They count
all that a chip does, idle power and other programs included.

The estimate counts the multiply-adds and the bytes that pass through memory, at the energies of a chip of 2014. It
counts neither idle power nor caches, so real joules are more; ratios of two estimates say more than the estimates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from textwrap import wrap
from typing import Any

from workbench.kernels.complexity import ConvShape, bytes_moved, factor_shapes
from workbench.measure.counters import Meter, PowerTrace, Reading, find_meter
from workbench.measure.profile import Progress
from workbench.network.layers import find_layers
from workbench.network.network import Network, expect_network
from workbench.plan.plan import Plan
from workbench.tables import count, html_table, quantity, text_table, times

JOULES_PER_MAC = (3.7 + 0.9) * 1e-12
"""A 32-bit float multiplication and an addition."""
JOULES_PER_BYTE = (1.3e-9 / 8, 2.6e-9 / 8)
"""Least and most of an access to memory (DRAM), which moves 64 bits."""
SOURCE = (
    "M. Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014, pp. 10-14, fig. 1.1.9 "
    "(45 nm, 0.9 V; doi 10.1109/ISSCC.2014.6757323)"
)


@dataclass(frozen=True)
class Energy:
    """Joules for one image. However it is shown, an estimate says that it is one.

    Attributes
    ----------
    joules : for one image; of a measurement the median over its windows.
    measured : by counters, or estimated.
    source : which counters, or which constants, in words.
    network : its name.
    least, most : of the windows, or with the least and the most that an access to memory takes.
    parts : what the joules consist of, by name: counters, or multiply-adds and memory.
    seconds : for one image, if known.
    batch : images of one pass.
    why : why it was not measured, if that was tried.
    trace : power over time, if measured.
    """

    joules: float
    measured: bool
    source: str
    network: str = ""
    least: float | None = None
    most: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    batch: int = 1
    why: str = ""
    trace: PowerTrace | None = None

    @property
    def label(self) -> str:
        """What the joules are: "measured" or "estimate"."""
        return "measured" if self.measured else "estimate"

    @property
    def text(self) -> str:
        """Like "232 mJ (estimate)"."""
        return f"{quantity(self.joules, 'J')} ({self.label})"

    @property
    def watts(self) -> float | None:
        """Mean power while it runs, if the seconds are known."""
        return self.joules / self.seconds if self.seconds else None

    def _rows(self) -> list[tuple[str, str]]:
        rows = [("joules per image", self.text)]
        if self.least is not None and self.most is not None:
            rows.append((f"from, to ({self.label})", f"{quantity(self.least, 'J')}, {quantity(self.most, 'J')}"))
        rows += [(f"{name} ({self.label})", quantity(value, "J")) for name, value in self.parts.items()]
        if self.seconds:
            rows.append(("seconds per image", quantity(self.seconds, "s")))
            rows.append((f"mean power ({self.label})", quantity(self.joules / self.seconds, "W")))
        rows.append(("source", self.source))
        return [*rows, ("why no measurement", self.why)] if self.why else rows

    def __str__(self) -> str:
        rows = [(key if i == 0 else "", line) for key, value in self._rows() for i, line in enumerate(wrap(value, 90))]
        return text_table(["Energy", self.network], rows, left=(0, 1))

    def _repr_html_(self) -> str:
        return html_table(["Energy", self.network], self._rows(), left=(0, 1), caption=f"Energy: {self.label}")

    def __repr__(self) -> str:
        return f"Energy({self.network}: {self.text})"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; `label` says what the joules are."""
        names = ("network", "joules", "measured", "label", "source", "why", "least", "most", "seconds", "batch")
        return {**{name: getattr(self, name) for name in names}, "parts": dict(self.parts)}


def energy(
    network: Network,
    *,
    seconds_per_image: float | None = None,
    batch: int = 1,
    threads: int = 1,
    seconds: float = 2.0,
    rounds: int = 3,
    progress: Progress | None = None,
) -> Energy:
    """Joules for one image of a network on this machine: measured if it has counters, else estimated.

    Parameters
    ----------
    network : original or decomposed; it is not changed.
    seconds_per_image : measured latency, for the mean power of an estimate; a measurement has its own.
    batch, threads : as for :func:`~workbench.measure.profile.profile`.
    seconds : of each window that is measured; counters move in steps of up to a tenth of a second.
    rounds : windows.
    progress : called with (share done, name of the network) before each window; what it raises ends the work.
    """
    options: dict[str, Any] = {"batch": batch, "threads": threads, "seconds": seconds, "rounds": rounds}
    return energies([network], seconds_per_image=[seconds_per_image], progress=progress, **options)[0]


def energies(
    networks: Sequence[Network],
    *,
    seconds_per_image: Sequence[float | None] | None = None,
    batch: int = 1,
    threads: int = 1,
    seconds: float = 2.0,
    rounds: int = 3,
    progress: Progress | None = None,
) -> list[Energy]:
    """The same of several networks, measured in turns, so that whatever else the machine does meets them alike.

    All are measured, or all are estimated: if a counter stands still, none is shown as measured.
    """
    known = list(seconds_per_image or [None] * len(networks))
    if len(known) != len(networks):
        raise ValueError(f"there are {len(networks)} networks, but seconds_per_image of {len(known)}")
    for network in networks:
        expect_network(network)
    for name, value in (("seconds", seconds), ("rounds", rounds), ("batch", batch)):
        if not value > 0:
            raise ValueError(f"{name} is more than 0, not {value!r}")
    found = find_meter({network.device for network in networks})
    if isinstance(found, Meter):
        sizes: dict[str, Any] = {"batch": batch, "threads": threads, "seconds": seconds, "rounds": rounds}
        readings = found.measure(networks, progress=progress, **sizes)
        if readings is not None:
            return [_measured(n, reading, found, batch) for n, reading in zip(networks, readings, strict=True)]
    why = found if isinstance(found, str) else f"the {found} stood still"
    return [
        replace(estimate(network, seconds_per_image=each, batch=batch), why=why)
        for network, each in zip(networks, known, strict=True)
    ]


def estimate(what: Network | Plan, *, seconds_per_image: float | None = None, batch: int = 1) -> Energy:
    """Joules for one image, estimated from shapes alone: multiply-adds and bytes moved, each at a published energy.

    Parameters
    ----------
    what : a network as it is, or a plan for what it will be.
    seconds_per_image : for the mean power, if known.
    batch : images that share one loading of the weights.

    Raises
    ------
    TypeError : if it is neither.
    """
    if isinstance(what, Plan):
        name, macs, shapes = what.network, what.macs, _planned(what)
    else:
        expect_network(what)
        traced = find_layers(what)
        shapes = [layer.shape for layer in traced.layers]
        name, macs = what.name, sum(layer.cost.macs for layer in traced.layers) + traced.other.macs
    moved = sum(bytes_moved(shape, batch=batch) for shape in shapes) / batch
    low, high = JOULES_PER_BYTE
    parts = {"multiply-adds": macs * JOULES_PER_MAC, "memory": moved * (low + high) / 2}
    source = (
        f"estimate: {count(macs)} multiply-adds at {quantity(JOULES_PER_MAC, 'J')} and {quantity(moved, 'B')} at "
        f"{quantity(low, 'J')} to {quantity(high, 'J')} a byte, without idle power and caches; {SOURCE}"
    )
    least, most = (parts["multiply-adds"] + moved * each for each in JOULES_PER_BYTE)
    return Energy(sum(parts.values()), False, source, name, least, most, parts, seconds_per_image, batch)


def saving(before: Energy, after: Energy) -> str:
    """Like "x2.07 less energy an image (estimate): 114 mJ instead of 236 mJ".

    Raises
    ------
    ValueError : if one is measured and the other estimated: those cannot be compared.
    """
    if before.measured != after.measured:
        raise ValueError("one of the two was measured and the other estimated: that is no comparison")
    ratio = before.joules / after.joules
    change = f"{times(ratio)} less" if ratio >= 1 else f"{times(1 / ratio)} more"
    joules = f"{quantity(after.joules, 'J')} instead of {quantity(before.joules, 'J')}"
    return f"{change} energy an image ({after.label}): {joules}"


def sources(before: Energy, after: Energy) -> str:
    """From where both numbers are known; of estimates what was counted of each, and the constants once."""
    if before.measured or before.source == after.source:
        return before.source
    first, second = (one.source.removesuffix(SOURCE).rstrip("; ") for one in (before, after))
    return f"Original, {first}; compressed, {second}; {SOURCE}"


def _planned(plan: Plan) -> list[ConvShape]:
    """Shapes of all layers that the plan's network will have."""
    shapes = []
    for part in plan:
        if part.rank_out is None:
            shapes.append(part.layer.shape)
        else:
            shapes += factor_shapes(part.layer.shape, rank_in=part.rank_in, rank_out=part.rank_out).values()
    return shapes


def _measured(network: Network, reading: Reading, meter: Meter, batch: int) -> Energy:
    joules, windows = median(reading.joules), len(reading.joules)
    source = f"measured with {meter}, median of {windows} windows; whatever else the machine did is in it"
    least, most = min(reading.joules), max(reading.joules)
    return Energy(
        joules, True, source, network.name, least, most, reading.parts, reading.seconds, batch, trace=reading.trace
    )
