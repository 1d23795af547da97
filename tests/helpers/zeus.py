"""A module that behaves like Zeus, which is not needed for the tests."""

import sys
import time
import types
import warnings
from types import SimpleNamespace


class Monitor:
    """Counters with known watts: 100 of each GPU, 20 of each CPU, 3 of the first CPU's memory."""

    gpus, cpus, soc = 0, (), None  # number of GPUs, names of RAPL's zones, millijoules of a chip by name

    def __init__(self, gpu_indices=None):
        self.gpu_indices = list(range(self.gpus)) if gpu_indices is None else gpu_indices
        self.cpu_indices = list(range(len(self.cpus)))
        zones = [SimpleNamespace(rapl_file=SimpleNamespace(name=name)) for name in self.cpus]
        self.cpus = SimpleNamespace(cpus=zones)
        self.soc_is_present = self.soc is not None
        self.open = {}

    def begin_window(self, key):
        assert key not in self.open
        self.open[key] = time.perf_counter()

    def end_window(self, key):
        took = time.perf_counter() - self.open.pop(key)
        warnings.warn("measured as zero", stacklevel=1)  # as Zeus does for short windows
        return SimpleNamespace(
            time=took,
            gpu_energy=dict.fromkeys(self.gpu_indices, 100.0 * took),
            cpu_energy=dict.fromkeys(self.cpu_indices, 20.0 * took) or None,
            dram_energy={0: 3.0 * took} if self.cpu_indices else None,
            soc_energy=self.soc,
        )


def install(monkeypatch, **facts):
    kind = type("ZeusMonitor", (Monitor,), facts)
    package, module = types.ModuleType("zeus"), types.ModuleType("zeus.monitor")
    module.ZeusMonitor, package.monitor = kind, module
    monkeypatch.setitem(sys.modules, "zeus", package)
    monkeypatch.setitem(sys.modules, "zeus.monitor", module)
    return kind
