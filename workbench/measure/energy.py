"""Joules for one image: measured where the machine has counters, elsewhere an estimate that always says it is one.

Counters are read by Zeus (NVIDIA's and AMD's GPUs, Intel's and AMD's RAPL, Apple's and Jetson's chips). They count all
that a chip does, idle power and other programs included. The estimate counts multiply-adds and bytes that pass through
memory at the energies of a chip of 2014, and neither idle power nor caches: real joules are more, and the ratio of two
estimates says more than the estimates.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from textwrap import fill
from typing import Any

from workbench.kernels.complexity import bytes_moved
from workbench.measure.counters import PowerTrace, find_meter
from workbench.measure.exclusive import watching
from workbench.measure.latency import Latency
from workbench.measure.runtimes import check_counts, with_original
from workbench.network.network import Network
from workbench.network.tracing import find_layers
from workbench.progress import Progress
from workbench.tables import Table, quantity, times

CAPTION_WIDTH = 100
JOULES_PER_MAC = (3.7 + 0.9) * 1e-12
"""A 32-bit float multiplication and an addition."""
JOULES_PER_BYTE = (1.3e-9 / 8, 2.6e-9 / 8)
"""Least and most of an access to memory (DRAM), which moves 64 bits."""
SOURCE = (
    f"estimate: multiply-adds at {quantity(JOULES_PER_MAC, 'J')} and bytes to and from memory at "
    f"{quantity(JOULES_PER_BYTE[0], 'J')} to {quantity(JOULES_PER_BYTE[1], 'J')}, without idle power and caches; "
    "M. Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014, pp. 10-14, fig. 1.1.9 "
    "(45 nm, 0.9 V; doi 10.1109/ISSCC.2014.6757323)"
)


@dataclass(frozen=True)
class NetworkEnergy:
    """Joules of one network for one image, and its seconds where they are known.

    Attributes
    ----------
    joules, least, most : of windows of a measurement (the median), or with what an access to memory takes.
    parts : joules by counter, or of multiply-adds and of memory.
    trace : power over time, if measured.
    """

    network: str
    joules: float
    estimated: bool
    least: float
    most: float
    parts: Mapping[str, float]
    seconds: float | None = None
    trace: PowerTrace | None = field(default=None, repr=False)

    @property
    def label(self) -> str:
        """What the joules are: "measured" or "estimate"."""
        return "estimate" if self.estimated else "measured"

    @property
    def text(self) -> str:
        """Like "232 mJ (estimate)"."""
        return f"{quantity(self.joules, 'J')} ({self.label})"

    @property
    def watts(self) -> float | None:
        """Mean power while it runs, if the seconds are known."""
        return self.joules / self.seconds if self.seconds else None


@dataclass(frozen=True, repr=False)
class Energy(Table):
    """Joules for one image of a compressed network and its original, both measured or both estimated.

    However it is shown, an estimate says that it is one.

    Attributes
    ----------
    original, compressed : the original, or the only network; and None if there is only one.
    source : which counters, or which constants, in words.
    why_estimated : why it was not measured, or "".
    disturbed : a sentence if another process of the workbench computed meanwhile, else "".
    """

    original: NetworkEnergy
    compressed: NetworkEnergy | None
    source: str
    why_estimated: str = ""
    disturbed: str = ""

    def __post_init__(self) -> None:
        if len({each.estimated for each in self.networks.values()}) > 1:
            raise ValueError("one of the two was measured and the other estimated: they cannot be compared")

    @property
    def networks(self) -> dict[str, NetworkEnergy]:
        """The joules by "original" and, if there is one, "compressed"."""
        return {"original": self.original} | ({"compressed": self.compressed} if self.compressed else {})

    @property
    def estimated(self) -> bool:
        """Whether the joules are estimates."""
        return self.original.estimated

    @property
    def saving(self) -> str:
        """Like "x2.07 less energy an image (estimate): 114 mJ instead of 236 mJ"; "" of one network."""
        if self.compressed is None:
            return ""
        before, after = self.original.joules, self.compressed.joules
        change = f"{times(before / after)} less" if before >= after else f"{times(after / before)} more"
        joules = f"{quantity(after, 'J')} instead of {quantity(before, 'J')}"
        return f"{change} energy an image ({self.original.label}): {joules}"

    @property
    def caption(self) -> str:
        """The saving, where the joules are known from, and why they were not measured."""
        why = self.why_estimated and f"not measured: {self.why_estimated}"
        return fill(". ".join(filter(None, (self.saving, self.source, why, self.disturbed))), CAPTION_WIDTH)

    @property
    def headers(self) -> tuple[str, ...]:  # type: ignore[override]
        """One column for each network."""
        return ("for one image", *self.networks)

    @property
    def rows(self) -> list[list[str]]:
        """Joules, what they consist of, and seconds and power where they are known."""
        label = self.original.label

        def column(each: NetworkEnergy) -> dict[str, str]:
            joules = {"energy": each.joules, "from": each.least, "to": each.most, **each.parts}
            cells = {f"{name} ({label})": quantity(value, "J") for name, value in joules.items()}
            if each.seconds and each.watts:
                cells |= {"time": quantity(each.seconds, "s"), f"power ({label})": quantity(each.watts, "W")}
            return cells

        columns = [column(each) for each in self.networks.values()]
        return [[name, *(cells.get(name, "-") for cells in columns)] for name in columns[0]]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values as a run stores them: millijoules of both networks, and whether they were measured."""
        keys = {"original": "dense_mj", "compressed": "compressed_mj"}
        found = {keys[name]: 1e3 * each.joules for name, each in self.networks.items()}
        return {**found, "measured": not self.estimated, "source": self.source}


def energy(
    network: Network,
    *,
    batch: int = 1,
    threads: int = 1,
    seconds: float = 2.0,
    rounds: int = 3,
    latency: Latency | None = None,
    progress: Progress | bool | None = None,
) -> Energy:
    """Measure in turns the joules for one image of a compressed network and its original, or of one network.

    On a machine without counters for what the networks run on they are estimated.

    Parameters
    ----------
    batch, threads, progress : as for :func:`~workbench.measure.latency.latency`.
    seconds, rounds : of each window, and number of windows; counters move in steps of up to a tenth of a second.
    latency : measured times of "original" and "compressed", for the mean power of an estimate.
    """
    check_counts(batch=batch, threads=threads, rounds=rounds)
    if not seconds > 0:
        raise ValueError(f"seconds is more than 0, not {seconds!r}")
    networks = with_original(network)
    meter = find_meter({each.device for each in networks.values()})
    if isinstance(meter, str):
        return _estimates(networks, batch, latency, meter)
    how = {"batch": batch, "threads": threads, "rounds": rounds}
    with watching(progress) as watch:
        readings = meter.measure(list(networks.values()), **how, seconds=seconds, report=watch.report)
    if readings is None:
        return _estimates(networks, batch, latency, f"the {meter} stood still")
    first, *second = [
        NetworkEnergy(each.name, median(found.joules), False, min(found.joules), max(found.joules), *found[1:])
        for each, found in zip(networks.values(), readings, strict=True)
    ]
    source = f"measured with {meter}, median of {rounds} windows; whatever else the machine did is in it"
    return Energy(first, second[0] if second else None, source, disturbed=watch.disturbed)


def _estimates(networks: Mapping[str, Network], batch: int, latency: Latency | None, why: str) -> Energy:
    seconds = {name: 1e-3 * latency.ms(name) / latency.batch for name in latency.samples} if latency else {}
    first, *second = [estimate(each, batch=batch, seconds=seconds.get(name)) for name, each in networks.items()]
    return Energy(first, second[0] if second else None, SOURCE, why)


def estimate(network: Network, *, batch: int = 1, seconds: float | None = None) -> NetworkEnergy:
    """Estimate the joules for one image from shapes alone; the images of a batch share one loading of the weights."""
    traced = find_layers(network)
    macs = sum(layer.cost.macs for layer in traced.layers) + traced.other.macs
    moved = sum(bytes_moved(layer.shape, batch=batch) for layer in traced.layers) / batch
    work, (least, most) = macs * JOULES_PER_MAC, (moved * each for each in JOULES_PER_BYTE)
    parts = {"multiply-adds": work, "memory": (least + most) / 2}
    return NetworkEnergy(network.name, sum(parts.values()), True, work + least, work + most, parts, seconds)
