"""Read energy counters through Zeus, where it is installed: joules of each counter while something runs."""

import os
import time
import warnings
from collections.abc import Callable, Collection
from importlib import import_module
from typing import Any, NamedTuple

import torch

from workbench.network.network import first_line

RAPL = "/sys/class/powercap/intel-rapl"
CHIP_FIELDS = "cpu_total_mj", "cpu_energy_mj", "gpu_mj", "gpu_energy_mj", "gpu_sram_mj", "dram_mj", "ane_mj"
"""Fields of Zeus' measurements of Apple's and Jetson's chips, in millijoules, that add up to the whole."""


class Window(NamedTuple):
    """Joules by counter while something ran so many times, from a time of `time.perf_counter` on."""

    start: float
    seconds: float
    runs: int
    joules: dict[str, float]

    @property
    def total(self) -> float:
        """Joules of all counters."""
        return sum(self.joules.values())


class Meter:
    """Reads energy counters through a Zeus monitor. `names` are the counters in words."""

    def __init__(self, monitor: Any) -> None:
        self.monitor = monitor
        zones = [getattr(zone, "rapl_file", None) for zone in getattr(monitor.cpus, "cpus", ())]
        platform = {i for i, zone in enumerate(zones) if getattr(zone, "name", "") == "psys"}  # its packages included
        self.cpus = [i for i in monitor.cpu_indices if i not in platform]
        self.names = [*(f"GPU {i}" for i in monitor.gpu_indices), *(f"CPU {i} (RAPL)" for i in self.cpus)]
        if monitor.soc_is_present:
            self.names = [f"the {type(monitor.soc).__name__} chip"]

    def __str__(self) -> str:
        return f"counters of {', '.join(self.names)}, read by Zeus"

    def window(self, run: Callable[[], object], seconds: float) -> Window:
        """Call a function again and again for so many seconds, once at least."""
        runs, start = 0, time.perf_counter()
        self.monitor.begin_window("window")
        while not runs or time.perf_counter() - start < seconds:
            run()
            runs += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a counter that stood still: energy() says so
            found = self.monitor.end_window("window")
        return Window(start, found.time, runs, self._joules(found))

    def _joules(self, found: Any) -> dict[str, float]:
        if found.soc_energy is not None:
            millijoules = {name: mj for name, mj in vars(found.soc_energy).items() if mj is not None}
            fields = ("total_energy_mj",) if "total_energy_mj" in millijoules else CHIP_FIELDS
            return {name.removesuffix("_mj"): millijoules[name] / 1000 for name in fields if name in millijoules}
        cpus, memory = found.cpu_energy or {}, found.dram_energy or {}
        parts = {f"GPU {i}": joules for i, joules in found.gpu_energy.items()}
        parts |= {f"CPU {i}": cpus[i] for i in self.cpus if i in cpus}
        return parts | {f"memory of CPU {i}": memory[i] for i in self.cpus if i in memory}


def find_meter(devices: Collection[torch.device] = ()) -> Meter | str:
    """Return the counters of what networks on these devices run on, or of everything; or why there are none."""
    gpus = [device.index for device in devices if device.type == "cuda"]
    used = sorted({torch.cuda.current_device() if index is None else index for index in gpus})
    try:
        meter = Meter(import_module("zeus.monitor").ZeusMonitor(gpu_indices=used if devices else None))
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
    where = f" for {' and '.join(sorted({d.type for d in devices}))}, where the network runs" if devices else ""
    return f"this machine shows no energy counters (NVML, RAPL, Apple or Jetson){where}"
