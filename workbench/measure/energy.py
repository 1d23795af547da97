"""Joules for one image: measured if the machine has energy counters, else an estimate that is labelled as one.

Counters are read by Zeus and include a chip's idle power and other programs. An estimate is below the real joules; the
ratio of two estimates is more reliable than each of them.
"""

import os
import time
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from statistics import median
from textwrap import fill
from typing import Any, NamedTuple

import torch

from workbench.kernels.complexity import bytes_moved
from workbench.measure.exclusive import watching
from workbench.measure.runtimes import batch_inputs, check_counts, synchronize, torch_threads, with_original
from workbench.network.network import Network, copy_model, first_line
from workbench.network.outputs import call
from workbench.network.tracing import find_layers
from workbench.progress import Progress
from workbench.tables import Table, compared, quantity

CAPTION_WIDTH = 100
WARM_UP_PASSES = 2
JOULES_PER_MAC = (3.7 + 0.9) * 1e-12  # a 32-bit float multiplication and an addition
JOULES_PER_BYTE = (1.3e-9 / 8, 2.6e-9 / 8)  # least and most for a 64-bit access to DRAM
RAPL = "/sys/class/powercap/intel-rapl"
CHIP_FIELDS = "cpu_total_mj", "cpu_energy_mj", "gpu_mj", "gpu_energy_mj", "gpu_sram_mj", "dram_mj", "ane_mj"
"""Fields of Zeus' measurements of Apple's and Jetson's chips, in millijoules, that add up to the total."""
SOURCE = (
    f"estimate: multiply-adds at {quantity(JOULES_PER_MAC, 'J')} and bytes to and from memory at "
    f"{quantity(JOULES_PER_BYTE[0], 'J')} to {quantity(JOULES_PER_BYTE[1], 'J')}, without idle power and caches; "
    "M. Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014, pp. 10-14, fig. 1.1.9 "
    "(45 nm, 0.9 V; doi 10.1109/ISSCC.2014.6757323)"
)


class Window(NamedTuple):
    """Joules by counter during `runs` calls of a function."""

    seconds: float
    runs: int
    joules: dict[str, float]

    @property
    def total(self) -> float:
        """Joules of all counters."""
        return sum(self.joules.values())


class Meter:
    """Reads energy counters through a Zeus monitor. `names` has a text for each counter."""

    def __init__(self, monitor: Any) -> None:
        self.monitor = monitor
        zones = [getattr(zone, "rapl_file", None) for zone in getattr(monitor.cpus, "cpus", ())]
        platforms = {i for i, zone in enumerate(zones) if getattr(zone, "name", "") == "psys"}  # these include packages
        self.cpus = [i for i in monitor.cpu_indices if i not in platforms]
        self.names = [*(f"GPU {i}" for i in monitor.gpu_indices), *(f"CPU {i} (RAPL)" for i in self.cpus)]
        if monitor.soc_is_present:
            self.names = [f"the {type(monitor.soc).__name__} chip"]

    def __str__(self) -> str:
        return f"counters of {', '.join(self.names)}, read by Zeus"

    def window(self, run: Callable[[], object], seconds: float) -> Window:
        """Call a function repeatedly for `seconds`, at least once."""
        runs, start = 0, time.perf_counter()
        self.monitor.begin_window("window")
        while not runs or time.perf_counter() - start < seconds:
            run()
            runs += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a counter that stood still, which energy() reports
            measurement = self.monitor.end_window("window")
        return Window(measurement.time, runs, self._joules(measurement))

    def _joules(self, measurement: Any) -> dict[str, float]:
        if measurement.soc_energy is not None:
            millijoules = {name: mj for name, mj in vars(measurement.soc_energy).items() if mj is not None}
            fields = ("total_energy_mj",) if "total_energy_mj" in millijoules else CHIP_FIELDS
            return {name.removesuffix("_mj"): millijoules[name] / 1000 for name in fields if name in millijoules}
        cpus, memory = measurement.cpu_energy or {}, measurement.dram_energy or {}
        parts = {f"GPU {i}": joules for i, joules in measurement.gpu_energy.items()}
        parts |= {f"CPU {i}": cpus[i] for i in self.cpus if i in cpus}
        return parts | {f"memory of CPU {i}": memory[i] for i in self.cpus if i in memory}


def find_meter(devices: Collection[torch.device]) -> Meter | str:
    """Return a meter of the energy counters for these devices, or a sentence on why there is none."""
    indices = [device.index for device in devices if device.type == "cuda"]
    gpus = sorted({torch.cuda.current_device() if index is None else index for index in indices})
    try:
        meter = Meter(import_module("zeus.monitor").ZeusMonitor(gpu_indices=gpus))
    except ImportError:
        return "energy counters are read by Zeus, which is not installed: pip install -e '.[energy]'"
    except Exception as error:  # drivers fail in many ways
        return f"Zeus cannot read this machine's energy counters: {first_line(error)}"
    if meter.names:
        return meter
    if os.path.isdir(RAPL):
        return (
            "this machine's energy counters (RAPL) may only be read by root: "
            "https://ml.energy/zeus/getting_started/#system-privileges says how to allow it"
        )
    types = " and ".join(sorted({device.type for device in devices}))
    return f"this machine shows no energy counters (NVML, RAPL, Apple or Jetson) for {types}, where the network runs"


@dataclass(frozen=True)
class NetworkEnergy:
    """Joules of one network for one image, with `parts`: counters, or multiply-adds and memory.

    `lowest` and `highest` are the extremes of the measured windows, or the bounds of an estimate.
    """

    network: str
    joules: float
    estimated: bool
    lowest: float
    highest: float
    parts: Mapping[str, float]
    seconds: float | None = None

    @property
    def label(self) -> str:
        """Either "measured" or "estimate"."""
        return "estimate" if self.estimated else "measured"

    @property
    def text(self) -> str:
        """Joules with their label, like "232 mJ (estimate)"."""
        return f"{quantity(self.joules, 'J')} ({self.label})"


@dataclass(frozen=True, repr=False)
class Energy(Table):
    """Joules for one image of a compressed network and its original, both measured or both estimated.

    Every text of an estimate is labelled as one. For a single network `compressed` is None.
    """

    original: NetworkEnergy
    compressed: NetworkEnergy | None
    source: str  # counters or constants, in words
    why_estimated: str = ""  # why the joules were not measured
    disturbed: str = ""  # a sentence if another process of the workbench computed meanwhile

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
        """Like "x2.07 less energy an image (estimate): 114 mJ instead of 236 mJ"; "" for one network."""
        if self.compressed is None:
            return ""
        before, after = self.original.joules, self.compressed.joules
        joules = f"{quantity(after, 'J')} instead of {quantity(before, 'J')}"
        return f"{compared(before / after, 'less', 'more')} energy an image ({self.original.label}): {joules}"

    @property
    def caption(self) -> str:
        """The saving, the source of the joules, and why they were not measured."""
        reason = self.why_estimated and f"not measured: {self.why_estimated}"
        return fill(". ".join(filter(None, (self.saving, self.source, reason, self.disturbed))), CAPTION_WIDTH)

    @property
    def headers(self) -> tuple[str, ...]:  # type: ignore[override]
        """One column for each network."""
        return ("for one image", *self.networks)

    @property
    def rows(self) -> list[list[str]]:
        """Joules, their bounds and parts, and seconds and power if they were measured."""
        label, columns = self.original.label, []
        for network in self.networks.values():
            joules = {"energy": network.joules, "from": network.lowest, "to": network.highest, **network.parts}
            cells = {f"{name} ({label})": quantity(value, "J") for name, value in joules.items()}
            if network.seconds:
                cells["time"] = quantity(network.seconds, "s")
                cells[f"power ({label})"] = quantity(network.joules / network.seconds, "W")
            columns.append(cells)
        return [[name, *(cells.get(name, "-") for cells in columns)] for name in columns[0]]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values as a run stores them: millijoules of both networks, and whether they were measured."""
        values = {"dense_mj": 1e3 * self.original.joules, "measured": not self.estimated, "source": self.source}
        return values | ({"compressed_mj": 1e3 * self.compressed.joules} if self.compressed else {})


def energy(
    network: Network,
    *,
    batch: int = 1,
    threads: int = 1,
    seconds: float = 1.0,
    rounds: int = 6,
    progress: Progress | bool | None = None,
) -> Energy:
    """Measure in turns the joules for one image of a compressed network and its original, or of one network.

    They are estimated if the machine has no counters for the networks' devices.

    Parameters
    ----------
    batch, threads : images in one run, and threads that it may use.
    seconds, rounds : length and number of the windows; counters move in steps of up to a tenth of a second.
    """
    check_counts(batch=batch, threads=threads, rounds=rounds)
    if not seconds > 0:
        raise ValueError(f"seconds is more than 0, not {seconds!r}")
    networks = list(with_original(network).values())
    meter = find_meter({n.device for n in networks})
    energies = [estimate(n, batch=batch) for n in networks]
    source, why_estimated, disturbed = SOURCE, str(meter), ""
    if isinstance(meter, Meter):
        windows: list[list[Window]] = [[] for _ in networks]
        turns = [i for _ in range(rounds) for i in range(len(networks))]
        with watching(progress) as watch, torch_threads(threads), torch.inference_mode():
            runs = [_warm_runner(n, batch) for n in networks]
            for step, i in enumerate(turns):
                watch.report(step / len(turns), networks[i].name)
                windows[i].append(meter.window(runs[i], seconds))
            watch.report(1.0, "")
        disturbed, why_estimated = watch.disturbed, f"the {meter} stood still"
        if all(window.total > 0 for network_windows in windows for window in network_windows):
            energies = [_measured(n.name, w, batch) for n, w in zip(networks, windows, strict=True)]
            source = f"measured with {meter}, median of {rounds} windows; the energy of other programs is included"
            why_estimated = ""
    return Energy(energies[0], energies[1] if len(energies) > 1 else None, source, why_estimated, disturbed)


def _warm_runner(network: Network, batch: int) -> Callable[[], None]:
    """Return a function that runs a copy of the network, after warm-up passes."""
    model, inputs = copy_model(network.model), batch_inputs(network, batch)

    def run() -> None:
        call(model, inputs)
        synchronize(network.device)

    for _ in range(WARM_UP_PASSES):
        run()
    return run


def _measured(name: str, windows: Sequence[Window], batch: int) -> NetworkEnergy:
    """Return the medians of the windows for one image."""
    joules = [w.total / (batch * w.runs) for w in windows]
    parts = {part: median(w.joules[part] / (batch * w.runs) for w in windows) for part in windows[0].joules}
    seconds = median(w.seconds / (batch * w.runs) for w in windows)
    return NetworkEnergy(name, median(joules), False, min(joules), max(joules), parts, seconds)


def estimate(network: Network, *, batch: int = 1) -> NetworkEnergy:
    """Estimate the joules for one image from the layers' shapes; the weights are read once for a whole batch."""
    traced = find_layers(network)
    macs = sum(layer.cost.macs for layer in traced.layers) + traced.other.macs
    moved = sum(bytes_moved(layer.shape, batch=batch) for layer in traced.layers) / batch
    computing, (low, high) = macs * JOULES_PER_MAC, (moved * joules for joules in JOULES_PER_BYTE)
    parts = {"multiply-adds": computing, "memory": (low + high) / 2}
    return NetworkEnergy(network.name, sum(parts.values()), True, computing + low, computing + high, parts)
