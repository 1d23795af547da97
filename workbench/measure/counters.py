"""Read energy counters through Zeus, where it is installed: joules and power while networks run in turns."""

import os
import time
import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from statistics import median
from typing import Any, NamedTuple

import torch

from workbench.measure.runtimes import batch_inputs, torch_threads
from workbench.network.network import Network, copy_model, first_line
from workbench.progress import Progress

WARM_UP_PASSES = 2
SLICE_S = 0.25
"""Duration of one sample of power: counters move in steps of up to a tenth of a second."""
RAPL = "/sys/class/powercap/intel-rapl"
CHIP_FIELDS = "cpu_total_mj", "cpu_energy_mj", "gpu_mj", "gpu_energy_mj", "gpu_sram_mj", "dram_mj", "ane_mj"
"""Fields of Zeus' measurements of Apple's and Jetson's chips, in millijoules, that add up to the whole."""


class PowerTrace(NamedTuple):
    """Mean watts in slices of time, in seconds since the measurement began, while one of several networks ran."""

    starts: tuple[float, ...]
    ends: tuple[float, ...]
    watts: tuple[float, ...]


class Reading(NamedTuple):
    """Joules for one image in each window, and medians of each counter's joules and of the seconds."""

    joules: tuple[float, ...]
    parts: Mapping[str, float]
    seconds: float
    trace: PowerTrace


class Meter:
    """Reads energy counters through a Zeus monitor. Made by :func:`find_meter`."""

    def __init__(self, monitor: Any) -> None:
        self.monitor = monitor
        zones = [getattr(zone, "rapl_file", None) for zone in getattr(monitor.cpus, "cpus", ())]
        platform = {i for i, zone in enumerate(zones) if getattr(zone, "name", "") == "psys"}  # its packages included
        self.cpus = [i for i in monitor.cpu_indices if i not in platform]

    def names(self) -> list[str]:
        """Return what is counted, in words."""
        if self.monitor.soc_is_present:
            return [f"the {type(self.monitor.soc).__name__} chip"]
        return [*(f"GPU {i}" for i in self.monitor.gpu_indices), *(f"CPU {i} (RAPL)" for i in self.cpus)]

    def __str__(self) -> str:
        return f"counters of {', '.join(self.names())}, read by Zeus"

    def end_slice(self) -> tuple[float, dict[str, float]]:
        """Return the seconds since the slice began, and joules of each counter, by name."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a counter that stood still: measure() says so
            found = self.monitor.end_window("slice")
        if found.soc_energy is not None:
            millijoules = {name: mj for name, mj in vars(found.soc_energy).items() if mj is not None}
            fields = ("total_energy_mj",) if "total_energy_mj" in millijoules else CHIP_FIELDS
            return found.time, {
                name.removesuffix("_mj"): millijoules[name] / 1000 for name in fields if name in millijoules
            }
        cpus, memory = found.cpu_energy or {}, found.dram_energy or {}
        parts = {f"GPU {i}": joules for i, joules in found.gpu_energy.items()}
        parts |= {f"CPU {i}": cpus[i] for i in self.cpus if i in cpus}
        return found.time, parts | {f"memory of CPU {i}": memory[i] for i in self.cpus if i in memory}

    def measure(
        self, networks: Sequence[Network], *, batch: int, threads: int, seconds: float, rounds: int, report: Progress
    ) -> list[Reading] | None:
        """Measure the joules for one image of each network in turns; None if a counter stood still."""
        with torch_threads(threads), torch.inference_mode():
            measured = [_Windows(self, network, batch) for network in networks]
            for each in measured:
                for _ in range(WARM_UP_PASSES):
                    each.run()
            begin = time.perf_counter()
            for i in range(rounds * len(measured)):
                each = measured[i % len(measured)]
                report(i / (rounds * len(measured)), each.network.name)
                each.add(seconds, begin)
        report(1.0, "")
        readings = [each.reading() for each in measured]
        return readings if all(min(reading.joules) > 0 for reading in readings) else None


class _Windows:
    """A copy of one network, and what the counters showed in each window in which it ran."""

    def __init__(self, meter: Meter, network: Network, batch: int) -> None:
        self.meter, self.network, self.batch = meter, network, batch
        self.model, self.inputs = copy_model(network.model), batch_inputs(network, batch)
        self.windows: list[tuple[int, float, Counter[str]]] = []
        self.slices: list[tuple[float, float, float]] = []

    def run(self) -> None:
        self.model(*self.inputs)
        device = self.network.device.type
        if device in ("cuda", "mps"):
            getattr(torch, device).synchronize()

    def add(self, seconds: float, begin: float) -> None:
        """Run the network in one window of so many seconds, in slices."""
        images, spent, joules, start = 0, 0.0, Counter[str](), time.perf_counter()
        while not images or time.perf_counter() - start < seconds:
            since = time.perf_counter()
            self.meter.monitor.begin_window("slice")
            try:
                while True:
                    self.run()
                    images += self.batch
                    if time.perf_counter() - since >= min(SLICE_S, seconds):
                        break
            finally:
                took, parts = self.meter.end_slice()
            spent += took
            joules.update(parts)
            if took > 0:
                self.slices.append((since - begin, since - begin + took, sum(parts.values()) / took))
        self.windows.append((images, spent, joules))

    def reading(self) -> Reading:
        each = [Counter({name: joules / images for name, joules in found.items()}) for images, _, found in self.windows]
        parts = {name: median(joules[name] for joules in each) for name in each[0]}
        took = median(spent / images for images, spent, _ in self.windows)
        return Reading(tuple(found.total() for found in each), parts, took, PowerTrace(*zip(*self.slices, strict=True)))


def find_meter(devices: Collection[torch.device] = ()) -> Meter | str:
    """Return the counters of what networks on these devices run on, or of everything; or why there are none."""
    try:
        zeus = import_module("zeus.monitor")
    except ImportError:
        return "energy counters are read by Zeus, which is not installed: pip install -e '.[energy]'"
    except Exception as error:  # its imports load drivers, which fail in many ways
        return f"energy counters are read by Zeus, which does not start here: {first_line(error)}"
    gpus = [device.index for device in devices if device.type == "cuda"]
    used = sorted({torch.cuda.current_device() if index is None else index for index in gpus})
    try:
        meter = Meter(zeus.ZeusMonitor(gpu_indices=used if devices else None))
    except Exception as error:  # drivers fail in many ways
        return f"Zeus cannot read this machine's energy counters: {first_line(error)}"
    if meter.names():
        return meter
    if os.path.isdir(RAPL):
        return (
            "this machine's energy counters (RAPL) may only be read by root: "
            "https://ml.energy/zeus/getting_started/#system-privileges says how to allow it"
        )
    where = f" for {' and '.join(sorted({d.type for d in devices}))}, where the network runs" if devices else ""
    return f"this machine shows no energy counters (NVML, RAPL, Apple or Jetson){where}"
