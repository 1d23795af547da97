"""Energy counters, read by Zeus where it is installed: which there are, and joules and power while networks run."""

import os
import time
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Any

import torch

from workbench.measure.profile import WARM_UP, Progress, batch_of
from workbench.measure.roofline import torch_threads
from workbench.network.data import evaluating
from workbench.network.network import Network

SLICE = 0.25
"""Seconds of one sample of power: counters move in steps of up to a tenth."""
RAPL = "/sys/class/powercap/intel-rapl"
SOC = {
    "cpu_total_mj": "CPU",
    "cpu_energy_mj": "CPU",
    "gpu_mj": "GPU",
    "gpu_energy_mj": "GPU",
    "gpu_sram_mj": "memory of the GPU",
    "dram_mj": "memory",
    "ane_mj": "neural engine",
}
"""Fields of Zeus' measurements of Apple's and Jetson's chips, in millijoules, that add up to the whole."""


@dataclass(frozen=True)
class PowerTrace:
    """Mean power in short slices of time while a network runs, other networks in between.

    Attributes
    ----------
    network : its name.
    starts, ends : of each slice, seconds since the measurement began.
    watts : mean of each slice.
    """

    network: str
    starts: tuple[float, ...]
    ends: tuple[float, ...]
    watts: tuple[float, ...]


@dataclass(frozen=True)
class Reading:
    """What the counters said of one network: per image, one number a window.

    Attributes
    ----------
    joules : of each window, all counters together.
    parts : median of each counter, by name.
    seconds : median.
    trace : power over time.
    """

    joules: tuple[float, ...]
    parts: Mapping[str, float]
    seconds: float
    trace: PowerTrace


class Meter:
    """Counters that can be read. Made by :func:`find_meter`."""

    def __init__(self, monitor: Any) -> None:
        self.monitor = monitor
        zones = list(getattr(monitor.cpus, "cpus", ()))
        names = [getattr(getattr(zone, "rapl_file", None), "name", "") for zone in zones]
        self.doubled = {i for i, name in enumerate(names) if name == "psys"}  # the platform, its packages included

    def names(self) -> list[str]:
        """What is counted, in words."""
        if self.monitor.soc_is_present:
            return [f"the {type(self.monitor.soc).__name__} chip"]
        cpus = [f"CPU {i} (RAPL)" for i in self.monitor.cpu_indices if i not in self.doubled]
        return [*(f"GPU {i}" for i in self.monitor.gpu_indices), *cpus]

    def __str__(self) -> str:
        try:
            zeus = f"Zeus {version('zeus')}"
        except PackageNotFoundError:
            zeus = "Zeus"
        return f"counters of {', '.join(self.names())}, read by {zeus}"

    def begin(self, key: str) -> None:
        """Begin a window."""
        self.monitor.begin_window(key)

    def end(self, key: str) -> tuple[float, dict[str, float]]:
        """Seconds since the window began, and joules of each counter, by name."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a counter stood still is seen, and said, by us
            found = self.monitor.end_window(key)
        if found.soc_energy is not None:
            values = vars(found.soc_energy)
            if values.get("total_energy_mj") is not None:
                return found.time, {"chip": values["total_energy_mj"] / 1000}
            return found.time, {
                SOC[name]: value / 1000 for name, value in values.items() if name in SOC and value is not None
            }
        parts = {f"GPU {i}": value for i, value in found.gpu_energy.items()}
        for i, value in (found.cpu_energy or {}).items():
            if i not in self.doubled:
                parts[f"CPU {i}"] = value
                if i in (found.dram_energy or {}):
                    parts[f"memory of CPU {i}"] = found.dram_energy[i]
        return found.time, parts

    def measure(
        self,
        networks: Sequence[Network],
        *,
        batch: int,
        threads: int,
        seconds: float,
        rounds: int,
        progress: Progress | None,
    ) -> list[Reading] | None:
        """Joules for one image of each network, measured in turns; None if a counter stood still."""
        with torch_threads(threads), torch.inference_mode():
            runs = [_Run(network, batch) for network in networks]
            for run in runs:
                for _ in range(WARM_UP):
                    run.once()
            begin = time.perf_counter()
            for i in range(rounds * len(runs)):
                run = runs[i % len(runs)]
                if progress:
                    progress(i / (rounds * len(runs)), run.network.name)
                run.window(self, seconds, begin)
        if progress:
            progress(1.0, "")
        readings = [run.reading() for run in runs]
        return readings if all(min(reading.joules) > 0 for reading in readings) else None


class _Run:
    """One network, and what its windows have shown."""

    def __init__(self, network: Network, batch: int) -> None:
        self.network, self.batch, self.inputs = network, batch, batch_of(network, batch)
        self.windows: list[tuple[int, float, dict[str, float]]] = []
        self.slices: list[tuple[float, float, float]] = []

    def once(self) -> None:
        with evaluating(self.network.model):
            self.network.model(*self.inputs)
        device = self.network.device.type
        if device in ("cuda", "mps"):
            getattr(torch, device).synchronize()

    def window(self, meter: Meter, seconds: float, begin: float) -> None:
        images, start = 0, time.perf_counter()
        meter.begin("window")
        try:
            while not images or time.perf_counter() - start < seconds:
                since = time.perf_counter()
                meter.begin("slice")
                try:
                    self.once()
                    images += self.batch
                    while time.perf_counter() - since < min(SLICE, seconds):
                        self.once()
                        images += self.batch
                finally:
                    took, parts = meter.end("slice")
                if took > 0:
                    self.slices.append((since - begin, since - begin + took, sum(parts.values()) / took))
        finally:
            took, parts = meter.end("window")
        self.windows.append((images, took, parts))

    def reading(self) -> Reading:
        joules = tuple(sum(parts.values()) / images for images, _, parts in self.windows)
        each = {name: median(parts[name] / images for images, _, parts in self.windows) for name in self.windows[0][2]}
        took = median(seconds / images for images, seconds, _ in self.windows)
        starts, ends, watts = (tuple(values) for values in zip(*self.slices, strict=True))
        return Reading(joules, each, took, PowerTrace(self.network.name, starts, ends, watts))


def find_meter(devices: Collection[torch.device] = ()) -> Meter | str:
    """The counters of what networks on these devices run on, or a sentence that says why there are none.

    Parameters
    ----------
    devices : of the networks: GPUs that they do not use are left out. None of them: all counters there are.
    """
    try:
        zeus = import_module("zeus.monitor")
    except ImportError:
        return "energy counters are read by Zeus, which is not installed: pip install -e '.[energy]'"
    except Exception as error:  # whatever its own imports met
        return f"energy counters are read by Zeus, which does not start here: {_first_line(error)}"
    used = sorted({_index(device) for device in devices if device.type == "cuda"})
    try:
        meter = Meter(zeus.ZeusMonitor(gpu_indices=used if devices else None))
    except Exception as error:  # drivers fail in many ways
        return f"Zeus cannot read this machine's energy counters: {_first_line(error)}"
    if meter.names():
        return meter
    if os.path.isdir(RAPL):
        return (
            "this machine's energy counters (RAPL) may only be read by root: "
            "https://ml.energy/zeus/getting_started/#system-privileges says how to allow it"
        )
    where = f" for {' and '.join(sorted({d.type for d in devices}))}, where the network runs" if devices else ""
    return f"this machine shows no energy counters (NVML, RAPL, Apple or Jetson){where}"


def counters() -> str:
    """Which energy counters this machine has, or why none can be read and what to do, in a sentence."""
    found = find_meter()
    return str(found)[0].upper() + str(found)[1:] + "."


def _index(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
